# Written by `make export` from the module of the same name: edit the notebook.
"""Models from other libraries as ours: `from_openai`, `from_compvis`, `from_diffusers` and `from_v_diffusion`
give a model that samples like any here; `ForeignNet` is the network inside."""
from dataclasses import field
from typing import Any
import math
from collections.abc import Callable, Sequence
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import explain_errors
from ..denoising.schedules import exponential_sigmas
from .gaussian import GaussianDiffusion
from .karras import KarrasDiffusion

class ForeignNet(nn.Module):
    """Somebody else's network behind contract 1, `net(x, t, y=None, **cond)`.
    Raises `ValueError` for labels that it has no meaning for."""
    conditions:Tensor|None; times:Tensor|None # buffers, as they were given
    model: nn.Module
    call: Callable
    quantize: bool
    num_classes: int
    null_class: int | None
    T: Any
    def __init__(self,
        model:nn.Module, # the stranger
        call:Callable, # `call(model, x, t, given, **cond)`; `given`: a class, a row of `conditions`, `None`
        num_classes:int=0, # labels are 0 … num_classes-1
        null_class:int|None=None, # the class, or row of `conditions`, that means no label
        conditions:Tensor|None=None, # `[num_classes (+ 1), ...]`, what stands for a label; `None`: its number
        times:Tensor|None=None, # `[T]`, what it is told at each step; `None` for the number of the step
        quantize:bool=False, # it knows whole steps only
    ):
        ...
    def forward(self, x:Tensor, t:Tensor, y:Tensor|None=None, **cond:Any)->Tensor:
        ...
    def _network_times(self:ForeignNet, t:Tensor)->Tensor:
        "Steps `[B]`, in the network's own time."
        ...
    def _network_labels(self:ForeignNet, y:Tensor|None, x:Tensor)->Tensor|None:
        "What the network gets for labels `[B]`."
        ...

def betas_from_alphas_cumprod(
    ac:Tensor|Sequence[float], # `[T]`, falling, between 0 and 1; the last may be 0
)->Tensor: # float64 `[T]`, on the CPU
    """The schedule behind a running product: `alphas_cumprod` backwards.
    Raises `ValueError` where it does not fall."""
    ...

def _image_shape(shape:Sequence[int]|None, channels:int|None, size:int|Sequence[int]|None)->tuple[int, ...]:
    "`(C, H, W)`: as given, or as the network tells. Raises `ValueError` if it does not."
    ...

def _openai_times(diffusion:Any, T:int)->Tensor|None:
    "What the network is told at each step, if it is not the number of the step."
    ...

def _openai_objective(diffusion:Any)->str:
    """What the network predicts, by the diffusion's `model_mean_type`; noise if it has none.
    Raises `ValueError` for x at t-1."""
    ...

def _ask_openai(model:Callable, x:Tensor, t:Tensor, y:Tensor|None, **cond:Any)->Tensor:
    ...

def from_openai(
    model:nn.Module, # `model(x, t)` or `model(x, t, y=...)`, with or without a learned variance
    diffusion:Any, # the `diffusion` that was created with it, or the schedule's betas `[T]`
    data_shape:Sequence[int]|None=None, # shape of one sample; `None`: as the model tells
    objective:str|None=None, # "eps", "x0" or "v"; `None`: as the diffusion tells
    null_class:int|None=None, # the class that means no label, if it was trained with one
    quantize:bool=False, # it knows whole steps only
    **options:Any, # of `GaussianDiffusion`: `threshold`, `p_uncond`
)->GaussianDiffusion:
    """A network of guided-diffusion (Dhariwal and Nichol 2021).
    Raises `ValueError` for parts that cannot be read."""
    ...

def _classes(n:int|None, null_class:int|None)->dict[str, Any]:
    "How many labels there are: a null class at the end is none of them."
    ...

def _hidden(null:Any)->dict[str, float]:  # who has a null class saw it in training
    ...

def _prompts(conditions:Tensor|None, uncond:Tensor|None)->dict[str, Any]:
    """A table with a row for each label, and perhaps one for none at its end.
    Raises `ValueError` if the shapes differ."""
    ...

def _ask_compvis(model:Any, x:Tensor, t:Tensor, given:Tensor|None, **cond:Any)->Tensor:
    ...

def from_compvis(
    model:nn.Module, # has `apply_model(x, t, cond)` and `alphas_cumprod`
    conditions:Tensor|None=None, # `[K, ...]`, what the labels 0 … K-1 stand for, such as sentences
    uncond:Tensor|None=None, # `[...]`, what no label stands for: the empty sentence
    data_shape:Sequence[int]|None=None, # shape of the latents of one sample; `None`: as the model tells
    quantize:bool=False, # it knows whole steps only
    **options:Any, # of `GaussianDiffusion`: `objective`, `threshold`, `p_uncond`
)->GaussianDiffusion:
    """A latent diffusion model (Rombach et al. 2022); its samples are latents.
    Raises `ValueError` for parts that cannot be read."""
    ...
PREDICTIONS: dict

def _scheduler_says(scheduler:Any)->dict[str, Any]:
    """Schedule, objective and threshold of a scheduler of diffusers.
    Raises `ValueError` for one that is not of the DDPM kind."""
    ...

def _ask_unet(model:Callable, x:Tensor, t:Tensor, y:Tensor|None, **cond:Any)->Tensor:
    ...

def _ask_text_unet(model:Callable, x:Tensor, t:Tensor, given:Tensor|None, **cond:Any)->Tensor:
    ...

def from_diffusers(
    unet:nn.Module, # a `UNet2DModel`, or, with `conditions` or `uncond`, a `UNet2DConditionModel`
    scheduler:Any, # the scheduler that it was trained with: one with `alphas_cumprod`
    conditions:Tensor|None=None, # `[K, ...]`, what the labels 0 … K-1 stand for: embedded sentences
    uncond:Tensor|None=None, # `[...]`, what no label stands for: the empty sentence
    null_class:int|None=None, # the class that means no label, if it was trained with one
    data_shape:Sequence[int]|None=None, # shape of one sample; `None`: as the network's configuration tells
    quantize:bool=False, # it knows whole steps only
    **options:Any, # of `GaussianDiffusion`: `threshold`, `p_uncond`, `objective`
)->GaussianDiffusion:
    "A network of diffusers with its scheduler. Raises `ValueError` for parts that cannot be read."
    ...

def _ask_v(model:Callable, x:Tensor, t:Tensor, given:Tensor|None, **cond:Any)->Tensor:
    ...

def from_v_diffusion(
    model:nn.Module, # `model(x, t)` or `model(x, t, condition)`, `t` from 0 (clean) to 1 (noise)
    conditions:Tensor|None=None, # `[K, ...]`, what the labels 0 … K-1 stand for: embedded sentences
    uncond:Tensor|None=None, # `[...]`, what no label stands for: zeros, for example
    data_shape:Sequence[int]|None=None, # shape of one sample; `None`: the model's `shape`
    sigma_min:float=.01, sigma_max:float=160., # the noise levels that it will be asked for
    **options:Any, # of `KarrasDiffusion`: `threshold`, `p_uncond`
)->KarrasDiffusion:
    """A network of v-diffusion (Crowson 2021; Salimans and Ho 2022, appendix D).
    Raises `ValueError` for parts that cannot be read."""
    ...

__all__ = ['PREDICTIONS', 'ForeignNet', 'betas_from_alphas_cumprod', 'from_openai', 'from_compvis', 'from_diffusers', 'from_v_diffusion']
