# Written by `make export` from the module of the same name: edit the notebook.
"""Training in several processes and in half precision: `Scale` says how, a `Scaling` does it within the loop's
step; `products` lets GPUs multiply in a shorter format, `sample_across` draws in all processes."""
from dataclasses import field
from typing import Any
import atexit
import gc
import inspect
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import as_float, as_int, default_device, explain_errors, warn
from ..denoising.samplers import final
from ..models.base import DenoisingModel, as_labels
from .checkpoints import pack, take_up, unpack
from .loop import Place, TrainState, lay_out, random_state, set_random_state
PRECISIONS: dict

@dataclass(frozen=True)
class Scale():
    "How a training uses the machine."
    precision:str|None = None # "bf16" or "fp16" within the network; `None`: as its weights are
    tf32:bool|None = None # let NVIDIA's GPUs multiply float32 in a shorter format; `None`: as torch has it
    accumulate:int = 1 # parts that a batch is computed in, one after the other, to save memory
    threads:int|str|None = None # of the processor; "auto": as many as help, measured before the first step
    loss_scale:float = 2.**16 # with "fp16": what the loss is multiplied with at first
    period:int = 2000 # with "fp16": good steps after which that is doubled
    norms:list|None = None # is given, step by step, the two numbers that the noise scale needs (see below)

def processes()->int:
    "How many processes were started together."
    ...

def _notice_a_lonely_launch()->None:
    "Warn where `accelerate launch` was asked for several processes and has started one."
    ...

def _asked_for(words:Sequence[str])->int:
    "The number of processes in a command line of accelerate's; 1 if there is none."
    ...

def as_scale(
    scale:Any=None, # a `Scale`, "bf16" or "fp16"; `None`: as the process was started; `False`: one process
)->Scale|None: # `None` for one process in full precision
    "Read what was asked. Raises `ValueError` for a precision that there is not."
    ...

def _connected(device:Any=None)->Any: # accelerate's `PartialState`
    "Where this process stands among all. Raises `ImportError` where accelerate is missing."
    ...

def _part()->None:
    "Close the connections, and let their threads drop what they hold before Python goes away."
    ...

class Scaling():
    "A training in several processes, or in half precision, while it runs: `train` asks it at each step."
    scale: Scale
    state: Any
    n: Any
    i: Any
    device: Any
    memory: dict
    over: Any
    idle: bool
    words: int
    cut: tuple[int, int] | None
    def __init__(self,
        scale:Scale, # what was asked
        device:torch.device|str|None=None, # where to; each process has its own, if there are several
    ):
        ...
    @property
    def main(self)->bool:
        ...
    def rows(self, n:int)->tuple[int, int]:
        "Which rows of a batch of `n` are this process's. Where there are none, it computes one in vain."
        ...
    def share_of(self, data:Any)->dict[str, Any]:
        "What to ask of data that can make a part of a batch."
        ...
    def mine(self, x:Tensor, y:Tensor|None, cond:dict[str, Tensor])->tuple:
        "Size of the batch, this process's first row, and its rows, cut out unless the data did so."
        ...
    def __enter__(self)->None:
        ...
    def __exit__(self, *error:Any)->None:
        ...
    def larger(self, loss:Tensor)->Tensor:
        "What the gradients are computed of."
        ...
    def add_up(self:Scaling,
        params:list[nn.Parameter], # with the gradients of this process, which become those of all
        losses:list[Tensor], # of its parts
        part:float, # of the batch that is its own
    )->Tensor: # the loss of the batch
        "Add the gradients of all processes."
        ...
    def total(self:Scaling, x:Tensor)->Tensor: # where `x` is
        "The sum over all processes."
        ...
    def told(self:Scaling,
        norm:float, # of the gradient
    )->bool: # `False` where the user has to be told
        "Take a step's gradient into account: is it finite, or was only the loss too large?"
        ...
    def goes_on(self:Scaling,
        opt:torch.optim.Optimizer, # gets the learning rates of the main process
    )->bool: # `False` where that says that it is over
        "Before a step: hear what the main process wants."
        ...
    def say(self:Scaling, values:list[float])->list[float]: # those of the main process
        "Tell the others; in the others: hear it."
        ...
    def begin(self:Scaling,
        model:nn.Module, opt:torch.optim.Optimizer, # those of the main process count
        start:TrainState|None=None, # the state to go on after, as the main process has read it
        told:dict[str, Any]|None=None, # of a run's checkpoints: what the loss is multiplied with is kept there
    )->TrainState|None: # the same, everywhere
        "Bring all processes to the state of the main one."
        ...
    def _begin(self:Scaling, model:nn.Module, opt:torch.optim.Optimizer, start:TrainState|None)->TrainState|None:
        "Send the state of the main process to the others."
        ...
    def _random(self:Scaling, state:dict[str, Any]|None)->dict[str, Any]|None:
        "A random state in which each CUDA device stands where the one of the main process does."
        ...
    def share(self:Scaling, model:nn.Module)->None:
        "Give all processes the weights and buffers of the main one."
        ...
    def tell(self:Scaling, value:Any)->Any: # the one of the main process
        "The same for plain values."
        ...
    def finish(self:Scaling,
        model:nn.Module, # trained
        log:dict[str, Any], # see `history`
        signal:int|None=None, # that ended it
    )->int|None: # the signal, everywhere
        "The end: the others hear of it, and get weights and history."
        ...

def _gradients(params:list[nn.Parameter])->list[Tensor]:
    ...

def _square(params:list[nn.Parameter])->float:
    "Squared norm of the gradient."
    ...

def _pieces(tensors:list[Tensor], size:int=2**24)->Iterator[list[Tensor]]:
    "Lists of tensors of one type, of about `size` numbers."
    ...
_TOLD: tuple

def main_process()->bool:
    "Whether this process is the one that should write and print; true where there is only one."
    ...

@contextmanager
def products(
    tf32:bool|None, # let NVIDIA's GPUs multiply float32 in a shorter format; `None`: as it is
)->Iterator[None]:
    "Set how matrix products and convolutions in float32 are computed, for a while."
    ...

def sample_across(
    model:DenoisingModel, # the same in all processes
    n:int, # samples
    labels:Any=None, # as for `sample`
    guidance_scale:float=1., # 1 plain, above 1 exaggerates the label, 0 ignores it
    *, seed:int, # decides the samples, however many processes there are
    batch_size:int=256, # samples at a time, in each process
    **how:Any, # of `sample_iter`: `sampler`, `n_steps`, `preset`, …
)->Tensor: # `[n, *data_shape]`, in every process
    "Draw samples, each process its share. Raises `ValueError` as `sample` does."
    ...

__all__ = ['PRECISIONS', 'Scale', 'processes', 'as_scale', 'Scaling', 'main_process', 'products', 'sample_across']
