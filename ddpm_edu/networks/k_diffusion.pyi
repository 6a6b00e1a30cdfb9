# Written by `make export` from the module of the same name: edit the notebook.
"""The UNet of k-diffusion: `KDiffusionUNet(in_channels, channels, depths)`, with vectors, images and
sentences as conditions; `set_skip_stages` and `set_patch_size` let it grow to larger images."""
from dataclasses import field
from typing import Any
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import partial
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from torch.nn import functional as F
from ..core import as_float, as_int, explain_errors
from .adaptive import AdaBlock, AdaCrossAttention, AdaSelfAttention, FixedDownsample
from .adaptive import FixedUpsample, FourierFeatures, mapping_network
from .blocks import check_labels, check_times
from .chain import ConditionalChain, ConditionalSkipConnection
from .flax_unet import cat_skip_last
from .unet import check_images

@dataclass(eq=False, repr=False)
class KDiffusionUNet(nn.Module):
    """The UNet of k-diffusion (Crowson 2022). `forward(x, t, aug=, mapping_cond=, unet_cond=, cross_cond=)`.
    Raises `ValueError` for arguments that are impossible or do not fit each other."""
    in_channels:int # channels of the images
    channels:Sequence[int] = (128, 256, 512) # channels of the levels
    depths:Sequence[int] = (2, 4, 4) # blocks on each side of each level
    T:int = 1000 # number of time steps that it is meant for
    attention_levels:Sequence[int] = () # levels with self-attention after each block; 0 is the full size
    cross_attention_levels:Sequence[int] = () # levels with cross-attention after each block
    mapping_dim:int = 256 # width of the vector that steers the layers: even
    augment_dim:int = 0 # width of the vector that tells how an image was augmented; 0: it is not told
    mapping_cond_dim:int = 0 # width of a further vector that is told; 0 for none
    unet_cond_dim:int = 0 # channels of an image that is laid beside the noisy one; 0 for none
    cross_cond_dim:int = 0 # width of the vectors in the list for cross-attention; 0 for none
    patch_size:int = 1 # squares of this many pixels a side are folded into channels
    skip_stages:int = 0 # upper levels that are left out for now
    learned_variance:bool = False # one channel more: ln of its own squared error, averaged over the image
    dropout:float = 0. # see `AdaBlock` and `AdaSelfAttention`
    sigma_min:float = .01 # the noise at t = 0
    sigma_max:float = 80. # the noise at t = T-1
    num_classes:int = field(default=0, init=False) # it knows no labels
    def __post_init__(self)->None:
        ...
    @property
    def config(self)->dict[str, Any]: # the arguments that build it again
        ...
    @property
    def divisor(self)->int: # the sides of images are multiples of it
        ...
    def _check(self:KDiffusionUNet)->None:
        "Raise `ValueError` that names an argument that is not possible."
        ...
    def _side(self:KDiffusionUNet,
        name:str, # "down_1" or the like: the layers are down_1_1, down_1_1_attention, ...
        i:int, # level, from 0
        first:int, # channels into the first block
        last:int, # channels out of the last block
    )->dict[str, nn.Module]: # the layers by name
        "The blocks on one side of a level, each with its attentions."
        ...
    def _level(self:KDiffusionUNet, i:int)->dict[str, nn.Module]:
        "The layers of level `i`, which hold the levels below it."
        ...
    def _build(self:KDiffusionUNet)->None:
        "Make the layers from the arguments."
        ...
    def level(self:KDiffusionUNet,
        i:int, # level, from 0
    )->ConditionalChain: # its layers, which hold the levels below
        "The part of the nest that begins at a level."
        ...
    def _open(self:KDiffusionUNet)->None:
        "Put in the changes of size below the first level that is used, and new ends."
        ...
    def c_noise(self:KDiffusionUNet,
        t:Tensor, # times 0 ... T-1 [B]
    )->Tensor: # ¼ ln σ [B]
        "What k-diffusion's network is told of the noise (Karras et al. 2022, table 1)."
        ...
    def embed(self:KDiffusionUNet,
        t:Tensor, # times 0 ... T-1 [B]
        aug:Tensor|None=None, # how each image was augmented [B, augment_dim]; `None` for not at all
        mapping_cond:Tensor|None=None, # a further vector [B, mapping_cond_dim]; `None` for zeros
    )->Tensor: # the vector that steers every layer [B, mapping_dim]
        "Noise, augmentation and further vector as one. Raises `ValueError` for vectors that do not fit."
        ...
    def _lists(self:KDiffusionUNet, n:int, cross:Tensor|None, padding:Tensor|None)->dict[str, Tensor]:
        "The list for cross-attention and its filling, as layers call them; `ValueError` if it is missing."
        ...
    def _laid_beside(self:KDiffusionUNet, x:Tensor, unet_cond:Tensor|None)->Tensor:
        "Both images as one, folded into patches. Raises `ValueError` for images that do not fit."
        ...
    def forward(self:KDiffusionUNet,
        x:Tensor, # noisy images [B, in_channels, H, W]
        t:Tensor, # times 0 ... T-1, long or float, [B]
        y:Tensor|None=None, # labels: -1 for none, the only one that this network knows, long [B]
        aug:Tensor|None=None, # how each image was augmented [B, augment_dim]; `None` for not at all
        mapping_cond:Tensor|None=None, # a further vector [B, mapping_cond_dim]; `None` for zeros
        unet_cond:Tensor|None=None, # an image to look at [B, unet_cond_dim, H, W]
        cross_cond:Tensor|None=None, # a list of vectors to attend to [B, M, cross_cond_dim]
        cross_cond_padding:Tensor|None=None, # 1 or True where the list is only filled up [B, M]; `None`: nowhere
    )->Tensor: # [B, in_channels, H, W], and with `learned_variance` one channel more
        """Predict from noisy images. Raises `ValueError` or `TypeError`, before any work, for a size, times or
        conditions that do not fit."""
        ...
    def set_skip_stages(self:KDiffusionUNet,
        skip_stages:int, # upper levels that are left out from now on
    )->KDiffusionUNet: # itself, changed in place
        """Bring upper levels in, or leave them out; the ends are new, so make a new optimiser, too.
        Raises `ValueError` for a number that leaves no level."""
        ...
    def set_patch_size(self:KDiffusionUNet,
        patch_size:int, # squares of this many pixels a side are folded into channels from now on
    )->KDiffusionUNet: # itself, changed in place
        "Fold the image otherwise; the ends are new, so make a new optimiser, too. Raises `ValueError` below 1."
        ...
    def _grow(self:KDiffusionUNet, **new:int)->KDiffusionUNet:
        "Change an argument if it is possible, then the ends."
        ...
_LEAST: dict

def _fitting(given:Tensor|None, name:str, shape:tuple[int, ...])->Tensor|None:
    "What was given for a condition; `ValueError` if it has another shape, or the network takes none."
    ...

__all__ = ['KDiffusionUNet']
