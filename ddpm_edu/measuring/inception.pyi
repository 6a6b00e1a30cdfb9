# Written by `make export` from the module of the same name: edit the notebook.
"""Measures in any network's features: `Extractor` is Inception, CLIP or DINO by torch-fidelity; a `Reference`
keeps the features of real images and scores samples: FID or FLD, KID, precision, recall and coverage."""
from dataclasses import field
from typing import Any
import importlib
import json
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
import torch
from fastcore.basics import patch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from ..core import as_int, check_range, default_device, explain_errors, to_uint8, write_file
from ..data.sets import TensorData
from ..training.loop import check_data, one_pass
from .frechet import extract, frechet_distance, mmd, moments, warn_if_few
from .neighbours import compare_manifolds

class Extractor(nn.Module):
    """A network of torch-fidelity's, as `features` for every measure here: images `[N, C, H, W]` in [-1, 1],
    grey or in colour and of any size, to features `[N, D]`."""
    name: str
    batch_size: Any
    layer: Any
    net: Any
    def __init__(self,
        name:str="inception", # or "clip-vit-b-32", "dinov2-vit-b-14", "vgg16" and others of torch-fidelity's
        weights:str|os.PathLike|None=None, # a file of weights; left out, they are downloaded once
        device:torch.device|str|None=None, # where to compute; `default_device()` if left out
        batch_size:int=32, # images at a time: they are enlarged to 299×299
    ):
        """Raises `ImportError` where torch-fidelity or a fitting torchvision is missing, `ValueError` for
        another name, and `OSError` where weights cannot be had."""
        ...
    def forward(self, x:Tensor)->Tensor: # `[N, D]`
        ...

def _only_weights(path:str)->None:
    "Raise `ValueError` for a file that would run code when it is opened."
    ...

def _kinds()->dict[str, Any]:
    "torch-fidelity's networks by name."
    ...
SCORES: tuple

def check_scores(
    which:Sequence[str]|str, # one or some of `SCORES`
)->list[str]: # as a list
    "Raise `ValueError` for a name that is none of `SCORES`."
    ...

class Reference():
    "The features of real images, what they were computed from, and the scores of samples beside them."
    look: Callable[[Tensor], Tensor] | str | None
    source: dict
    features: Any
    def __init__(self,
        data:Any, # real images: a data set, best the training set, or a tensor `[N, C, H, W]`
        features:Callable[[Tensor], Tensor]|str|None=None, # an `Extractor`, any function, a LeNet's name
        cache:str|os.PathLike|None=None, # keeps the features, for example "zoo/mine/real.safetensors"
        n:int|None=None, # how many of the images, from the first; all if left out
    ):
        "Raises `ValueError` for data that cannot be looked at, and for a file computed from something else."
        ...
    def _from(self, path:Path, images:Tensor)->Tensor:
        "Features out of a file, if they are those of these images."
        ...
    @cached_property
    def moments(self)->tuple[Tensor, Tensor]: # mean `[D]` and covariance `[D, D]`
        ...
    def scores(self:Reference,
        images:Tensor, # samples, `[N, C, H, W]`, floats in [-1, 1] or bytes
        which:Sequence[str]=SCORES, # some of `SCORES`
    )->dict[str, float]: # by name; the Fréchet distance is called "fld" (LeNet), "fid" (Inception) or "frechet"
        "Score samples. Raises `ValueError` as `extract`, and for another name."
        ...

def _alike(f:Tensor, g:Tensor)->bool:
    "Features of the same images by the same network, up to rounding."
    ...

def _images(data:Any, n:int|None)->Tensor:
    "Images of a data set in its order, as bytes; points as they are."
    ...

def _sum(images:Tensor)->str:
    "A check sum of all images."
    ...

def _called(features:Any)->str:
    "What a network is called."
    ...

__all__ = ['SCORES', 'Extractor', 'check_scores', 'Reference']
