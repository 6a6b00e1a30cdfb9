# Written by `make export` from the module of the same name: edit the notebook.
"""Layers that one vector steers, after k-diffusion: `FourierFeatures`, `mapping_network`, `AdaGroupNorm`,
`AdaBlock`, `AdaSelfAttention`, `AdaCrossAttention`; `FixedDownsample`, `FixedUpsample` have no
parameters."""
from dataclasses import field
from typing import Any
import math
import torch
from einops import rearrange
from fastcore.basics import patch
from torch import Tensor, nn
from torch.nn import functional as F
from ..core import as_int, explain_errors
from .blocks import Conditional, KeepsPrecision

class FourierFeatures(KeepsPrecision):
    """Cosines and sines of a number at random speeds, drawn once and never trained (Tancik et al. 2020).
    Raises `ValueError` for an odd `dim`."""
    weight:Tensor # buffer [dim/2, 1]: the speeds; saved, since they were drawn
    def __init__(self,
        dim:int, # how many features: even
        std:float=1., # standard deviation of the speeds
    )->None:
        ...
    def forward(self, c:Tensor)->Tensor: # [B, dim] from numbers [B]
        "cos 2πwc for all speeds w, then sin 2πwc."
        ...

def mapping_network(
    dim:int, # width of the input, of each layer and of the result
    n_layers:int=2, # how many linear layers
)->nn.Sequential: # maps [B, dim] to [B, dim]
    "Linear layers that start orthogonal, each with a GELU behind it (after Karras et al. 2019)."
    ...

class AdaGroupNorm(Conditional):
    """A group normalisation whose scale and shift are made from the embedding.
    Raises `ValueError` where the groups do not divide the channels."""
    num_groups: Any
    mapper: nn.Linear
    def __init__(self,
        channels:int, # channels to normalise
        emb_dim:int, # width of the embedding
        group_size:int=32, # channels of a group; fewer channels than that are one group
    )->None:
        ...
    def forward(self, x:Tensor, emb:Tensor, **cond:Any)->Tensor: # [B, channels, H, W], as x
        "Normalise, then scale and shift each channel as `emb` says."
        ...

class AdaBlock(Conditional):
    "A residual block whose two normalisations are told the embedding; it starts by adding nothing."
    dropout: float
    norm1: AdaGroupNorm
    conv1: nn.Conv2d
    norm2: AdaGroupNorm
    conv2: nn.Conv2d
    skip: nn.Module
    def __init__(self,
        in_channels:int, # channels of x
        out_channels:int, # channels of the result
        emb_dim:int, # width of the embedding
        mid_channels:int|None=None, # channels between the convolutions; as many as come out if None
        group_size:int=32, # see `AdaGroupNorm`
        dropout:float=0., # share of the channels that is set to 0 behind each convolution, in training
    )->None:
        ...
    def forward(self, x:Tensor, emb:Tensor, **cond:Any)->Tensor: # [B, out_channels, H, W]
        "The way round plus what two convolutions have to add."
        ...

class AdaSelfAttention(Conditional):
    "x + attention of the normalised x to itself; it starts by adding nothing."
    num_heads: Any
    dropout: float
    norm: AdaGroupNorm
    to_qkv: nn.Conv2d
    to_out: nn.Conv2d
    def __init__(self,
        channels:int, # channels of x and of the result
        emb_dim:int, # width of the embedding
        head_dim:int=64, # channels of a head; fewer channels than that are one head
        group_size:int=32, # see `AdaGroupNorm`
        dropout:float=0., # share of the weights of attention that is set to 0, in training
    )->None:
        ...
    def forward(self, x:Tensor, emb:Tensor, **cond:Any)->Tensor: # [B, channels, H, W], as x
        "Each position adds a mean of what the others say."
        ...

def _heads(channels:int, head_dim:int)->int:
    "How many heads; `ValueError` where they do not divide the channels."
    ...

class AdaCrossAttention(Conditional):
    "x + attention of the normalised x to a list of vectors; it starts by adding nothing."
    num_heads: Any
    dropout: float
    norm: AdaGroupNorm
    norm_cross: nn.LayerNorm
    to_q: nn.Conv2d
    to_kv: nn.Linear
    to_out: nn.Conv2d
    def __init__(self,
        channels:int, # channels of x and of the result
        cross_dim:int, # width of the vectors in the list
        emb_dim:int, # width of the embedding
        head_dim:int=64, # channels of a head; fewer channels than that are one head
        group_size:int=32, # see `AdaGroupNorm`
        dropout:float=0., # share of the weights of attention that is set to 0, in training
    )->None:
        ...
    def forward(self:AdaCrossAttention,
        x:Tensor, # features [B, channels, H, W]
        emb:Tensor, # embedding [B, emb_dim]
        cross:Tensor, # the list [B, M, cross_dim]
        padding:Tensor, # 1 or True where the list is only filled up, [B, M]
    )->Tensor: # [B, channels, H, W]
        "Each position adds a mean of what the list says."
        ...

def _cubic(x:Tensor, a:float=-.5)->Tensor:
    "The cubic curve of Keys (1981)."
    ...
KERNELS: dict

def resampling_kernel(
    name:str="linear", # a name from `KERNELS`
)->Tensor: # float64 [4·reach], with sum 1
    "The weights by which pixels are averaged in one direction. Raises `ValueError` for an unknown name."
    ...

class _Resample(KeepsPrecision):
    "What both directions share: the kernel, a buffer that is not saved, since its name makes it again."
    kernel:Tensor # [k, k]
    def __init__(self,
        kernel:str="linear", # a name from `KERNELS`
    )->None:
        ...
    def ready(self, x:Tensor, pad:int)->tuple[Tensor, Tensor]: # padded images, and a kernel for each channel
        ...

class FixedDownsample(_Resample):
    "Half the height and width (both even), by a fixed filter."
    def forward(self, x:Tensor)->Tensor: # [B, C, H/2, W/2] from [B, C, H, W]
        ...

class FixedUpsample(_Resample):
    "Twice the height and width, by a fixed filter."
    def forward(self, x:Tensor)->Tensor: # [B, C, 2H, 2W] from [B, C, H, W]
        ...

__all__ = ['KERNELS', 'FourierFeatures', 'mapping_network', 'AdaGroupNorm', 'AdaBlock', 'AdaSelfAttention', 'AdaCrossAttention', 'resampling_kernel', 'FixedDownsample', 'FixedUpsample']
