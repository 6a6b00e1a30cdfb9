# Written by `make export` from the module of the same name: edit the notebook.
"""Diffusion in discrete time: `GaussianDiffusion(net, betas, data_shape)` trains by its `loss` and draws by
its `sample`; the names of Ho et al. 2020 (`q_sample`, `p_sample`, ...) are methods of it."""
from dataclasses import field
from typing import Any
import math
from collections.abc import Callable, Sequence
from functools import partial
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import expand, explain_errors
from ..denoising.samplers import ddim, ddpm, trajectory
from ..denoising.schedules import SIGMA_GRIDS, diffusion_buffers, spaced_timesteps
from ..denoising.terminal_snr import from_infinity
from ..networks.blocks import KeepsPrecision
from .base import DenoisingModel, evaluating, thresholded
from .files import unwrapped
from .objectives import LOSSES, get_objective, loss_weights, named

class GaussianDiffusion(KeepsPrecision, DenoisingModel):
    """A diffusion model in discrete time (Ho et al. 2020); only `net` is trained.
    Raises `ValueError` for parts that do not fit."""
    log_sigmas:Tensor; sqrt_alphas_cumprod:Tensor; sqrt_one_minus_alphas_cumprod:Tensor # buffers `[T]`
    sqrt_recip_alphas_cumprod:Tensor; sqrt_recipm1_alphas_cumprod:Tensor; posterior_variance:Tensor
    posterior_mean_coef1:Tensor; posterior_mean_coef2:Tensor; posterior_log_variance_clipped:Tensor
    loss_weights:Tensor
    objective: str
    quantize: bool
    table: Any
    constants: dict
    zero_snr: Any
    error: str
    weighting: str
    self_condition: bool
    T: Any
    def __init__(self,
        net:nn.Module, # `net(x, t)` or `net(x, t, y)`, with `t` in 0 … T-1
        betas:Any, # `[T]`, tensor or array, the schedule: variance of the noise added at each step
        data_shape:Sequence[int], # shape of one sample: `(C, H, W)` for images, `(2,)` for points
        objective:str="eps", # what the network predicts: "eps", "x0" or "v"
        p_uncond:float=0., # share of the labels hidden in training; guidance needs some, 0.1 to 0.2
        threshold:str|None="static", # guesses out of bounds: "static", "dynamic" or `None` (`thresholded`)
        quantize:bool=False, # ask the network at whole steps (long): for one that looks its times up
        loss:str="mse", # what an error costs: a name from `LOSSES`
        weighting:str="plain", # how much each step counts: a name from `WEIGHTINGS`
        weighting_options:dict[str, float]|None=None, # its options, such as `dict(k=1., gamma=1.)`
        self_condition:bool=False, # show the network its last guess, too: it takes twice the channels
    ):
        ...
    def q_sample(self:GaussianDiffusion,
        x0:Tensor, # `[B, ...]` clean data
        t:Tensor|int, # `[B]` steps in 0 … T-1, or one for all
        noise:Tensor|None=None, # `[B, ...]` standard normal; drawn if left out
    )->Tensor: # `[B, ...]`, in variance-preserving coordinates
        "Jump to step `t` of the forward process (Ho et al. 2020, eq. 4)."
        ...
    def sigma_to_t(self:GaussianDiffusion,
        sigma:Tensor, # `[B]` noise levels; those outside the table count as its ends
    )->Tensor: # `[B]` float steps in 0 … T-1
        "Which step a noise level belongs to: linear in log sigma between the entries of the table."
        ...
    def denoise(self:GaussianDiffusion,
        x:Tensor, # `[B, ...]`, data + sigma·noise; where sigma is infinite, the noise itself
        sigma:Tensor, # `[B]` noise levels
        y:Tensor|None=None, # long `[B]` labels, -1 for none
        x0_prev:Tensor|None=None, # `[B, ...]` the last guess, for a network that is shown it; zeros if left out
        **cond:Any, # further conditions of the network
    )->Tensor: # `[B, ...]`, the network's idea of the clean data
        "The plain denoiser of contract 2: one call of the network, without guidance or threshold."
        ...
    def beside(self:GaussianDiffusion,
        xt:Tensor, # `[B, C, ...]`, the state
        x0_prev:Tensor|None, # `[B, C, ...]` the last guess
    )->Tensor: # what the network is shown
        "The state, with the last guess beside it if the network is shown that."
        ...
    def coefficients(self:GaussianDiffusion,
        sigma:Tensor, # `[B]` noise levels
        x:Tensor, # `[B, ...]`, what they belong to
    )->tuple[Tensor, Tensor, Tensor]: # √ᾱ and √(1-ᾱ), to be multiplied with `x`, and steps `[B]`
        "What the network and the objective need to know of noise levels."
        ...
    def denoiser(self:GaussianDiffusion,
        guidance_scale:float=1., # 1 plain, 0 without the labels, above 1 exaggerated
        threshold:str|None="model", # "static", "dynamic", `None`, or "model": as the model was built
        guidance_rescale:float=0., # see `guided`
        guidance_interval:tuple[float, float]|None=None, # see `guided`
    )->Callable: # `D(x, sigma, y=None, **cond) -> x0`
        "The denoiser for samplers: guided, then thresholded; with self-conditioning it keeps its last guess."
        ...
    def p_losses(self:GaussianDiffusion,
        x0:Tensor, # `[B, ...]` clean data in [-1, 1]
        t:Tensor, # long `[B]` steps in 0 … T-1
        noise:Tensor|None=None, # `[B, ...]` standard normal; drawn if left out
        y:Tensor|None=None, # long `[B]` labels, -1 for none
        loss:Callable|str|None=None, # instead of the model's: a name from `LOSSES`, or one of torch's functions
        **cond:Any, # further conditions of the network
    )->Tensor: # `[B]`
        "The training loss at given steps and noise (Ho et al. 2020, eq. 14, for the objective `eps`)."
        ...
    def _shown(self:GaussianDiffusion, xt:Tensor, t:Tensor, a:Tensor, s:Tensor, cond:dict[str, Any])->Tensor:
        """What the network is shown in training; with self-conditioning every other batch has a guess of its own,
        cut off as in sampling."""
        ...
    def loss(self:GaussianDiffusion,
        x0:Tensor, # `[B, ...]` clean data in [-1, 1]
        y:Tensor|None=None, # long `[B]` labels; a share `p_uncond` of them is hidden from the network
        **cond:Any, # further conditions of the network
    )->Tensor: # `[B]`, a loss for each sample
        """The loss at random steps: what the trainer minimises.
        Raises `ValueError` for data of another shape than `data_shape`."""
        ...
    def levels(self:GaussianDiffusion,
        n_steps:int|None=None, # how many network calls; `None` for all T
        spacing:str="trailing", # which steps (`spaced_timesteps`), or a name from `SIGMA_GRIDS`
    )->Tensor: # float64 `[n_steps+1]` noise levels, descending, the last is 0
        "The list of noise levels for a sampler."
        ...
    def start(self:GaussianDiffusion,
        z:Tensor, # `[B, ...]` standard normal noise
        sigma:float, # the first noise level; where it is infinite, the noise is the state
    )->Tensor: # `[B, ...]`, the state there
        "Where the forward process ended: pure noise, in variance-preserving coordinates."
        ...
    def _one_step(self:GaussianDiffusion, sampler:Callable,
                  x:Tensor, t:int, t_next:int, noise:Tensor|None, y:Tensor|None,
                  guidance_scale:float, threshold:str|None, **options:Any)->tuple[Tensor, Tensor]:
        """A single step of a sampler, from step `t` to `t_next` (-1 for clean data), in variance-preserving
        coordinates."""
        ...
    def p_sample(self:GaussianDiffusion,
        x:Tensor, # `[B, ...]`, the state at step `t`
        t:int, # the step, T-1 … 0
        noise:Tensor|None=None, # `[B, ...]` fresh noise; drawn if left out, unused at t = 0
        y:Tensor|None=None, # long `[B]` labels
        guidance_scale:float=1., # see `denoiser`
        variance:str="posterior", # or "beta"
        threshold:str|None="model", # see `denoiser`
    )->tuple[Tensor, Tensor]: # (the state at `t - 1`, the estimate of the clean data)
        "One ancestral step (Ho et al. 2020, algorithm 2)."
        ...
    def ddim_sample(self:GaussianDiffusion,
        x:Tensor, # `[B, ...]`, the state at step `t`
        t:int, # the step now
        t_next:int, # the step after, below `t`; -1 for clean data
        eta:float=0., # share of fresh noise
        noise:Tensor|None=None, # `[B, ...]` fresh noise; drawn if left out
        y:Tensor|None=None, # long `[B]` labels
        guidance_scale:float=1., # see `denoiser`
        threshold:str|None="model", # see `denoiser`
    )->tuple[Tensor, Tensor]: # (the state at `t_next`, the estimate of the clean data)
        "One DDIM step (Song et al. 2021, eq. 12)."
        ...
    def p_sample_loop(self:GaussianDiffusion,
        n:int, # samples
        labels:Tensor|Sequence[int]|int|None=None, # a class for all, or one for each
        **kwargs:Any, # as for `sample`
    )->Tensor: # `[n, *data_shape]`
        "All T ancestral steps."
        ...
    def p_sample_loop_all(self:GaussianDiffusion,
        n:int, # samples
        labels:Tensor|Sequence[int]|int|None=None, # a class for all, or one for each
        **kwargs:Any, # as for `sample_iter`
    )->tuple[Tensor, Tensor]: # states `[T+1, n, ...]` from noise to data, and estimates `[T, n, ...]`
        "All T ancestral steps, everything kept (in variance-preserving coordinates)."
        ...
    def ddim_sample_loop(self:GaussianDiffusion,
        n_steps:int, # network calls, at most T
        n:int, # samples
        labels:Tensor|Sequence[int]|int|None=None, # a class for all, or one for each
        eta:float=0., # share of fresh noise
        **kwargs:Any, # as for `sample`
    )->Tensor: # `[n, *data_shape]`
        "DDIM with fewer steps."
        ...
    def predict_start_from_noise(self:GaussianDiffusion,
        x:Tensor, # `[B, ...]`, the state at step `t`
        t:Tensor, # long `[B]`
        noise:Tensor, # `[B, ...]`, the noise in it
    )->Tensor: # `[B, ...]` clean data
        "Solve the forward jump for the clean data (Ho et al. 2020, eq. 15)."
        ...
    def q_posterior_mean_variance(self:GaussianDiffusion,
        x0:Tensor, # `[B, ...]` clean data
        x:Tensor, # `[B, ...]`, the state at step `t`
        t:Tensor, # long `[B]`
    )->tuple[Tensor, Tensor, Tensor]: # mean `[B, ...]`, variance and clipped log-variance, `[B, 1, ...]`
        "Of the state at `t - 1`, given the one at `t` and the clean data (Ho et al. 2020, eq. 6 and 7)."
        ...

__all__ = ['GaussianDiffusion']
