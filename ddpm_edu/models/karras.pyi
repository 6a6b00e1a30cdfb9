# Written by `make export` from the module of the same name: edit the notebook.
"""Diffusion at any noise level (Karras et al. 2022): `KarrasDiffusion(net, data_shape, sigma_data)`. Levels
of training come from `DENSITIES`, weighings from `WEIGHTS`; `preconditioning` gives the four coefficients."""
from dataclasses import field
from typing import Any
import inspect
import math
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import as_float, expand, explain_errors
from ..denoising.schedules import SIGMA_GRIDS, exponential_sigmas, vp_sigmas
from .base import DenoisingModel, Sampling
from .draws import for_batch
from .files import unwrapped

def preconditioning(
    sigma:Tensor, # noise levels, any shape
    sigma_data:float, # standard deviation of the data
)->tuple[Tensor, Tensor, Tensor]: # c_skip, c_out, c_in, each of that shape
    "The best linear guess, its error, and the scale of the input (Karras et al. 2022, table 1)."
    ...

def stratified(
    n:int, # how many
)->Tensor: # `[n]` float64, between 0 and 1, in random order
    "Uniform numbers, one in each of `n` equal parts of the way from 0 to 1; drawn on the CPU."
    ...

def _inside(u:Tensor)->Tensor:
    ...

def _levels(sigmas:Tensor)->Tensor:
    "The same, if all are numbers; `ValueError` otherwise."
    ...

def lognormal(
    u:Tensor, # uniform numbers between 0 and 1
    mean:float=-1.2, std:float=1.2, # of ln σ
)->Tensor: # noise levels, rising with `u`
    "A normal distribution of ln σ (Karras et al. 2022, table 1)."
    ...

def loguniform(
    u:Tensor, # uniform numbers between 0 and 1
    sigma_min:float, sigma_max:float, # the ends
)->Tensor: # noise levels, rising with `u`
    "All octaves between two levels equally often."
    ...

def split_lognormal(
    u:Tensor, # uniform numbers between 0 and 1
    mean:float=-1.2, # of ln σ: where the halves meet
    std_1:float=1.2, std_2:float=1.2, # width of the half below, and of the half above
)->Tensor: # noise levels, rising with `u`
    "Two halves of normal distributions of ln σ, joined without a step."
    ...

def _stretch(u:Tensor, low:float, high:float)->Tensor:
    ...

def loglogistic(
    u:Tensor, # uniform numbers between 0 and 1
    sigma_min:float=0., sigma_max:float=math.inf, # where it is cut off
    sigma_data:float=.5, # its median, if `loc` is left out
    loc:float|None=None, scale:float=.5, # median and scale of ln σ
)->Tensor: # noise levels, rising with `u`
    "A logistic distribution of ln σ: a higher bell with thicker feet."
    ...

def cosine(
    u:Tensor, # uniform numbers between 0 and 1
    sigma_min:float=0., sigma_max:float=math.inf, # where it is cut off
    sigma_data:float=.5, # its median
)->Tensor: # noise levels, rising with `u`
    "A uniform angle arctan(σ / sigma_data) (Salimans and Ho 2022, where sigma_data is 1)."
    ...

def cosine_interpolated(
    u:Tensor, # uniform numbers between 0 and 1
    sigma_min:float=0., sigma_max:float=math.inf, # where it is cut off
    sigma_data:float=.5, # the cosine's median
    size:int=64, # side of the images, in pixels
    low:int=32, high:int=64, # sides of images with that median: at the most noise, and at the least
)->Tensor: # noise levels, rising with `u`
    "Between two cosines, from one to the other (Hoogeboom et al. 2023)."
    ...
DENSITIES: dict
WEIGHTS: dict

def _named(table:dict[str, Any], name:str, what:str)->Any:
    "An entry of a table; `ValueError` with the names there are."
    ...

def _density(model:Any, name:str, options:dict[str, float])->Callable: # `u -> sigma`
    "A density with its options; those that it shares with the model come from there. Raises `ValueError`."
    ...

def _as_sampling(given:Sampling|dict[str, Any]|None)->Sampling:
    "A `Sampling` from what was given for one. Raises `TypeError` for fields that it has not."
    ...

class KarrasDiffusion(DenoisingModel):
    """A diffusion model for all noise levels (Karras et al. 2022); only `net` is trained.
    Raises `ValueError` for parts that do not fit."""
    sampling: Any
    sigma_data: Any
    sigma_min: Any
    sigma_max: Any
    weighting: str
    density: Any
    learned_variance: bool
    quantize: bool
    def __init__(self,
        net:nn.Module, # `net(x, t)` or `net(x, t, y)`, `t` float from 0 to T-1; T is `net.T`, or 1000
        data_shape:Sequence[int], # shape of one sample: `(C, H, W)` for images, `(2,)` for points
        sigma_data:float=.5, # standard deviation of the data: `data.std()`
        sigma_min:float=.002, sigma_max:float=80., # the noise levels that it is meant for
        density:str="lognormal", # how often each level is practised: a name from `DENSITIES`
        density_options:dict[str, float]|None=None, # its options, such as `dict(mean=-1.2, std=1.2)`
        loss:str="edm", # how much each level counts: a name from `WEIGHTS`
        learned_variance:bool=False, # the network answers with one channel more: ln of its own squared error
        p_uncond:float=0., # share of the labels hidden in training; guidance needs some, 0.1 to 0.2
        threshold:str|None="static", # guesses out of bounds: "static", "dynamic" or `None` (`thresholded`)
        sampling:Sampling|dict[str, Any]|None=None, # what is best where nothing is asked
        quantize:bool=False, # ask the network at whole times (long): for one that looks its times up
    ):
        ...
    def sigma_to_t(self:KarrasDiffusion,
        sigma:Tensor, # `[B]` noise levels; those outside the model's range count as its ends
    )->Tensor: # `[B]` float times in 0 … T-1
        "The time that the network is told: linear in ln σ from `sigma_min` to `sigma_max`."
        ...
    def coefficients(self:KarrasDiffusion,
        sigma:Tensor, # `[B]` noise levels
        x:Tensor, # `[B, ...]`, what they belong to
    )->tuple[Tensor, Tensor, Tensor, Tensor]: # c_skip, c_out and c_in, to be multiplied with `x`, and times `[B]`
        "What the network and the preconditioning need to know of noise levels."
        ...
    def _answer(self:KarrasDiffusion, x:Tensor, c_in:Tensor,
             t:Tensor, y:Tensor|None, **cond:Any)->tuple[Tensor, Tensor|None]:
        "What the network says, and the log-variance `[B, 1, ...]` that it adds if it has learned one."
        ...
    def denoise(self:KarrasDiffusion,
        x:Tensor, # `[B, ...]`, data + sigma·noise
        sigma:Tensor, # `[B]` noise levels
        y:Tensor|None=None, # long `[B]` labels, -1 for none
        **cond:Any, # further conditions of the network
    )->Tensor: # `[B, ...]`, the network's idea of the clean data
        "The plain denoiser of contract 2: one call of the network (Karras et al. 2022, eq. 7)."
        ...
    def loss_at(self:KarrasDiffusion,
        x0:Tensor, # `[B, ...]` clean data in [-1, 1]
        sigma:Tensor, # `[B]` noise levels, above 0
        noise:Tensor|None=None, # `[B, ...]` standard normal; drawn if left out
        y:Tensor|None=None, # long `[B]` labels, -1 for none
        **cond:Any, # further conditions of the network
    )->Tensor: # `[B]`
        "The training loss at given levels and noise (Karras et al. 2022, eq. 8)."
        ...
    def random_levels(self:KarrasDiffusion,
        x:Tensor, # `[B, ...]` a batch: gives the number, the type and the device
    )->Tensor: # `[B]`
        "Noise levels to practise, drawn from the model's density in equal parts."
        ...
    def loss(self:KarrasDiffusion,
        x0:Tensor, # `[B, ...]` clean data in [-1, 1]
        y:Tensor|None=None, # long `[B]` labels; a share `p_uncond` of them is hidden from the network
        **cond:Any, # further conditions of the network
    )->Tensor: # `[B]`, a loss for each sample
        """The loss at random levels: what the trainer minimises.
        Raises `ValueError` for data of another shape than `data_shape`."""
        ...
    def levels(self:KarrasDiffusion,
        n_steps:int|None=None, # how many steps, network calls for most samplers; 20 if left out
        spacing:str="karras", # how they lie between the ends: a name from `SPACINGS`
        sigma_min:float|None=None, sigma_max:float|None=None, # the ends; those of the model if left out
        **options:Any, # of the grid, such as `rho`
    )->Tensor: # float64 `[n_steps+1]` noise levels, descending, the last is 0
        "The list of noise levels for a sampler. Raises `ValueError` for unknown names."
        ...

def _vp_between(n:int, sigma_min:float, sigma_max:float)->Tensor:
    "`vp_sigmas` with given ends and the ratio of β's of Ho et al. (2020)."
    ...
SPACINGS: Any

__all__ = ['DENSITIES', 'WEIGHTS', 'SPACINGS', 'preconditioning', 'stratified', 'lognormal', 'loguniform', 'split_lognormal', 'loglogistic', 'cosine', 'cosine_interpolated', 'KarrasDiffusion']
