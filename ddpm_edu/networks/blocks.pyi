# Written by `make export` from the module of the same name: edit the notebook.
"""The layers of the networks: `TimeEmbedding` and `LabelEmbedding`, the blocks `ConvEmbed`, `ResBlock` and
`PreActBlock`, `MultiheadAttention`, `Downsample` and `Upsample`. All but the embeddings take `[B, C, H,
W]`."""
from dataclasses import field
from typing import Any
import math
from collections.abc import Callable
import torch
from einops import rearrange
from fastcore.basics import patch
from torch import Tensor, nn
from torch.nn import functional as F
from ..core import explain_errors

class KeepsPrecision(nn.Module):
    "A module whose own buffers stay in float32 where its weights are converted to something shorter."
    def _apply(self, fn:Callable, recurse:bool=True)->"KeepsPrecision":
        ...

class Sinusoid(KeepsPrecision):
    """Sines and cosines of the time in turns, without parameters (Vaswani et al. 2017, §3.5).
    Raises `ValueError` for an odd or tiny `dim`."""
    omega:Tensor; offset:Tensor # buffers `[dim]`: the speeds, and what they are at t = 0
    def __init__(self,
        dim:int, # width of the embedding: even and at least 4
    )->None:
        ...
    def forward(self:Sinusoid,
        t:Tensor, # times on the scale 0 ... T-1, long or float, [B]
    )->Tensor: # values in [-1, 1], [B, dim]
        "sin ω(t+1) and cos ω(t+1) in turns, for each speed ω."
        ...

class TimeEmbedding(nn.Sequential):
    """Sinusoid, linear, GELU, linear: the time as a vector that a network learns to read (Ho et al. 2020,
    app. B)."""
    def __init__(self,
        dim:int, # width of the sinusoid and of the result; a `UNet` takes 4·model_channels
    )->None:
        ...
    def forward(self, t:Tensor)->Tensor:
        ...

class LabelEmbedding(nn.Embedding):
    """A learned vector for each class; label -1, no label, reads row 0 of the table and class `c` row `c+1`
    (Ho and Salimans 2022)."""
    def __init__(self,
        num_classes:int, # number of classes C; the table has C+1 rows
        dim:int, # width of the embedding
    )->None:
        ...
    def forward(self,
        y:Tensor, # labels -1 ... C-1, long, [B]: already seen by `check_labels`
    )->Tensor: # [B, dim]
        "The row of each label."
        ...

def check_labels(
    y:Tensor|None, # classes 0 ... num_classes-1, or -1 for no label, [n]; None means -1 for all
    num_classes:int, # classes that the network knows, 0 for none
    n:int, # batch size
    device:torch.device|str|None=None, # where labels made from None are put
)->Tensor: # long [n]
    """Labels fit for `LabelEmbedding`.
    Raises `TypeError` for labels that are no whole numbers, `ValueError` for a wrong shape or range."""
    ...

def _check_label_range(y:Tensor, num_classes:int)->None:
    "Raise `ValueError` that names a label outside -1 ... num_classes-1."
    ...

def check_times(
    t:Tensor, # times [n]
    n:int, # batch size
)->None:
    "Raise `ValueError` unless there is one time for each sample."
    ...

def group_norm(
    num_groups:int, # groups of channels that share a mean and a variance
    channels:int, # channels to normalise
)->nn.GroupNorm: # the layer (Wu and He 2018)
    "A `GroupNorm` of the channels. Raises `ValueError` where the groups do not divide them."
    ...

class Conditional(nn.Module):
    """Base of the layers whose `forward` takes conditions after `x`, such as an embedding: a
    `ConditionalChain` hands them over."""

class ConvEmbed(Conditional):
    """A 3×3 convolution that is told the conditions: `silu(GroupNorm(conv(x)) + Linear(silu(emb)))` (after Ho
    et al. 2020, app. B)."""
    conv: nn.Conv2d
    norm: Any
    emb: nn.Linear
    def __init__(self,
        in_channels:int, # channels of x
        out_channels:int, # channels of the result
        emb_dim:int, # width of the embedding
        num_groups:int=8, # groups of the normalisation; must divide out_channels
    )->None:
        ...
    def forward(self:ConvEmbed,
        x:Tensor, # features [B, in_channels, H, W]
        emb:Tensor, # embedding of the time, and of the class [B, emb_dim]
    )->Tensor: # [B, out_channels, H, W]
        "Convolve, normalise, shift each channel by what the embedding says, activate."
        ...

class ResBlock(Conditional):
    """`ConvEmbed`, conv, `GroupNorm`, SiLU, plus a skip: the identity, or a 3×3 convolution where the
    channels change (He et al. 2016)."""
    embed: ConvEmbed
    conv: nn.Conv2d
    norm: Any
    skip: Any
    def __init__(self,
        in_channels:int, # channels of x
        out_channels:int, # channels of the result
        emb_dim:int, # width of the embedding
        num_groups:int=8, # groups of both normalisations; must divide out_channels
    )->None:
        ...
    def forward(self:ResBlock,
        x:Tensor, # features [B, in_channels, H, W]
        emb:Tensor, # embedding of the time, and of the class [B, emb_dim]
    )->Tensor: # [B, out_channels, H, W]
        "The skip plus what two convolutions have to add."
        ...

class PreActBlock(Conditional):
    """A residual block that normalises first and starts by adding nothing; the embedding scales and shifts
    (Dhariwal and Nichol 2021)."""
    norm1: Any
    conv1: nn.Conv2d
    emb: nn.Linear
    norm2: Any
    conv2: nn.Conv2d
    skip: Any
    def __init__(self,
        in_channels:int, # channels of x
        out_channels:int, # channels of the result
        emb_dim:int, # width of the embedding
        num_groups:int=8, # groups of both normalisations; must divide in_channels and out_channels
    )->None:
        ...
    def forward(self:PreActBlock,
        x:Tensor, # features [B, in_channels, H, W]
        emb:Tensor, # embedding of the time, and of the class [B, emb_dim]
    )->Tensor: # [B, out_channels, H, W]
        "The skip plus what two convolutions have to add."
        ...

def scaled_dot_attention(
    q:Tensor, # queries [N, d], [B, N, d] or [B, heads, N, d]
    k:Tensor, # keys [..., M, d]: M may differ from N
    v:Tensor, # values [..., M, e], one for each key
)->Tensor: # [..., N, e]: for each query a mean of the values
    """softmax(q kᵀ / √d) v (Vaswani et al. 2017, eq. 1).
    Raises `ValueError` for shapes that do not belong together."""
    ...

class MultiheadAttention(nn.Module):
    """Every pixel looks at every other (Vaswani et al. 2017, §3.2).
    Raises `ValueError` where the heads do not divide the channels."""
    num_heads: int
    to_qkv: nn.Conv2d
    to_out: nn.Conv2d
    def __init__(self,
        channels:int, # channels of x and of the result
        num_heads:int=4, # heads, of channels/num_heads channels each; must divide channels
    )->None:
        ...
    def forward(self:MultiheadAttention,
        x:Tensor, # features [B, C, H, W], or of one image [C, H, W]
    )->Tensor: # of the same shape; the caller adds x
        """softmax(q kᵀ / √d) v in each head, between two 3×3 convolutions.
        Raises `ValueError` for features of another shape."""
        ...

class Downsample(nn.Conv2d):
    "Half the height and width (both even): a 4×4 convolution that takes two steps at a time."
    def __init__(self,
        in_channels:int, # channels of x
        out_channels:int, # channels of the result
    )->None:
        ...

class Upsample(nn.Sequential):
    "Twice the height and width: each pixel becomes four, then a 3×3 convolution (Odena et al. 2016)."
    def __init__(self,
        in_channels:int, # channels of x
        out_channels:int, # channels of the result
    )->None:
        ...

__all__ = ['KeepsPrecision', 'Sinusoid', 'TimeEmbedding', 'LabelEmbedding', 'check_labels', 'check_times', 'group_norm', 'Conditional', 'ConvEmbed', 'ResBlock', 'PreActBlock', 'scaled_dot_attention', 'MultiheadAttention', 'Downsample', 'Upsample']
