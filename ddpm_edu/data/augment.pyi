# Written by `make export` from the module of the same name: edit the notebook.
"""Augmentation that the network is told about: `flips`, `dihedral`, `shifts`, `hues` and `karras` change a
batch and say what they did; `Augmented` is data to which they are applied anew each time."""
from dataclasses import field
from typing import Any
import math
from collections.abc import Callable, Iterator
import torch
from fastcore.basics import patch
from torch import Tensor
from torch.nn import functional as F
from ..core import expand, explain_errors, hash_seed
Augmentation: Any

def _rand(x:Tensor, g:torch.Generator, *shape:int)->Tensor:
    "Uniform numbers for each image of a batch, `[B, *shape]`, drawn on the CPU."
    ...

def flips(
    p:float=.5, # how often
)->Augmentation: # vector of 1: 1 where mirrored
    "Mirror left and right."
    ...

def dihedral()->Augmentation: # vector of 3: 1 where mirrored, cos θ - 1 and sin θ of the turn
    """One of the eight symmetries of the square.
    The function raises `ValueError` for images that are not square."""
    ...

def shifts(
    most:int=2, # pixels, in either direction and on either axis
    fill:float|None=1., # value of what comes in, in [-1, 1]: 1 is white; `None` repeats the border
    p:float=1., # how often
)->Augmentation: # vector of 2: shift to the right and down, as parts of `most`
    """Move by whole pixels.
    Raises `ValueError` for a shift of less than one pixel; the function, for one as large as the image."""
    ...

def rgb_to_hsv(
    u:Tensor, # red, green, blue `[B, 3, ...]`, in any range from 0
)->tuple[Tensor, Tensor, Tensor]: # hue in turns 0 … 1, chroma and value, `[B, ...]`; grey has the hue 0
    "Position on the circle of colours, distance from grey, and brightness."
    ...

def hsv_to_rgb(
    h:Tensor, c:Tensor, v:Tensor, # hue in turns, chroma and value, `[B, ...]`
)->Tensor: # red, green, blue `[B, 3, ...]`
    "The way back: each channel is the value, less the chroma where its colour is far away on the circle."
    ...

def rotate_hue(
    x:Tensor, # images `[B, 3, H, W]` in [-1, 1]
    turns:Tensor, # how far for each image, 1 for the whole circle `[B]`
    dark:float=.2, # pixels whose brightest channel is below (from 0 to 1) are left alone: outlines
)->Tensor: # `[B, 3, H, W]`
    "Turn the hue of what is coloured and not dark. Raises `ValueError` for images without three channels."
    ...

def hues(
    p:float=1., # how often
    most:float=.5, # turn at most so far, in either direction; half a turn reaches every hue
    dark:float=.2, # see `rotate_hue`
)->Augmentation: # vector of 2: cos θ - 1 and sin θ of the turn
    "Turn the hue by a random angle; outlines, greys and an empty background stay as they are."
    ...

def _matrix(rows:list[list[Tensor|float]], like:Tensor)->Tensor:
    "A matrix for each image `[B, 3, 3]`, from entries `[B]` or numbers; the last row is (0, 0, 1)."
    ...

def _turn(angle:Tensor)->Tensor:
    "Rotation by `angle` `[B]`."
    ...

def _stretch(sx:Tensor, sy:Tensor)->Tensor:
    "Scaling of the axes."
    ...

def warp(
    x:Tensor, # images `[B, C, H, W]` in [-1, 1]
    inverse:Tensor, # `[B, 3, 3]`: from a place in the result to its source, in pixels from the centre
)->Tensor: # `[B, C, H, W]` in [-1, 1]
    "Resample by affine maps: cubic between pixels, mirrored beyond the border."
    ...

def _draw(x:Tensor, g:torch.Generator, p:float)->dict[str, Tensor]:
    "The numbers a0 … a7 of Karras et al. (2022, table 6), each `[B]`, zero where not applied."
    ...

def _inverse(s:Tensor, turn:Tensor, way:Tensor, stretch:Tensor, dx:Tensor, dy:Tensor)->Tensor:
    "Undo the shift, the stretching, the turn and the scaling, in this order `[B, 3, 3]`."
    ...

def karras(
    p:float=.12, # how often each of the five changes is made
    scale:float=2**.2, aniso:float=2**.2, # factors of scaling and stretching, to the power of a normal number
    shift:float=1/8, # standard deviation of the shift, as a part of the picture
)->Augmentation: # vector of 9
    "Mirror, scale, turn, stretch and move (Karras et al. 2022, appendix F.2)."
    ...

class Augmented():
    """Data whose images are changed anew each time that they are handed out.
    Raises `ValueError` for points, or without augmentations."""
    data: Any
    augmentations: Any
    told: bool
    def __init__(self,
        data:Any, # anything with `batches`, such as a `TensorData` of images
        *augmentations:Augmentation, # applied in this order
        told:bool=True, # hand out what was done as a condition `aug`; `False`: keep it, and let it leak
    ):
        ...
    def __len__(self)->int:
        ...
    def __repr__(self)->str:
        ...
    @property
    def shape(self)->tuple[int, ...]:
        ...
    @property
    def from_bytes(self)->bool:
        ...
    @property
    def augment_dim(self)->int:  # width of the vectors
        ...
    def __call__(self:Augmented,
        x:Tensor, # images `[B, C, H, W]`
        g:torch.Generator, # source of randomness
    )->tuple[Tensor, Tensor]: # images, vectors `[B, augment_dim]`
        "All augmentations of a batch, one after the other, and their vectors side by side."
        ...
    def batches(self:Augmented,
        batch_size:int, # items in a batch
        seed:int=0, # gives the order and the changes: another number for each epoch, please
        **kwargs:Any, # as the data have it: `shuffle`, `drop_last`
    )->Iterator[tuple]: # `(x, y, {"aug": [B, k]})`, or `(x, y)` where it is kept secret
        "One epoch: every item once, changed."
        ...

__all__ = ['Augmentation', 'flips', 'dihedral', 'shifts', 'rgb_to_hsv', 'hsv_to_rgb', 'rotate_hue', 'hues', 'warp', 'karras', 'Augmented']
