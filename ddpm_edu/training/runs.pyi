# Written by `make export` from the module of the same name: edit the notebook.
"""Training put together: `fit` trains a model with all stages; given a folder, `run="zoo/mine"` or a `Run`, it
keeps checkpoints there (`autosave`), goes on from the latest by itself, and stops when asked (`Stopping`)."""
from dataclasses import field
from typing import Any
import csv
import io
import math
import os
import platform
import shlex
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import torch
from fastcore.basics import patch
from torch import nn
from ..core import as_float, as_int, default_device, write_file
from ..models.base import load
from ..models.files import as_plain, checkpoints_of, linked, read_file, unwrapped
from .averages import as_average, ema
from .checkpoints import into, point_latest, prune, read_checkpoint, restore
from .checkpoints import save_checkpoint, size_of, take_up, versions
from .loop import TrainState, adam, budget, check_data, lay_out, train, until
from .rates import anneal, as_rate
from .stages import history, progress, sample_grids, validate, validation_loss

@dataclass(frozen=True)
class Run():
    "A folder that a training lives in, and what is kept there."
    folder:str|os.PathLike # such as "zoo/mine"; made if it is not there
    every:int|None = 1000 # steps between two checkpoints, and:
    minutes:float|None = 10. # minutes between two checkpoints; one is written at the end in any case
    keep:int = 3 # how many of the last checkpoints are kept
    keep_every:int|None = None # those of a multiple of so many steps are kept for good
    samples:int|None = None # steps between two sheets of samples, written to `samples/`
    start:str|os.PathLike|None = None # a model, checkpoint or run to begin with, where this one is new
    keep_opt:bool = False # begin with its optimiser's state, and with its raw weights, too
    @property
    def path(self)->Path:
        ...

def as_run(
    run:Any, # a path or a `Run`
)->Run:
    "Read what was asked. Raises `TypeError` or `ValueError` for what is none."
    ...

@contextmanager
def locked(
    folder:Path, # of a run; made if it is not there
)->Iterator[None]:
    "Keep other processes out of a run. Raises `RuntimeError` where one is in it."
    ...

def _take(f:Any)->bool:
    "Take the lock of a file, if nobody has it. Where a disk knows no locks, everybody gets it."
    ...

class Stopping():
    "Within it, signals are requests: `signal` says which one came. The second of a kind is obeyed at once."
    numbers: list
    before: dict
    def __init__(self,
        also:bool=False, # listen to the end of a terminal and to a batch system, too, beside Ctrl-C
    ):
        ...
    def __enter__(self)->"Stopping":
        ...
    def _asked(self, n:int, frame:Any)->None:
        ...
    def __exit__(self, *_:Any)->None:
        ...

def settings(
    model:nn.Module, # in training
    data:Any, # what it is trained on
    opt:torch.optim.Optimizer, # its optimiser
    **given:Any, # the other arguments of `fit`
)->dict[str, Any]: # as YAML has it
    "What decides about a training, in words and numbers."
    ...
_BUDGET: tuple
_LEAVE: tuple

def _plain(value:Any)->Any:
    "Numbers, text and lists; a function by its name and arguments."
    ...

def changes(
    old:dict[str, Any], new:dict[str, Any], # settings
    path:str="", # where we are
)->dict[str, list]: # path → what it was, what it is
    "The settings that differ, by their paths."
    ...

def _check_same(run:Path, old:dict[str, Any], new:dict[str, Any])->dict[str, list]:
    "What has changed, if it may. Raises `ValueError` for what may not."
    ...
COLUMNS: tuple

def read_history(
    path:Path, # history.csv
    upto:float=math.inf, # the last step to read
)->list[list[Any]]: # a row for each step: see `COLUMNS`
    "The losses of a run; a line that was cut short ends it."
    ...

def _as_csv(rows:Sequence[Sequence[Any]], head:bool)->str:
    ...

def draw_history(
    rows:Sequence[Sequence[Any]], # see `read_history`
    path:Path, # a .png file
)->None:
    "The losses as a picture: each step, their mean, and what was held out."
    ...

class Keeper():
    "What is known of a run while it is trained."
    run: Run
    path: Any
    config: dict[str, Any]
    saved: int
    clock: Any
    trouble: bool
    def __init__(self,
        run:Run, # the folder, and what is kept
        config:dict[str, Any], # see `settings`
    ):
        ...
    def begin(self, model:nn.Module, opt:torch.optim.Optimizer, log:dict[str, Any])->TrainState|None:
        "The state to go on after, `None` for a run that is new. Raises `ValueError` for what does not fit."
        ...
    def _activate(self)->None:
        "Make this run the active one of its zoo."
        ...
    def _go_on(self:Keeper, model:nn.Module, opt:torch.optim.Optimizer, log:dict[str, Any])->TrainState:
        "Take the run up where it was."
        ...
    def _start(self:Keeper, model:nn.Module, opt:torch.optim.Optimizer)->None:
        "Begin a new run with what another one has learned."
        ...
    def save(self:Keeper, s:TrainState)->None:
        "Write a checkpoint and the history, remove old ones; where that is impossible, say so."
        ...
    def due(self:Keeper, s:TrainState)->bool:
        "Is it time for a checkpoint?"
        ...
    def close(self:Keeper)->None:
        "Draw the history, and tell what the run takes on disk."
        ...

def _append(table:Path, rows:list[list[Any]])->None:
    "Add lines to the history, all or none. Raises `OSError`."
    ...

def autosave(
    states:Iterator[TrainState], # training
    keeper:Keeper, # of the run
)->Iterator[TrainState]: # the same
    """Write a checkpoint when it is due, at the end, and where whoever comes after ends it. After an error in
    the training itself none is written, since nobody knows how far the step came."""
    ...

def fit(
    model:nn.Module, # for example a `GaussianDiffusion`; trained in place
    data:Any, # a data set, or any iterable of `x` or `(x, y)`, with `x` in [-1, 1]
    epochs:float|None=None, # passes over the data; or:
    steps:float|None=None, # optimiser steps, `math.inf`: until Ctrl-C; or:
    minutes:float|None=None, # of training, by the clock
    batch_size:int=64, # samples a step
    lr:float=2e-3, # peak learning rate of Adam
    seed:int=0, # decides the order of the data; the noise comes from torch's generator: see `set_seed`
    device:torch.device|str|None=None, # where to train; `default_device()` if left out
    valid:Any=None, # held-out data, for a validation loss every 500 steps and at the end
    average:Any=.999, # greatest decay of the averaged weights, or as `as_average` has it; `False`: no average
    opt:torch.optim.Optimizer|None=None, # instead of Adam, with its own peak as `lr`: `muon(model)`
    stages:Sequence[Callable]=(), # further functions from states to states
    run:Any=None, # a folder to keep checkpoints in and to go on from, "zoo/mine", or a `Run`
    rate:Any="trapezoid", # learning rate over time: a name from `RATES`, or as `as_rate` has it
    accumulate:int=1, # parts that a batch is computed in, to save memory
)->dict[str, Any]: # losses and totals (see `history`), and as `raw` the weights without the average
    """Train with averaged weights, falling learning rate and a progress bar. Ctrl-C ends it early and leaves
    a usable model. Raises `ValueError` for what cannot work, before any step."""
    ...

def _check(model:Any, data:Any)->None:
    "Raise `ValueError` for what cannot be trained, or trained on."
    ...

def _run(
    states:Any, # training, ready to go
    saver:Any, # the last stage of `fit`'s own
    model:nn.Module, # gets the averaged weights at the end
    log:dict[str, Any], # what `history` fills in
    last:TrainState|None, # the state that training goes on after
    keeper:Keeper|None, # of a run
)->dict[str, Any]: # `log`
    "Go through all steps; whatever happens, leave the averaged weights in the model, and a checkpoint."
    ...

def _tell(log:dict[str, Any], last:TrainState|None)->None:
    "Where it stopped."
    ...

__all__ = ['COLUMNS', 'Run', 'as_run', 'locked', 'Stopping', 'settings', 'changes', 'read_history', 'draw_history', 'Keeper', 'autosave', 'fit']
