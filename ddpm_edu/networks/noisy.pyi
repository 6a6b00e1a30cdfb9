# Written by `make export` from the module of the same name: edit the notebook.
"""Noisy's networks: `NoisyUNet(in_channels, plan)` after a plan in `NOISY`, which has Lara, Maria and Alia; it
is made of `NoisyBlock`, `NoisyAttention`, `NoisyDownsample` and `NoisyUpsample`. `from_noisy` builds one from
Noisy's own configuration and weights."""
from dataclasses import field
from typing import Any
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import as_int, explain_errors
from .blocks import check_labels, check_times, scaled_dot_attention
from .chain import ConditionalChain, ConditionalSkipConnection
from .unet import check_images

def sines_cosines(
    t:Tensor, # times 0 ... T-1, float, [B]
    channels:int, # how many numbers: even and at least 4
)->Tensor: # [B, channels]: the sines, then the cosines
    "Sines and cosines of the time at speeds from 1 to 1/10000 (Vaswani et al. 2017, §3.5)."
    ...

class NoisyBlock(nn.Module):
    """A 1×1 convolution where the channels change, then a residual block with instance normalisation (Ulyanov
    et al. 2016)."""
    change: Any
    add: nn.Sequential
    def __init__(self,
        in_channels:int, # channels of x
        out_channels:int, # channels of the result
        activation:type[nn.Module]=nn.SiLU, # class of the activations
    )->None:
        ...
    def forward(self, x:Tensor)->Tensor:
        "The way round plus what the convolutions have to add."
        ...

class NoisyAttention(nn.Module):
    "Instance normalisation, attention of one head over all pixels, and the way round (Vaswani et al. 2017)."
    norm: nn.InstanceNorm2d
    q: Any
    k: Any
    v: Any
    out: Any
    def __init__(self,
        channels:int, # channels of x and of the result
    )->None:
        ...
    def forward(self, x:Tensor)->Tensor:
        "x plus what each pixel gathers from all others."
        ...

class NoisyDownsample(nn.Module):
    "Half the size by a 3×3 convolution, plus every other row and column, then an activation if there is one."
    conv: nn.Conv2d
    shortcut: bool
    activation: nn.Module | None
    def __init__(self,
        channels:int, # channels of x and of the result
        shortcut:bool=True, # add every other row and column; Lara does not
        activation:nn.Module|None=None, # what comes last
    )->None:
        ...
    def forward(self, x:Tensor)->Tensor:
        "[B, C, H, W] to [B, C, H/2, W/2]."
        ...

class NoisyUpsample(nn.Module):
    "Twice the size by a transposed 2×2 convolution, plus each pixel four times, then an activation if any."
    conv: nn.ConvTranspose2d
    activation: nn.Module | None
    def __init__(self,
        channels:int, # channels of x and of the result
        activation:nn.Module|None=None, # what comes last
    )->None:
        ...
    def forward(self, x:Tensor)->Tensor:
        "[B, C, H, W] to [B, C, 2H, 2W]."
        ...

@dataclass
class NoisyPlan():
    "How a `NoisyUNet` is made. Raises `ValueError` that names what is not possible."
    levels:Sequence[str] # layers of each level: B a block, A attention; b a block that narrows on the way out
    activation:str = "SiLU" # "SiLU" or "ReLU"
    first:int = 1 # channels of the first level, in units of the network's width
    plain:bool = False # halve by the convolution alone, and activate after every change of size
    def __post_init__(self)->None:
        ...
NOISY: dict

def _side(
    letters:str, # layers: B or b a block, A attention
    name:str, # first part of their names
    in_channels:int, # channels into the first
    channels:int, # channels out of each
    activation:type[nn.Module], # class of the activations
)->dict[str, nn.Module]: # the layers by name
    "One side of one level."
    ...

def noisy_level(
    plan:NoisyPlan, # of the whole network
    in_channels:int, # channels of x
    channels:int, # channels of this level; the next has twice as many
    out_channels:int, # channels of the result
    i:int=1, # number of this level
)->ConditionalChain: # maps [B, in_channels, H, W] to [B, out_channels, H, W]
    "A level and, inside it, the levels that are left."
    ...

class NoisyUNet(nn.Module):
    """Noisy's network, Lara, Maria, Alia or another plan. `forward(x, t)`.
    Raises `ValueError` for arguments that are impossible."""
    num_classes = 0 # it knows no labels
    config: dict[str, Any]
    in_channels: Any
    time_channels: Any
    T: Any
    divisor: Any
    chain: Any
    def __init__(self,
        in_channels:int, # channels of the images, and of the result
        plan:str|NoisyPlan|Mapping="Maria", # a name in `NOISY`, or a plan of your own
        width:int=64, # channels of the first level (Lara has twice as many); they double from level to level
        time_channels:int=16, # channels that the time becomes: even and at least 4
        T:int=1000, # number of time steps that it is meant for
    )->None:
        ...
    def _plan(self, plan:str|NoisyPlan|Mapping)->NoisyPlan:
        "The plan that is meant, noted in `config`."
        ...
    def forward(self:NoisyUNet,
        x:Tensor, # noisy images [B, in_channels, H, W]
        t:Tensor, # times 0 ... T-1, long or float, [B]
        y:Tensor|None=None, # labels: this network knows none, so all must be -1
    )->Tensor: # [B, in_channels, H, W]
        "Predict from noisy images. Raises `ValueError` or `TypeError` for what does not fit."
        ...

def _noisy_names(
    chain:ConditionalChain, # a level of the network
    path:str="chain.", # where it is in ours
    scope:str="main.", # where it is in the original
)->Iterator[tuple[str, str]]: # our name and the original's, of each tensor
    "The original numbers the layers of a level; an activation after a change of size has a number, too."
    ...

def noisy_weights(
    net:NoisyUNet, # the network that they are for
    params:Mapping[str, Tensor], # the original's state dict
)->dict[str, Tensor]: # a state dict for `net`
    """The original's parameters under our names.
    Raises `ValueError` for a parameter that is missing, left over or of another shape."""
    ...

def from_noisy(
    config:Mapping[str, Any], # Noisy's configuration, with its sections `arch` and `img`
    params:Mapping[str, Tensor]|None=None, # the original's state dict; first weights of our own if None
)->NoisyUNet:
    """Noisy's network from Noisy's own configuration and weights.
    Raises `ValueError` for a configuration without a network's name, and as `noisy_weights` does."""
    ...

__all__ = ['NOISY', 'sines_cosines', 'NoisyBlock', 'NoisyAttention', 'NoisyDownsample', 'NoisyUpsample', 'NoisyPlan', 'noisy_level', 'NoisyUNet', 'noisy_weights', 'from_noisy']
