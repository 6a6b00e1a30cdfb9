# Written by `make export` from the module of the same name: edit the notebook.
"""The UNet, nested: `UNet(in_channels, model_channels, T, channel_multipliers, ...)`; its arguments are the
fields of `UNetConfig`, and `middle_layers` makes the innermost level."""
from dataclasses import field
from typing import Any
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from torch.nn import functional as F
from ..core import as_float, as_int, explain_errors, warn
from . import blocks
from .blocks import Conditional, Downsample, LabelEmbedding, MultiheadAttention, ResBlock
from .blocks import TimeEmbedding, Upsample, check_labels, check_times
from .chain import ConditionalChain, ConditionalSkipConnection, cat_channels

def _blocks(
    name:str, # name of a single block; several are name_1, name_2, ...
    n:int, # how many
    in_channels:int, # channels into the first
    out_channels:int, # channels out of each
    num_heads:int=0, # heads of an attention after each block, 0 for none
    block:type[nn.Module]=ResBlock, # what kind of block
    **options:Any, # `emb_dim` and `num_groups` of the block
)->dict[str, nn.Module]: # the blocks by name
    "The `n` blocks on one side of one level."
    ...

def _attention(channels:int, num_heads:int)->ConditionalSkipConnection: # x + attention(x)
    "Attention with the way round it."
    ...

def middle_layers(
    channels:int, # channels at the bottom
    num_heads:int, # heads of the attention; 0 for no attention and a single block
    block:type[nn.Module]=ResBlock, # what kind of block
    **options:Any, # `emb_dim` and `num_groups` of the block
)->dict[str, nn.Module]: # the layers by name
    "The bottom of the network."
    ...

def _inside(
    i:int, # which skip, from 1
    c:Sequence[int], # channels of the levels: c[i-1] come in, c[i] go out
    n:int, # blocks on each side of a level
    heads:Sequence[int], # heads of the attention on each level, and last in the middle; 0 for none
    **options:Any, # `block`, and its `emb_dim` and `num_groups`
)->ConditionalChain: # maps [B, c[i-1], H, W] to [B, c[i], H, W]
    "What lies inside `skip_i`: a whole network, one size smaller."
    ...
COMBINE: dict[str, Callable[[Tensor, Tensor], Tensor]]

@dataclass(eq=False)
class UNetConfig():
    "The arguments of a `UNet`."
    in_channels:int # channels of the images
    model_channels:int # channels m of the first level; a multiple of block_groups
    T:int = 1000 # number of time steps that it is meant for
    channel_multipliers:Sequence[int] = (1, 2, 4) # channels of the levels, in units of m
    num_classes:int = 0 # classes of the labels, 0 for a network without
    num_blocks_per_level:int = 1 # residual blocks on each side of each level
    block_groups:int = 8 # groups of the normalisations
    num_attention_heads:int = 4 # heads of the attention in the middle
    middle_attention:bool = True # `False`: no attention in the middle, and one block less
    combine_embeddings:str = "cat" # how time and class are combined: "cat", "sum" or "product"
    patch_size:int = 1 # squares of this many pixels a side are folded into channels
    out_channels:int|None = None # channels of the result; as many as in_channels if None
    block:type[Conditional]|str = ResBlock # class (or name), called as block(in, out, emb_dim=, num_groups=)
    augment_dim:int = 0 # width of the vector that tells how an image was augmented; 0: it is not told
    zero_final:bool = False # the last convolution starts at zero, so that an untrained network answers 0
    attention_levels:Sequence[int] = () # levels with attention after each block; 0 is the full size
    dropout:float = 0. # share of a block's features that is set to 0 in training
    def check(self:UNetConfig)->None:
        """Raise `ValueError` that names an argument that is not possible; whole numbers of NumPy and PyTorch
        become Python's."""
        ...
    def check_levels(self:UNetConfig)->None:
        "Raise `ValueError` for `attention_levels` that the network has not."
        ...

def block_class(
    block:type|str, # a class, or the name of one of `ddpm_edu.networks.blocks`, such as "ResBlock"
)->type[Conditional]: # the class
    """The class of the blocks.
    Raises `ValueError` for a name from elsewhere, or what is no `Conditional` class."""
    ...

@dataclass(eq=False, repr=False)
class UNet(nn.Module, UNetConfig):
    """The nested UNet. `forward(x, t, y=None)`.
    Raises `ValueError` for arguments that are impossible or do not fit each other."""
    divisor:int = field(init=False) # the sides of images are multiples of it
    config: dict = field(init=False)
    def __post_init__(self)->None:
        ...
    def _build(self:UNet)->None:
        "Make the layers from the arguments."
        ...
    def _wire(self:UNet,
        init:nn.Module, # the first layer
        final:nn.Module, # the last layer
        **options:Any, # `block`, and its `emb_dim` and `num_groups`
    )->None:
        "Make the chain: the first level, which holds all the others."
        ...
    def check_size(self:UNet,
        shape:Sequence[int], # shape of the images [B, C, H, W]
    )->None:
        "Raise `ValueError` for images that this network cannot take."
        ...
    def embed(self:UNet,
        t:Tensor, # times 0 ... T-1, long or float, [B]
        y:Tensor|None=None, # labels, -1 for none, long [B]
        aug:Tensor|None=None, # how each image was augmented, 0 for not at all [B, augment_dim]; `None` for zeros
    )->Tensor: # what every block is told [B, emb_dim]
        """Time, augmentation and class as one vector.
        Raises `ValueError` or `TypeError` for labels or a vector that do not fit."""
        ...
    def _augmented(self:UNet, time:Tensor, aug:Tensor)->Tensor:
        "The time's embedding with that of the augmentation added to it."
        ...
    def forward(self:UNet,
        x:Tensor, # noisy images [B, in_channels, H, W]
        t:Tensor, # times 0 ... T-1, long or float, [B]
        y:Tensor|None=None, # labels, -1 for none, long [B]; None is -1 for all
        aug:Tensor|None=None, # how each image was augmented [B, augment_dim]; `None` for not at all
        **cond:Any, # further conditions, handed to the blocks by name
    )->Tensor: # [B, out_channels, H, W]
        """Predict from noisy images. Raises `ValueError` or `TypeError`, before any work, for a size, channels,
        times or labels that do not fit."""
        ...

def check_images(
    shape:Sequence[int], # shape of the images [B, C, H, W]
    in_channels:int, # channels that the network takes
    divisor:int, # what both sides must be divisible by
    patch_size:int=1, # squares of this many pixels a side are folded into channels
    levels:str="channel_multipliers", # the argument that makes the levels, for the message
)->None:
    """Raise `ValueError` for images that a network cannot take: wrong channels, or a side that cannot be
    halved often enough."""
    ...

__all__ = ['COMBINE', 'middle_layers', 'UNetConfig', 'block_class', 'UNet', 'check_images']
