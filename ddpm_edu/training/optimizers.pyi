# Written by `make export` from the module of the same name: edit the notebook.
"""An optimiser for matrices: `Muon` makes steps of equal strength in all directions (by `orthogonalised`);
`muon(model)` combines it with Adam for everything else."""
from dataclasses import field
from typing import Any
from collections.abc import Iterable, Sequence
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import explain_errors

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
    def step(self:Muon, closure:Any=None)->None:
        "One step; parameters without a gradient stay."
        ...

class CombinedOptimizer(torch.optim.Optimizer):
    "Several optimisers that act as one."
    optimizers: list
    defaults: dict
    def __init__(self,
        optimizers:Sequence[torch.optim.Optimizer], # each with parameters of its own
    ):
        ...
    @property
    def param_groups(self)->list[dict]:
        ...
    @param_groups.setter
    def param_groups(self, groups:list[dict])->None:
        ...
    @property
    def state(self)->dict:
        ...
    def step(self, closure:Any=None)->None:
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

__all__ = ['orthogonalised', 'Muon', 'CombinedOptimizer', 'muon']
