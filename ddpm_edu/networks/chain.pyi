# Written by `make export` from the module of the same name: edit the notebook.
"""Networks as lists: `ConditionalChain` hands conditions to the layers that want them,
`ConditionalSkipConnection` and `ParallelSum` branch; `PointNet` is a network for points made of them."""
from dataclasses import field
from typing import Any
from collections.abc import Callable, Iterator
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import explain_errors
from .blocks import Conditional, LabelEmbedding, Sinusoid, check_labels, check_times

def call_layer(
    layer:nn.Module, # any module
    x:Tensor, # what every layer takes
    *conds:Any, # conditions by position, such as an embedding
    **kwargs:Any, # conditions by name
)->Tensor: # what the layer returns
    "The layer's output: a `Conditional` layer gets `x` and the conditions, any other only `x`."
    ...

class ConditionalChain(Conditional):
    """Layers one after another; those that are `Conditional` get the conditions too.
    Raises `TypeError` for a layer that is no module."""
    _modules:dict[str, nn.Module] # type: ignore[assignment]
    def __init__(self,
        *layers:nn.Module, # layers that are named by their position: "0", "1", ...
        **named:nn.Module, # further layers, by name
    )->None:
        ...
    def forward(self:ConditionalChain,
        x:Tensor, # what goes through all the layers
        *conds:Any, # conditions by position: the same for every conditional layer
        **kwargs:Any, # conditions by name
    )->Tensor: # what the last layer returns
        "Send `x` through the layers in order."
        ...
    def __getitem__(self:ConditionalChain,
        i:int|str|slice, # position (a negative one counts from the end), name, or slice of positions
    )->nn.Module: # the layer itself; for a slice, a `ConditionalChain` of the same layers
        "One layer, or a part of the chain. Raises `IndexError` or `KeyError` that says what there is."
        ...
    def __len__(self:ConditionalChain)->int: # number of layers
        "How many layers the chain has, not counting what is inside them."
        ...
    def __iter__(self:ConditionalChain)->Iterator[nn.Module]: # the layers in order
        "The layers, one by one."
        ...

class ConditionalSkipConnection(Conditional):
    "`connection(layers(x, *conds), x)`: a way through `layers`, and a way round them."
    layers: nn.Module
    connection: Callable[[Tensor, Tensor], Tensor]
    def __init__(self,
        layers:nn.Module, # what is skipped: a layer or a chain, conditional or not
        connection:Callable[[Tensor, Tensor], Tensor]=torch.add, # joins the layers' output h and the input x
    )->None:
        ...
    def extra_repr(self)->str:
        ...
    def forward(self, x:Tensor, *conds:Any, **kwargs:Any)->Tensor:
        "Both ways, joined."
        ...

def cat_channels(
    h:Tensor, # what the layers made [B, C1, ...]
    skip:Tensor, # what came round them [B, C2, ...]
)->Tensor: # [B, C2+C1, ...], the skip first
    "Both in one tensor, the skip's channels in front (Ronneberger et al. 2015)."
    ...

class ParallelSum(Conditional):
    "One branch for `x`, one for each condition, and their sum."
    branches: nn.ModuleList
    def __init__(self,
        *branches:nn.Module, # the first is for x, the second for the first condition, and so on
    )->None:
        ...
    def forward(self:ParallelSum,
        *inputs:Tensor, # x and the conditions
    )->Tensor: # the sum, of the branches' common shape
        """Branch i applied to input i, all added up.
        Raises `ValueError` where the numbers of branches and inputs differ."""
        ...

def _point_block(dims:int, width:int, num_classes:int)->ParallelSum:
    "Linear(x) + Linear(sinusoid of t), and a vector of the class where there are classes."
    ...

class PointNet(nn.Module):
    """A small network for points: three layers that are told the time (and the class), then a linear one.
    `forward(x, t, y=None)`."""
    config: dict
    T: int
    num_classes: int
    dims: int
    sinusoid: Sinusoid
    chain: ConditionalChain
    def __init__(self,
        T:int=1000, # number of time steps that it is meant for
        width:int=16, # hidden width: even and at least 4
        num_classes:int=0, # classes of the labels, 0 for a network without
        dims:int=2, # coordinates of a point
    )->None:
        ...
    def forward(self:PointNet,
        x:Tensor, # points [B, dims]
        t:Tensor, # times 0 ... T-1, long or float, [B]
        y:Tensor|None=None, # labels, -1 for none, long [B]; None is -1 for all
        **cond:Any, # further conditions: this network knows none, and says so
    )->Tensor: # a vector for each point [B, dims]
        """Predict from noisy points.
        Raises `ValueError` for points, times or labels that do not fit, `TypeError` for non-integer labels."""
        ...

__all__ = ['call_layer', 'ConditionalChain', 'ConditionalSkipConnection', 'cat_channels', 'ParallelSum', 'PointNet']
