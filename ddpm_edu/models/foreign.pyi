# Written by `make export` from the module of the same name: edit the notebook.
"""Models from other libraries as ours: `from_openai`, `from_compvis`, `from_diffusers` and `from_v_diffusion`
give a model that samples like any here; inside are `ForeignNet`, the network, and `ForeignDiffusion`, which
samples as its own library does where nothing else is asked."""
from dataclasses import field
from typing import Any
import math
from collections.abc import Callable, Sequence
from functools import partial
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import explain_errors
from ..denoising.schedules import SIGMA_GRIDS, exponential_sigmas, spaced_timesteps
from .base import Sampling
from .files import as_plain, unwrapped
from .gaussian import GaussianDiffusion
from .karras import KarrasDiffusion
from ..networks.blocks import KeepsPrecision, check_labels

class ForeignNet(KeepsPrecision):
    "A stranger behind contract 1, `net(x, t, y=None, **cond)`. Raises `ValueError` for unknown labels."
    conditions:Tensor|None; times:Tensor|None # buffers, as they were given
    model: nn.Module
    call: Callable
    null_class: int | None
    num_classes: Any
    T: Any
    def __init__(self,
        model:nn.Module, # the stranger
        call:Callable, # `call(model, x, t, given, **cond)`; `given`: a class, a row of `conditions`, `None`
        num_classes:int|None=0, # labels are 0 … num_classes-1
        null_class:int|None=None, # the class, or row of `conditions`, that means none; no label if the last
        conditions:Tensor|None=None, # `[num_classes (+ 1), ...]`, what stands for a label; `None`: its number
        times:Tensor|None=None, # `[T]`, what it is told at each step; `None` for the number of the step
    ):
        ...
    def forward(self, x:Tensor, t:Tensor, y:Tensor|None=None, **cond:Any)->Tensor:
        ...
    def _network_labels(self:ForeignNet, y:Tensor|None, x:Tensor)->Tensor|None:
        "What the network gets for labels `[B]`."
        ...

def _read_at(table:Tensor, t:Tensor)->Tensor: # what a table says at steps, linear between them
    ...

def betas_from_alphas_cumprod(
    ac:Tensor|Sequence[float], # `[T]`, falling, between 0 and 1; the last may be 0
)->Tensor: # float64 `[T]`, on the CPU
    "`alphas_cumprod` backwards. Raises `ValueError` where it does not fall, or is in half precision."
    ...

def _image_shape(shape:Sequence[int]|None, source:Any)->tuple[int, ...]:
    "`(C, H, W)`: as given, or as the network or its configuration tells. Raises `ValueError` if it does not."
    ...

class ForeignDiffusion(GaussianDiffusion):
    "Samples as its own library does where nothing else is asked. Raises `ValueError` like its base."
    sampling: Any
    def __init__(self,
        net:nn.Module, betas:Any, data_shape:Sequence[int], # as for `GaussianDiffusion`
        sampling:Sampling|dict[str, Any]|None=None, # how; its levels are arguments of `levels`
        **options:Any, # of `GaussianDiffusion`
    ):
        ...
    def start(self, z:Tensor, sigma:float)->Tensor: # where levels lie between steps, without a share of data
        ...
    def sigma_to_t(self, sigma:Tensor)->Tensor: # and linear in σ between two steps
        ...
    def levels(self:ForeignDiffusion,
        n_steps:int|None=None, # how many steps; `None` for all T
        spacing:str="trailing", offset:int=0, # as for `GaussianDiffusion`, and a number added to each step
        skip:bool=False, between:bool=False, # one more is laid out than used; "linspace" may lie between steps
    )->Tensor: # float64 `[n_steps+1]` noise levels, descending, the last is 0
        "The list of noise levels for a sampler, as schedulers of diffusers lay it out."
        ...
PREDICTIONS: dict
VARIANCES: dict

def _read(options:dict[str, Any], name:str, table:dict, source:Any, field:str, usual:Any)->None:
    "Fill in an option by what a field says, if it was not given. Raises `ValueError` for what we have not."
    ...

def _ask(name:str, model:Callable, x:Tensor, t:Tensor, given:Tensor|None, **cond:Any)->Tensor:
    ...

def from_openai(
    model:nn.Module, # `model(x, t)` or `model(x, t, y=...)`, with or without a learned variance
    diffusion:Any, # the `diffusion` that was created with it, or the schedule's betas `[T]`
    data_shape:Sequence[int]|None=None, # shape of one sample; `None`: as the model tells
    objective:str|None=None, # "eps", "x0" or "v"; `None`: as the diffusion tells
    null_class:int|None=None, # the class that means no label, if it was trained with one
    **options:Any, # of `ForeignDiffusion`: `sampling`, `threshold`, `p_uncond`, `quantize`
)->ForeignDiffusion:
    "A network of guided-diffusion (Dhariwal and Nichol 2021). Raises `ValueError` for what cannot be read."
    ...

def _prompts(conditions:Tensor|None, uncond:Tensor|None)->dict[str, Any]:
    """A table with a row for each label, and perhaps one for none at its end.
    Raises `ValueError` if the shapes differ."""
    ...

def _ask_compvis(model:Any, x:Tensor, t:Tensor, given:Tensor|None, **cond:Any)->Tensor:
    ...

def from_compvis(
    model:Any, # has `apply_model(x, t, cond)` and `alphas_cumprod`
    conditions:Tensor|None=None, uncond:Tensor|None=None, # `[K, ...]`, what labels mean; `[...]`, no label
    data_shape:Sequence[int]|None=None, # shape of the latents of one sample; `None`: as the model tells
    **options:Any, # of `ForeignDiffusion`: `objective`, `sampling`, `threshold`, `p_uncond`, `quantize`
)->ForeignDiffusion:
    "A latent model (Rombach et al. 2022): samples are latents. Raises `ValueError` for what cannot be read."
    ...
SCHEDULERS: dict
_READ: Any

def _scheduler_samples(scheduler:Any, v:dict[str, Any])->dict[str, Any]:
    "How one of `SCHEDULERS` samples. Raises `ValueError` for a field that says what we have not."
    ...

def from_diffusers(
    unet:nn.Module, # a `UNet2DModel`, or, with `conditions` or `uncond`, a `UNet2DConditionModel`
    scheduler:Any, # one of `SCHEDULERS`; with `sampling`, any of diffusers with `alphas_cumprod`
    conditions:Tensor|None=None, uncond:Tensor|None=None, # `[K, ...]`, what labels mean; `[...]`, no label
    null_class:int|None=None, # the class that means no label, if it was trained with one
    data_shape:Sequence[int]|None=None, # shape of one sample; `None`: as the network's configuration tells
    **options:Any, # of `ForeignDiffusion`: `sampling`, `threshold`, `p_uncond`, `objective`, `quantize`
)->ForeignDiffusion:
    "A network of diffusers with its scheduler. Raises `ValueError` for parts that cannot be read."
    ...

def _ask_v(model:Callable, x:Tensor, t:Tensor, given:Tensor|None, **cond:Any)->Tensor:
    ...

def from_v_diffusion(
    model:nn.Module, # `model(x, t)` or `model(x, t, condition)`, `t` from 0 (clean) to 1 (noise)
    conditions:Tensor|None=None, uncond:Tensor|None=None, # `[K, ...]`, what labels mean; `[...]`, no label
    data_shape:Sequence[int]|None=None, # shape of one sample; `None`: the model's `shape`
    sigma_min:float=.01, sigma_max:float=160., # levels to ask for, within its own `min_t` and `max_t`
    **options:Any, # of `KarrasDiffusion`: `threshold`, `p_uncond`
)->KarrasDiffusion:
    "A network of v-diffusion (Salimans and Ho 2022, app. D). Raises `ValueError` for what cannot be read."
    ...

__all__ = ['PREDICTIONS', 'VARIANCES', 'SCHEDULERS', 'ForeignNet', 'betas_from_alphas_cumprod', 'ForeignDiffusion', 'from_openai', 'from_compvis', 'from_diffusers', 'from_v_diffusion']
