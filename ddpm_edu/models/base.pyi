# Written by `make export` from the module of the same name: edit the notebook.
"""What all models share: `DenoisingModel` with `sample` and `sample_iter`, ways of sampling in `Sampling` and
`sampling_of`, labels by number, name or lot (`as_labels`), `evaluating` for sampling that disturbs nobody,
and `load`, which gives a saved model back."""
from dataclasses import field
from typing import Any
import difflib
import inspect
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MethodType
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import SeededNoise, Step, as_float, as_int, explain_errors, hash_seed, progress_bar, warn
from ..denoising.denoisers import dynamic_threshold, static_threshold
from ..denoising.guidance import drop_labels, guided
from ..denoising.samplers import final
from ..denoising.table import get_sampler
from ..denoising.terminal_snr import from_infinity
from .files import Saved, as_plain, load_saved, unwrapped

@dataclass(frozen=True)
class Sampling():
    "How a model is sampled where nothing else is asked."
    sampler:str|Callable = "ddpm" # a name from `SAMPLERS`, or a sampler
    n_steps:int|None = None # how many steps; `None`: as the model's `levels` has it
    levels:dict[str, Any] = field(default_factory=dict) # for `levels`: spacing, sigma_min, …
    options:dict[str, Any] = field(default_factory=dict) # of the sampler, such as `eta`
    def asked(self,
        sampler:str|Callable|None=None, n_steps:int|None=None, # instead of these; `None` keeps them
        spacing:str|None=None, # instead of the levels' own, whose ends stay
        **options:Any, # of the sampler, beside or instead of these
    )->"Sampling":
        "The same, with what was asked in its place."
        ...

class DenoisingModel(Saved):
    """A network that can be asked for samples. A model defines `denoise` and `levels`.
    Raises `ValueError` for parts that do not fit."""
    sampling = Sampling() # what is best for this model where nothing is asked
    quantize = False # whether the network is asked at whole times only
    denoise:Callable[..., Tensor]; levels:Callable[..., Tensor] # each model defines them
    net: nn.Module
    data_shape: Any
    p_uncond: float
    threshold: str | None
    config: dict
    def __init__(self,
        net:nn.Module, # the only part that is trained
        data_shape:Sequence[int], # shape of one sample: `(C, H, W)` for images, `(2,)` for points
        p_uncond:float=0., # share of the labels hidden in training; guidance needs some, 0.1 to 0.2
        threshold:str|None="static", # guesses out of bounds: "static", "dynamic" or `None` (`thresholded`)
        **more:Any, # further arguments of the class, to be saved with it
    ):
        ...
    @property
    def device(self)->torch.device: # where its tensors are; the CPU if it has none
        ...
    @property
    def dtype(self)->torch.dtype: # of states: float32, or float64 where the network has it
        ...
    @property
    def state_shape(self)->tuple[int, ...]:  # of what samplers move: the data, or a code of them
        ...
    def start(self:DenoisingModel,
        z:Tensor, # `[B, ...]` standard normal noise
        sigma:float, # the first noise level
    )->Tensor: # `[B, ...]`, the state there
        "Where sampling begins: data are small beside the first level."
        ...
    def shown(self:DenoisingModel, step:Step)->Step: # a step as users see it
        "All of it. (A model over a code decodes it here.)"
        ...
    def ask(self:DenoisingModel,
        x:Tensor, # `[B, ...]`, what the network is shown
        t:Tensor, # `[B]` float times on the scale 0 … T-1
        **cond:Any, # labels `y` and further conditions of the network
    )->Tensor: # the network's answer, in the float type of `x`
        """Call the network, in its own float type and with whole times (long) for one that looks them up.
        Raises `TypeError` where it looks times up and was not said to."""
        ...
    def denoiser(self:DenoisingModel,
        guidance_scale:float=1., # 1 plain, 0 without the labels, above 1 exaggerated
        threshold:str|None="model", # "static", "dynamic", `None`, or "model": as the model was built
        guidance_rescale:float=0., # see `guided`: share of the added contrast that is taken back
        guidance_interval:tuple[float, float]|None=None, # noise levels between which to guide, see `guided`
    )->Callable: # `D(x, sigma, y=None, **cond) -> x0`
        "The denoiser that samplers get: guided, then thresholded."
        ...
    def training_labels(self:DenoisingModel,
        x0:Tensor, # `[B, ...]` a batch of data
        y:Tensor|None, # long `[B]` its labels
    )->Tensor|None: # the labels that the network sees in training
        "Labels for a training step. Raises `ValueError` for data of another shape than `data_shape`."
        ...
    def sample_iter(self:DenoisingModel,
        n:int, # samples
        labels:Tensor|Sequence|int|str|None=None, # a class for all or each, by number or name; "any": by lot
        guidance_scale:float=1., # 1 plain, above 1 exaggerates the label, 0 ignores it
        sampler:str|Callable|None=None, # a name from `SAMPLERS`, or a sampler; `None`: the model's own
        n_steps:int|None=None, # steps, network calls for most samplers; `None`: the model's own
        seed:int|None=None, # same seed, same samples
        noise:Tensor|None=None, # `[n, *state_shape]` standard normal start, instead of the seed's
        spacing:str|None=None, # how the levels lie: see `levels`
        sigmas:Tensor|None=None, # `[n_steps+1]` the levels themselves, instead of `n_steps` and `spacing`
        threshold:str|None="model", guidance_rescale:float=0., # see `denoiser`
        guidance_interval:tuple[float, float]|None=None, # see `denoiser`
        *, preset:str|None=None, # one of the card's ways of sampling, such as "fast"
        start:int=0, # number of the first sample, in a part of a larger request
        **options:Any, # of the sampler, such as `eta`
    )->Iterator[Step]: # the sampler's steps
        "Sample step by step: loop over it, and watch."
        ...
    def sample(self:DenoisingModel,
        n:int, # samples
        labels:Tensor|Sequence|int|str|None=None, # a class for all or each, by number or name; "any": by lot
        guidance_scale:float=1., # 1 plain, above 1 exaggerates the label, 0 ignores it
        sampler:str|Callable|None=None, # a name from `SAMPLERS`, or a sampler; `None`: the model's own
        n_steps:int|None=None, # steps, network calls for most samplers; `None`: the model's own
        seed:int|None=None, # same seed, same samples, whatever the batch size (save by `dpm_adaptive`)
        noise:Tensor|None=None, # `[n, *state_shape]` standard normal start, instead of the seed's
        spacing:str|None=None, # how the levels lie: see `levels`
        sigmas:Tensor|None=None, # `[n_steps+1]` the levels themselves, instead of `n_steps` and `spacing`
        threshold:str|None="model", guidance_rescale:float=0., # see `denoiser`
        guidance_interval:tuple[float, float]|None=None, # see `denoiser`
        *, preset:str|None=None, # one of the card's ways of sampling, such as "fast"
        batch_size:int=256, # samples at a time
        **options:Any, # of the sampler, such as `eta`
    )->Tensor: # `[n, *data_shape]`, in [-1, 1]
        "Draw `n` samples."
        ...

def thresholded(
    D:Callable|None, # a denoiser
    threshold:str|None, # "static", "dynamic" or `None`
)->Callable: # a denoiser
    "Wrap a denoiser by the name of a threshold."
    ...

def takes_labels(
    net:nn.Module, # a network
)->bool:
    "Does the network know labels? By its `num_classes`, or by an argument `y`."
    ...

def as_labels(
    model:DenoisingModel, # who is asked
    labels:Tensor|Sequence|int|str|None, # class numbers or names, one for all or each; -1: none; or "any"
    n:int, # samples
    seed:int=0, start:int=0, # of the request, and the number of the first sample: for "any"
)->Tensor|None: # long `[n]`, where the model is
    "Bring labels into the form that networks take; raises `ValueError` where they do not fit."
    ...

def _numbered(model:DenoisingModel, name:str)->int:
    "The number of a class; raises `ValueError` that lists the names there are."
    ...

def _by_lot(model:DenoisingModel, n:int, seed:int, start:int)->list[int]:
    "A class for each sample, as often as in training; raises `ValueError` where the card does not tell."
    ...

def evaluating(
    module:nn.Module, # in any mode, and left in it
    seen:dict[int, nn.Module]|None=None, # (parts that were met already)
)->Any: # the same in evaluation mode: weights and buffers are shared, modes and new attributes are not
    """A module for whoever wants to evaluate it while others train.
    Compiled ones are taken as they were built."""
    ...

def sampling_of(
    model:DenoisingModel, # whose card may hold `presets`: name → the fields of a `Sampling`
    preset:str|None=None, # the name; `None`: the model's own way
)->Sampling:
    "One of a model's ways of sampling. Raises `ValueError` that names those there are, or says what is odd."
    ...

def _options(fn:Callable, options:dict[str, Any], noise_sampler:Callable)->dict[str, Any]:
    """The options for a sampler, with a source of noise if it wants one.
    Raises `TypeError` for one that it does not know."""
    ...
_ASKED: list

def _as_noise(noise:Any, shape:torch.Size)->Tensor:
    "Noise that was given for a start; raises `ValueError` unless it has the shape of the samples."
    ...

def load(
    name_or_path:str|os.PathLike, # a file of `save`, a run or checkpoint, or the name of weights that ship
    net:nn.Module|None=None, # the network, if it is not one of this package
    device:torch.device|str|None=None, # where to; `default_device()` if left out
)->DenoisingModel: # the model, ready to use (or a classifier, if the file holds one)
    """Get a saved model back, with its `card`.
    Raises `FileNotFoundError`, or `ValueError` for a damaged or foreign file."""
    ...

__all__ = ['Sampling', 'DenoisingModel', 'thresholded', 'takes_labels', 'as_labels', 'evaluating', 'sampling_of', 'load']
