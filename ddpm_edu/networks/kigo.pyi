# Written by `make export` from the module of the same name: edit the notebook.
"""Kigo's network: `KigoUNet(in_channels, levels)` of `KigoLevel`s, nested by `u_block` and made of `KigoBlock`s;
it is told ᾱ (`cosine_alpha_bar`). `from_kigo` builds one from Kigo's own configuration and weights."""
from dataclasses import field
from typing import Any
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
import numpy as np
import torch
from einops import rearrange
from fastcore.basics import patch
from torch import Tensor, nn
from torch.nn import functional as F
from ..core import as_float, as_int, explain_errors
from .blocks import KeepsPrecision, PreActBlock, check_labels, check_times, group_norm
from .blocks import scaled_dot_attention
from .chain import ConditionalChain, ConditionalSkipConnection, cat_channels
from .unet import check_images

def cosine_alpha_bar(
    u:Tensor, # times from 0 (data) to 1 (noise); what lies outside counts as the ends
    s:float=.008, # offset, as a share of the whole time
)->Tensor: # of the same shape: the share of the data's variance that is left
    "`cos²((u+s)/(1+s)·π/2)`, not divided by its value at 0 (Nichol and Dhariwal 2021, eq. 17)."
    ...

class KigoAttention(nn.Module):
    """Normalisation, SiLU, attention over all pixels between two 1×1 convolutions, and the way round; it
    starts by adding nothing."""
    num_heads: int
    norm: Any
    to_qkv: nn.Conv2d
    to_out: nn.Conv2d
    def __init__(self,
        channels:int, # channels of x and of the result
        num_heads:int, # heads
        head_channels:int, # channels of each head
        num_groups:int=8, # groups of the normalisation; must divide channels
    )->None:
        ...
    def forward(self, x:Tensor)->Tensor:
        "x plus what each pixel gathers from all others (Vaswani et al. 2017, §3.2)."
        ...

class KigoBlock(PreActBlock):
    """A `PreActBlock` with a 1×1 convolution as the way round, dropout, and attention at its end where heads
    are given."""
    skip: nn.Conv2d
    dropout: float
    attention: Any
    def __init__(self,
        channels:int, # channels of x and of the result
        emb_dim:int, # width of the embedding
        num_groups:int=8, # groups of the normalisations; must divide channels
        num_heads:int=0, # heads of the attention, 0 for none
        head_channels:int=32, # channels of each head
        dropout:float=0., # share of the features that is set to 0 in training
    )->None:
        ...
    def forward(self, x:Tensor, emb:Tensor)->Tensor:
        "The way round plus what two convolutions have to add, then attention."
        ...

def _halve(in_channels:int, out_channels:int)->list[nn.Module]:
    "Half the size by a 3×3 convolution, padded at the bottom and on the right."
    ...

def _double(in_channels:int, out_channels:int)->list[nn.Module]:
    "Twice the size by a transposed 3×3 convolution, whose last row and column are cut off."
    ...

def _change(
    num_groups:int, # groups of the normalisation
    in_channels:int, # channels of x
    layers:Sequence[nn.Module], # the convolution, and padding
)->nn.Sequential: # how a level is entered or left
    "Normalisation, SiLU, convolution."
    ...

@dataclass
class KigoLevel():
    "One level of a `KigoUNet`. Raises `ValueError` that names a number that is not possible."
    channels:int # channels of its features; a multiple of groups
    blocks:int = 2 # residual blocks on the way in, and as many on the way out
    groups:int = 8 # groups of its normalisations; they also divide the channels of the level outside
    heads:int = 0 # heads of the attention in each of its blocks, 0 for none
    head_channels:int = 32 # channels of each head
    dropout:float = .1 # share of a block's features that is set to 0 in training
    def __post_init__(self)->None:
        ...

def u_block(
    levels:Sequence[KigoLevel], # this level and all inside it
    outside:int, # channels of the level outside, which come in and go out
    emb_dim:int, # width of the embedding
    i:int=1, # number of this level
)->ConditionalChain: # maps [B, outside, H, W] to the same shape
    "A level and, inside it, the levels that are left."
    ...

class KigoUNet(KeepsPrecision):
    """Kigo's recursive UNet, `forward(x, t)`, or `predict(x, alpha_bar)` as the original is called.
    Raises `ValueError` for arguments that are impossible."""
    alphas_cumprod:Tensor|None # buffer [T], if the schedule is not Kigo's own
    num_classes = 0 # it knows no labels
    config: dict[str, Any]
    def __init__(self,
        in_channels:int, # channels of the images
        levels:Sequence[KigoLevel|Mapping], # from the full size to the smallest
        T:int=1000, # number of time steps that it is meant for
        outer_channels:int=32, # channels before the first level and after it
        outer_groups:int=8, # groups of the last normalisation
        sinusoid_dim:int=32, # sines and cosines that ᾱ becomes: an even number
        emb_dim:int=32, # width of the embedding
        out_channels:int|None=None, # channels of the result; as many as in_channels if None
        alphas_cumprod:Sequence[float]|None=None, # ᾱ of each step [T]; `cosine_alpha_bar` if None
    )->None:
        ...
    def _build(self:KigoUNet, levels:list[KigoLevel], out_channels:int|None, alphas_cumprod:Any)->None:
        "Make the layers and the table from the arguments."
        ...
    def alpha_bar(self:KigoUNet,
        t:Tensor, # times 0 ... T-1, long or float, [B]
    )->Tensor: # ᾱ [B]
        "What a step stands for: `cosine_alpha_bar` at (t+1)/T, or the table, linear between its entries."
        ...
    def embed(self:KigoUNet,
        alpha_bar:Tensor, # ᾱ [B], float32 or float64
    )->Tensor: # [B, emb_dim], to be activated by each block
        "Sines and cosines of ᾱ at speeds from 1 to 10, SiLU, linear."
        ...
    def predict(self:KigoUNet,
        x:Tensor, # noisy images [B, in_channels, H, W]
        alpha_bar:Tensor, # ᾱ, the share of the data's variance that is left, [B]
        **cond:Any, # further conditions: this network knows none, and says so
    )->Tensor: # [B, out_channels, H, W]
        """Predict from noisy images that are told by ᾱ.
        Raises `ValueError` for images that do not fit, or not one ᾱ for each."""
        ...
    def forward(self:KigoUNet,
        x:Tensor, # noisy images [B, in_channels, H, W]
        t:Tensor, # times 0 ... T-1, long or float, [B]
        y:Tensor|None=None, # labels: this network knows none, so all must be -1
        **cond:Any, # further conditions: this network knows none, and says so
    )->Tensor: # [B, out_channels, H, W]
        "Predict from noisy images. Raises `ValueError` or `TypeError` for what does not fit."
        ...
_HAIKU: dict[type, str]

def _haiku_names(
    module:nn.Module, # a part of the network
    path:str, # where it is in ours
    scope:str, # where it is in the original
    seen:dict[str, int]|None=None, # layers of each class that the scope has had
)->Iterator[tuple[str, str]]: # our path and the original's name of each layer with weights
    "The names that Haiku gives: class and number within the parent."
    ...

def kigo_weights(
    net:KigoUNet, # the network that they are for
    params:Mapping[str, Any], # the original's arrays: {"module/name": array}, or {"module": {"name": array}}
)->dict[str, Tensor]: # a state dict for `net`
    """The original's parameters under our names and in our layouts.
    Raises `ValueError` for a parameter that is missing, left over or of another shape."""
    ...

def from_kigo(
    config:Mapping[str, Any], # the section `model` of Kigo's configuration
    params:Mapping[str, Any]|None=None, # the original's parameters; first weights of our own if None
    **options:Any, # `T` and `alphas_cumprod` of the `KigoUNet`
)->KigoUNet:
    "Kigo's network from Kigo's own configuration and weights. Raises `ValueError` as `kigo_weights` does."
    ...

__all__ = ['cosine_alpha_bar', 'KigoAttention', 'KigoBlock', 'KigoLevel', 'u_block', 'KigoUNet', 'kigo_weights', 'from_kigo']
