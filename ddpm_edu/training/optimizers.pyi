# Written by `make export` from the module of the same name: edit the notebook.
"""Optimisers: the table `OPTIMIZERS`; `clipped` for gradients that are too long; `Muon` with steps of equal
strength in all directions (by `orthogonalised`), which `muon(model)` combines with Adam."""
from dataclasses import field
from typing import Any
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import as_float, explain_errors
from .loop import adam

def orthogonalised(
    G:Tensor, # `[..., n, m]` a matrix, or a stack of them
    steps:int=5, # rounds of the polynomial
)->Tensor: # `[..., n, m]`, the same directions with strengths between about 0.7 and 1.2
    "Nearly U Vᵀ of G = U S Vᵀ, by matrix products alone (Jordan et al. 2024, Newton-Schulz of order 5)."
    ...

class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (Jordan et al. 2024), for matrices and convolutions.
    Raises `ValueError` for vectors."""
    def __init__(self,
        params:Iterable[nn.Parameter], # `[n, ...]` of two dimensions or more; all but the first are flattened
        lr:float=.02, # how far each direction is moved
        momentum:float=.95, # share of the past in the mean of gradients
    ):
        ...
    def step(self:Muon,
        closure:Callable|None=None, # computes the loss and its gradients anew, before the step
    )->Any: # what the closure gives
        "One step; parameters without a gradient stay."
        ...

class CombinedOptimizer(torch.optim.Optimizer):
    "Several optimisers that act as one."
    optimizers:list[torch.optim.Optimizer]
    def __init__(self,
        optimizers:Sequence[torch.optim.Optimizer], # each with parameters of its own
    ):
        ...
    def __getstate__(self)->dict[str, Any]:
        ...
    @property
    def param_groups(self)->list[dict]:
        ...
    @param_groups.setter
    def param_groups(self, groups:list[dict])->None:
        ...
    def add_param_group(self, param_group:dict[str, Any])->None:
        ...
    @property
    def state(self)->dict:
        ...
    def step(self, closure:Callable|None=None)->Any: # what the closure gives
        ...
    def zero_grad(self, set_to_none:bool=True)->None:
        ...
    def state_dict(self)->dict[str, Any]:
        ...
    def load_state_dict(self, state_dict:dict[str, Any])->None:
        ...

def muon(
    model:nn.Module, # what is trained: its parameters that require a gradient
    lr:float=.02, # of Muon, for matrices and convolutions: how far each direction is moved
    adam_lr:float=2e-3, # of Adam, for the vectors and for tables of embeddings
    momentum:float=.95, # of Muon
)->CombinedOptimizer:
    "Muon for matrices and convolutions, Adam with the decays 0.9 and 0.99 for the rest."
    ...

def _adamw(model:nn.Module, lr:float=1e-3, weight_decay:float=.01, betas:tuple[float, float]=(.9, .999),
           eps:float=1e-8)->torch.optim.Optimizer:
    ...

def _sgd(model:nn.Module, lr:float=1e-2, momentum:float=.9, nesterov:bool=True,
         weight_decay:float=0.)->torch.optim.Optimizer:
    ...
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]]

def optimizer(
    name:str, # a name from `OPTIMIZERS`
    model:nn.Module, # what is trained
    lr:float, # learning rate
    **options:Any, # of the optimiser, such as `weight_decay`
)->torch.optim.Optimizer:
    "An optimiser by name. Raises `ValueError` for unknown ones and for what is no rate."
    ...

def clipped(
    opt:torch.optim.Optimizer, # any, also one of several
    norm:float|None=None, # longest gradient of all parameters together
    value:float|None=None, # largest absolute value of each number of it
)->torch.optim.Optimizer: # the same optimiser
    """Bound the gradients before each step of the optimiser.
    Raises `ValueError` unless one positive bound is given."""
    ...

__all__ = ['OPTIMIZERS', 'orthogonalised', 'Muon', 'CombinedOptimizer', 'muon', 'optimizer', 'clipped']
