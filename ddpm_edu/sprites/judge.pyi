# Written by `make export` from the module of the same name: edit the notebook.
"""A measure for sprites: `SpriteClassifier` learned to name what `corrupt` did to a sprite; `sprite_score` is
a distance between sets of sprites in its features."""
from dataclasses import field
from typing import Any
from collections.abc import Callable
from typing import NamedTuple
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from torch.nn import functional as F
from ..core import explain_errors, to_uint8
from ..data.augment import rotate_hue
from ..models.files import Saved, load_saved
from ..measuring.frechet import extract, frechet_distance, mmd, moments
from ..measuring.neighbours import compare_manifolds
from .drawn import main_hue
CORRUPTIONS: tuple

def _gaps(x:Tensor, g:torch.Generator)->Tensor:
    "A third of the darkest pixels, which make the outline, become white."
    ...

def _colours(x:Tensor, g:torch.Generator)->Tensor:
    "Squares of four by four pixels have their hue turned, each for itself."
    ...
_CORRUPTED: dict[str, Callable[[Tensor, torch.Generator], Tensor]]

def corrupt(
    x:Tensor, # sprites `[B, 3, H, W]` in [-1, 1]; sides divisible by 4
    fault:Tensor|str|int, # which of `CORRUPTIONS`: numbers `[B]`, or one for all, by name or number
    seed:int=0, # of what is random in it
)->Tensor: # `[B, 3, H, W]`
    "Make faults such as a generative model makes. Raises `ValueError` for a fault that there is none of."
    ...

class SpriteClassifier(Saved):
    """A classifier of sprites: images `[B, 3, 48, 48]` in [-1, 1] to scores of 6 faults, 6 hues and 8
    generations, by 64 features."""
    config: dict
    body: nn.Sequential
    last: nn.Sequential
    heads: nn.ModuleList
    def __init__(self,
        width:int=24, # channels of the first layer
        features:int=64, # numbers that a sprite is described with
    )->None:
        ...
    def features(self,
        x:Tensor, # images `[B, 3, 48, 48]` in [-1, 1]
    )->Tensor: # `[B, 64]`, not negative
        "What its answers are made of. Raises `ValueError` for another shape."
        ...
    def forward(self, x:Tensor)->list[Tensor]:  # scores
        ...
    def loss(self:SpriteClassifier,
        x:Tensor, # sound sprites `[B, 3, 48, 48]` in [-1, 1]
        y:Tensor|None=None, # `[B]` generations from 0, -1 for unknown
    )->Tensor: # `[B]`
        """Cross entropy of the three answers, in nats; which images are spoiled, and how, is drawn from torch's
        generator."""
        ...

class SpriteScore(NamedTuple):
    "How far a collection of sprites is from the reference; of real ones it is the floor."
    kernel: float # unbiased kernel distance, smaller is better
    frechet: float # Fréchet distance, smaller is better; depends on the number of images
    precision: float; recall: float; coverage: float # shares, larger is better
    faulty: float # share of the images in which the reader sees a fault

def sprite_score(
    images:Tensor, # `[N, 3, 48, 48]`, floats in [-1, 1] or bytes
    reference:Tensor, # real ones that were kept back: `pokemon(split="test").x`
    judge:SpriteClassifier|None=None, # the one that ships if left out
)->SpriteScore:
    "Measure sprites by the protocol Sprites-v1. Raises `ValueError` as `extract` does."
    ...

__all__ = ['CORRUPTIONS', 'corrupt', 'SpriteClassifier', 'SpriteScore', 'sprite_score']
