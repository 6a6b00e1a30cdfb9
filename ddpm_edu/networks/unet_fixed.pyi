# Written by `make export` from the module of the same name: edit the notebook.
"""The same UNet of three levels, written flat: `UNetFixed`, equal to `UNet` to the last bit; `copy_weights`
takes the weights over in either direction."""
from dataclasses import field
from typing import Any
from functools import partial
from fastcore.basics import patch
from torch import Tensor, nn
from torch.nn import functional as F
from ..core import explain_errors
from .blocks import Conditional, Downsample, ResBlock, Upsample, check_times
from .chain import ConditionalChain, call_layer, cat_channels
from .drawing import named_layers
from .unet import UNet, middle_layers

class UNetFixed(UNet):
    """The `UNet` with multipliers (1, 2, 4), one block a side and attention, written flat.
    Raises `ValueError` as `UNet` does."""
    config: dict
    def __init__(self,
        in_channels:int, # channels of the images
        model_channels:int, # channels m of the first level; a multiple of block_groups
        T:int=1000, # number of time steps that it is meant for
        num_classes:int=0, # classes of the labels, 0 for a network without
        block_groups:int=8, # groups of the normalisations
        num_attention_heads:int=4, # heads of the attention in the middle
        combine_embeddings:str="cat", # how time and class are combined: "cat", "sum" or "product"
        patch_size:int=1, # squares of this many pixels a side are folded into channels
        out_channels:int|None=None, # channels of the result; as many as in_channels if None
        block:type[Conditional]|str=ResBlock, # called as block(in, out, emb_dim=, num_groups=)
    )->None:
        ...
    def _wire(self:UNetFixed,
        init:nn.Module, # the first layer
        final:nn.Module, # the last layer
        block:type[Conditional], # what kind of block
        **options:Any, # its `emb_dim` and `num_groups`
    )->None:
        "Make the sixteen layers: down, middle, up."
        ...
    def forward(self:UNetFixed,
        x:Tensor, # noisy images [B, in_channels, H, W]
        t:Tensor, # times 0 ... T-1, long or float, [B]
        y:Tensor|None=None, # labels, -1 for none, long [B]; None is -1 for all
        **cond:Any, # further conditions, handed to the blocks by name
    )->Tensor: # [B, out_channels, H, W]
        """Predict from noisy images. Raises `ValueError` or `TypeError`, before any work, for a size, channels,
        times or labels that do not fit."""
        ...

def _common_names(
    net:UNet, # a network in either writing
)->dict[str, str]: # common name, such as "down_3.conv.weight", → key in the state dict
    "What the keys of the weights would be, if every layer stood by itself."
    ...

def copy_weights(
    source:UNet, # where the weights are
    target:UNet, # where they go: a network of the same layers, in the same writing or the other
)->UNet: # the target
    """Copy the weights between `UNet` and `UNetFixed`, by name.
    Raises `ValueError`, and changes nothing, if the layers are not the same."""
    ...

__all__ = ['UNetFixed', 'copy_weights']
