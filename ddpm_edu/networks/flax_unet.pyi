# Written by `make export` from the module of the same name: edit the notebook.
"""The UNet of denoising-diffusion-flax: `FlaxUNet(in_channels, model_channels, T, channel_multipliers)`, of
`StandardizedBlock`s, with a `LinearAttention` on each level and a `CosineAttention` in the middle."""
from dataclasses import field
from typing import Any
from collections.abc import Callable
from dataclasses import dataclass, field, fields
import torch
from einops import rearrange
from fastcore.basics import patch
from torch import Tensor, nn
from torch.nn import functional as F
from ..core import as_int, explain_errors
from .blocks import Conditional, Downsample, Upsample, check_labels, check_times, group_norm
from .chain import ConditionalChain, ConditionalSkipConnection
from .unet import check_images

class ChannelNorm(nn.Module):
    "Normalise the channels of each position, then scale each channel (Ba et al. 2016), without a shift."
    weight: nn.Parameter
    def __init__(self,
        channels:int, # channels to normalise
    )->None:
        ...
    def forward(self, x:Tensor)->Tensor: # [B, channels, H, W], as x
        ...

class _Heads(nn.Module):
    "What both attentions share: q, k and v by a 1×1 convolution, and the heads' results by another."
    num_heads: int
    to_qkv: nn.Conv2d
    to_out: nn.Conv2d
    def __init__(self,
        channels:int, # channels of x and of the result
        num_heads:int=4, # heads
        head_dim:int=32, # channels of each head
    )->None:
        ...
    def split(self, x:Tensor)->Tensor: # q, k and v in one, [3, B, heads, d, N]
        ...

class LinearAttention(_Heads):
    "softmax(q) (softmax(k)ᵀ v): attention without a table of pairs (Shen et al. 2021)."
    norm: ChannelNorm
    def __init__(self,
        channels:int, # channels of x and of the result
        num_heads:int=4, # heads
        head_dim:int=32, # channels of each head
    )->None:
        ...
    def forward(self, x:Tensor)->Tensor: # [B, C, H, W], as x; the caller adds x
        ...
_NORMALISED: dict

class CosineAttention(_Heads):
    """softmax(10 cos(q, k)) v (Henry et al. 2020).
    Raises `ValueError` for an unknown `normalise`."""
    axis: Any
    def __init__(self,
        channels:int, # channels of x and of the result
        num_heads:int=4, # heads
        head_dim:int=32, # channels of each head
        normalise:str="channels", # "space": along the positions, as denoising-diffusion-flax ships it
    )->None:
        ...
    def forward(self, x:Tensor)->Tensor: # [B, C, H, W], as x; the caller adds x
        ...

class StandardizedConv2d(nn.Conv2d):
    "A convolution whose kernel is used with mean 0 and variance 1 for each output (Qiao et al. 2019)."
    def forward(self, x:Tensor)->Tensor: # [B, out_channels, H, W]
        ...

def _norm(num_groups:int, channels:int)->nn.GroupNorm:
    "A group normalisation with flax's ε."
    ...

class StandardizedBlock(Conditional):
    "Two standardised convolutions; the embedding scales and shifts between them."
    conv1: StandardizedConv2d
    norm1: Any
    norm2: Any
    emb: nn.Linear
    conv2: StandardizedConv2d
    skip: Any
    def __init__(self,
        in_channels:int, # channels of x
        out_channels:int, # channels of the result
        emb_dim:int, # width of the embedding
        num_groups:int=8, # groups of both normalisations; must divide out_channels
    )->None:
        ...
    def forward(self:StandardizedBlock,
        x:Tensor, # features [B, in_channels, H, W]
        emb:Tensor, # embedding of the time [B, emb_dim]
    )->Tensor: # [B, out_channels, H, W]
        "The way round plus what two convolutions have to add."
        ...

def cat_skip_last(
    h:Tensor, # what the layers made [B, C1, ...]
    skip:Tensor, # what came round them [B, C2, ...]
)->Tensor: # [B, C1+C2, ...], the skip last
    "Both in one tensor, the skip's channels behind."
    ...

def _flax_level(
    i:int, # which level, from 0
    c:list[int], # channels: c[i] come in, c[i+1] go out
    block:Callable[[int, int], nn.Module], # a block from its channels in and out
    linear:Callable[[int], nn.Module], # a linear attention with its way round, from its channels
    middle:Callable[[int], dict[str, nn.Module]], # the bottom, from its channels
)->dict[str, nn.Module]: # the layers by name
    "The layers of one level, which hold the levels below it."
    ...

class _Clock(nn.Sequential):
    "Sines and then cosines of the time, linear, GELU (by tanh, as flax has it), linear."
    speeds: Any
    def __init__(self, dim:int, emb_dim:int)->None:
        ...
    def forward(self, t:Tensor)->Tensor: # [B, emb_dim] from times [B]
        ...

@dataclass(eq=False, repr=False)
class FlaxUNet(nn.Module):
    """The UNet of denoising-diffusion-flax, after P. Wang. `forward(x, t)`.
    Raises `ValueError` for arguments that are impossible or do not fit each other."""
    in_channels:int # channels of the images; twice as many where the last estimate is given beside them
    model_channels:int = 64 # channels m of the first level: even, a multiple of block_groups
    T:int = 1000 # number of time steps that it is meant for
    channel_multipliers:tuple[int, ...] = (1, 2, 4) # channels of the levels, in units of m
    out_channels:int|None = None # channels of the result; as many as in_channels if None
    block_groups:int = 8 # groups of the normalisations
    num_heads:int = 4 # heads of all attentions
    head_dim:int = 32 # channels of each head
    normalise:str = "channels" # see `CosineAttention`; "space": as shipped
    num_classes:int = field(default=0, init=False) # it knows no labels
    divisor:int = field(init=False) # the sides of images are multiples of it
    def __post_init__(self)->None:
        ...
    @property
    def config(self)->dict[str, Any]: # the arguments that build it again
        ...
    def _build(self:FlaxUNet)->None:
        "Make the layers from the arguments."
        ...
    def forward(self:FlaxUNet,
        x:Tensor, # noisy images [B, in_channels, H, W]
        t:Tensor, # times 0 ... T-1, long or float, [B]
        y:Tensor|None=None, # labels: -1 for none, the only one that this network knows, long [B]
    )->Tensor: # [B, out_channels, H, W]
        """Predict from noisy images. Raises `ValueError` or `TypeError`, before any work, for a size, channels,
        times or labels that do not fit."""
        ...

__all__ = ['ChannelNorm', 'LinearAttention', 'CosineAttention', 'StandardizedConv2d', 'StandardizedBlock', 'cat_skip_last', 'FlaxUNet']
