# Written by `make export` from the module of the same name: edit the notebook.
"""Samplers that add noise between steps: `euler_ancestral`, `dpm_2_ancestral`, `dpmpp_2s_ancestral`,
`dpmpp_sde`, `dpmpp_2m_sde` and `dpmpp_3m_sde`; `BrownianNoise` makes their noise independent of the grid."""
from dataclasses import field
from typing import Any
import math
from collections.abc import Callable, Iterator
import torch
from fastcore.basics import patch
from torch import Tensor
from ..core import Step, explain_errors, hash_seed
from .higher_order import log_mid, phi, second_order_step
from .samplers import ancestral_split, as_grid, ddim, fresh_noise, predict

def sde_split(
    s:float, # noise level now
    s2:float, # noise level after the step, below `s`
    eta:float=1., # strength of the noise: 0 none, 1 as in DDPM
)->tuple[float, float]: # (level of the old noise that is kept, level of the fresh noise)
    """Split the level `s2` as the stochastic equation with a constant prediction does (from Karras et al.
    2022, eq. 6)."""
    ...

def with_noise(
    x:Tensor, # `[B, ...]`, a state of our own making: it is changed
    up:float, # standard deviation of the fresh noise
    noise_sampler:Callable, # where it comes from: see `fresh_noise`
    s:float, s2:float, # the levels before and after the step
)->Tensor: # `[B, ...]`, the same tensor
    "Add fresh noise to a state, if there is any to add."
    ...

def euler_ancestral(
    D:Callable, # the denoiser
    x:Tensor, # `[B, ...]`, the start
    sigmas:Tensor, # `[n+1]` noise levels, descending to 0
    *, eta:float=1., # share of fresh noise
    s_noise:float=1., # factor on the fresh noise
    noise_sampler:Callable=torch.randn_like, # gives fresh noise like `x`
)->Iterator[Step]:
    "Euler steps with fresh noise: DDIM with that `eta`, by the name it has in k-diffusion."
    ...

def _two_calls(D:Callable, x:Tensor, sigmas:Tensor,
               eta:float, s_noise:float, noise_sampler:Callable, weight:Callable)->Iterator[Step]:
    """Half-way, look again, go down with what was seen, add noise.
    `weight(s, m, s_down)` is that of the change of mind."""
    ...

def dpm_2_ancestral(
    D:Callable, # the denoiser
    x:Tensor, # `[B, ...]`, the start
    sigmas:Tensor, # `[n+1]` noise levels, descending to 0
    *, eta:float=1., # share of fresh noise
    s_noise:float=1., # factor on the fresh noise
    noise_sampler:Callable=torch.randn_like, # gives fresh noise like `x`
)->Iterator[Step]: # two calls a step, one where it ends at level 0
    """`dpm_2` with fresh noise (Karras et al. 2022, algorithm 2, with its second call at the middle of ln σ;
    as in k-diffusion)."""
    ...

def dpmpp_2s_ancestral(
    D:Callable, # the denoiser
    x:Tensor, # `[B, ...]`, the start
    sigmas:Tensor, # `[n+1]` noise levels, descending to 0
    *, eta:float=1., # share of fresh noise
    s_noise:float=1., # factor on the fresh noise
    noise_sampler:Callable=torch.randn_like, # gives fresh noise like `x`
)->Iterator[Step]: # two calls a step, one where it ends at level 0
    "DPM-Solver++(2S) with fresh noise (Lu et al. 2022, DPM-Solver++, algorithm 1)."
    ...

def dpmpp_sde(
    D:Callable, # the denoiser
    x:Tensor, # `[B, ...]`, the start
    sigmas:Tensor, # `[n+1]` noise levels, descending to 0
    *, eta:float=1., # share of fresh noise
    s_noise:float=1., # factor on the fresh noise
    noise_sampler:Callable=torch.randn_like, # gives fresh noise like `x`, for instance a `BrownianNoise`
    r:float=.5, # where the second call is made, as a share of the step in ln σ
)->Iterator[Step]: # two calls a step, one where it ends at level 0
    """DPM-Solver++ (stochastic) with a noisy midpoint, as in k-diffusion (after Lu et al. 2022).
    Raises `ValueError` unless 0 < `r` ≤ 1."""
    ...

def _multistep(D:Callable, x:Tensor, sigmas:Tensor,
               eta:float, s_noise:float, noise_sampler:Callable, correct:Callable)->Iterator[Step]:
    """One call a step. `correct(x, x0, z, h, past)` changes the first-order step; `past` holds (h, answer) of
    earlier steps, newest first."""
    ...

def dpmpp_2m_sde(
    D:Callable, # the denoiser
    x:Tensor, # `[B, ...]`, the start
    sigmas:Tensor, # `[n+1]` noise levels, descending to 0
    *, eta:float=1., # strength of the noise, as in `sde_split`
    s_noise:float=1., # factor on the fresh noise
    noise_sampler:Callable=torch.randn_like, # gives fresh noise like `x`, for instance a `BrownianNoise`
    solver_type:str="midpoint", # what is made of the slope: "midpoint" or "heun"
)->Iterator[Step]: # one call a step
    """DPM-Solver++(2M) SDE, as in k-diffusion (after Lu et al. 2022, DPM-Solver++).
    Raises `ValueError` for an unknown `solver_type`."""
    ...

def dpmpp_3m_sde(
    D:Callable, # the denoiser
    x:Tensor, # `[B, ...]`, the start
    sigmas:Tensor, # `[n+1]` noise levels, descending to 0
    *, eta:float=1., # strength of the noise, as in `sde_split`
    s_noise:float=1., # factor on the fresh noise
    noise_sampler:Callable=torch.randn_like, # gives fresh noise like `x`, for instance a `BrownianNoise`
)->Iterator[Step]: # one call a step
    "DPM-Solver++(3M) SDE, as in k-diffusion."
    ...

class BrownianNoise():
    """Noise from a Brownian path of each sample's own, for `noise_sampler`: the same path, however many
    steps. Needs the package torchsde."""
    ends = math.exp(-15), math.exp(15) # the levels between which the paths run
    tree: Any
    seeds: list
    trees: list
    like: torch.Size
    def __init__(self,
        seed:int, # the seed of the whole request
        n:int, # samples in this batch
        start:int=0, # the number of the batch's first sample
    ):
        ...
    def __call__(self, x:Tensor)->Tensor:
        "There is no answer without an interval: raises `TypeError`."
        ...
    def _make_trees(self, x:Tensor)->None:
        ...
    def between(self:BrownianNoise,
        x:Tensor, # `[n, ...]`: gives the shape, the type and the device
        s:float, s2:float, # the levels before and after the step, `s > s2 > 0`
    )->Tensor: # `[n, ...]`, standard normal: how far each path moves, divided by the root of the time
        "The noise for a step. Raises `ValueError` for another batch than the first, or levels outside `ends`."
        ...

__all__ = ['sde_split', 'with_noise', 'euler_ancestral', 'dpm_2_ancestral', 'dpmpp_2s_ancestral', 'dpmpp_sde', 'dpmpp_2m_sde', 'dpmpp_3m_sde', 'BrownianNoise']
