# Written by `make export` from the module of the same name: edit the notebook.
"""The folder of a training: `Run` says what is kept there, `locked` keeps others out, `about`, `settings` and
`changes` tell what it was begun with, `read_history` and `read_measured` read its curves; a `Keeper` and
`autosave` write it all."""
from dataclasses import field
from typing import Any
import csv
import io
import math
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import torch
from fastcore.basics import patch
from torch import nn
from ..core import as_float, as_int, explain_errors, warn, write_file
from ..models.base import load
from ..models.files import as_plain, checkpoints_of, linked, read_file, unwrapped
from .checkpoints import into, point_latest, prune, read_checkpoint, restore
from .checkpoints import save_checkpoint, size_of, take_up, versions
from .loop import TrainState, lay_out

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
    initial:bool = False # write a checkpoint before the first step, too
    tell:bool = False # print what the training will need before it begins: see `estimate`
    config:dict[str, Any]|None = None # what all is built from, if that is written down: kept as `config`
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

def about(
    model:nn.Module, # in training
    opt:torch.optim.Optimizer, # its optimiser
)->dict[str, Any]: # by part
    "Model, network and optimiser in words and numbers."
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

def _table(path:Path, upto:float=math.inf)->tuple[list[str], list[list[Any]]]:
    "Names and rows of a history; a line that was cut short ends it."
    ...

def read_history(
    path:Path, # history.csv
    upto:float=math.inf, # the last step to read
)->list[list[Any]]: # a row for each step: see `COLUMNS`
    "The losses of a run."
    ...

def read_measured(
    path:Path, # history.csv
    upto:float=math.inf, # the last step to read
)->dict[str, list[tuple[int, float]]]: # name → (step, value) wherever it was measured
    "The curves that stages have measured: what they put into `TrainState.measured`."
    ...

def _as_csv(names:Sequence[str], rows:Iterable[Sequence[Any]], head:bool)->str:
    ...

def _append(table:Path, rows:list[dict[str, Any]])->None:
    "Add lines to the history, all or none; a new name gets a column of its own. Raises `OSError`."
    ...

def draw_history(
    path:Path, # history.csv
    to:Path, # a .png file
)->None:
    "The losses as a picture: each step, their mean, and what was held out; below it what stages measured."
    ...

class Keeper():
    "What is known of a run while it is trained."
    run: Run
    path: Any
    config: Any
    told: dict[str, Any]
    rows: list[dict[str, Any]]
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
    def note(self:Keeper, s:TrainState)->None:
        "Remember a step for the history."
        ...
    def due(self:Keeper, s:TrainState)->bool:
        "Is it time for a checkpoint?"
        ...
    def close(self:Keeper)->None:
        "Draw the history, and tell what the run takes on disk."
        ...

def autosave(
    states:Iterator[TrainState], # training
    keeper:Keeper, # of the run
)->Iterator[TrainState]: # the same
    """Write a checkpoint when it is due, at the end, and where whoever comes after ends it: when all stages
    have seen the step, so that what they measured is in it, and the random numbers that they drew. After an
    error in the training itself none is written, since nobody knows how far the step came."""
    ...

__all__ = ['COLUMNS', 'Run', 'as_run', 'locked', 'about', 'settings', 'changes', 'read_history', 'read_measured', 'draw_history', 'Keeper', 'autosave']
