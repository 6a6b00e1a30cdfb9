# Written by `make export` from the module of the same name: edit the notebook.
"""Data in memory: `TensorData` keeps images as bytes, or points, and hands them out in shuffled batches of
floats in [-1, 1]; `normalize` brings points into that range."""
from dataclasses import field
from typing import Any
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
import numpy as np
import torch
from fastcore.basics import patch
from torch import Tensor
from ..core import as_float, as_int, check_range, explain_errors, from_uint8

def normalize(
    x:Tensor, # any shape, any range, finite
)->Tensor: # the same shape, float32, smallest value -1, largest 1
    """Shift and scale to [-1, 1] by the smallest and largest value of the whole tensor.
    Raises `ValueError` for constants and NaN."""
    ...

def _items(x:Any)->Tensor:
    "`x` as a tensor of images or points, its shape and range checked: uint8 stays, floats become float32."
    ...

def _hint(x:Tensor)->str:
    "What to type for two frequent layouts of images."
    ...

def _labels(y:Any, n:int, classes:Sequence[str]|None)->Tensor|None:
    "`y` as long `[n]`, checked against the number of items and of classes."
    ...

def _named(y:Any, classes:Sequence[str]|None)->tuple[Any, Sequence[str]|None]:
    "Numbers for labels that are names, and the classes; other labels as they are."
    ...

class TensorData():
    """Examples in memory, with or without labels.
    Raises `ValueError` for shapes, ranges and labels that do not fit."""
    along:tuple[str, ...] = () # what else has an entry for each item, in a class derived from this one
    x: Any
    classes: Any
    y: Any
    def __init__(self,
        x:Any, # tensor or array: images `[N, C, H, W]`, uint8 or in [-1, 1], or points `[N, D]` in [-1, 1]
        y:Any=None, # `[N]` class numbers from 0, -1 for no label; or the classes' names
        classes:Sequence[str]|None=None, # the classes' names
    ):
        ...
    def __len__(self)->int:
        ...
    @property
    def shape(self)->tuple[int, ...]:
        ...
    @property
    def from_bytes(self)->bool:
        ...
    def __repr__(self)->str:
        ...
    def __getitem__(self:TensorData,
        i:Any, # a number, a slice, a list or tensor of numbers, a mask
    )->tuple[Tensor, Tensor|None]: # `x` float in [-1, 1], `y`
        "The items as a model sees them. Raises `IndexError` beyond the end."
        ...
    def __getitems__(self:TensorData,
        i:list[int], # which items, as PyTorch's `DataLoader` asks for them
    )->list: # pairs `(x, y)`, or `x` alone where there are no labels, which a loader can put together
        "The items one by one."
        ...
    def subset(self:TensorData,
        i:Any, # a slice, a list or tensor of numbers, a mask
    )->TensorData:
        "Some of the items as a data set of its own. Raises `ValueError` if nothing is chosen."
        ...
    def _rows(self:TensorData, i:Any, rows:Tensor)->Any:
        "The images or points of a subset; those in a file stay there."
        ...
    def batches(self:TensorData,
        batch_size:int, # items in a batch; the last may be smaller
        seed:int=0, # gives the order: another number for each epoch, please
        shuffle:bool=True, # `False`: in the order of the data
        drop_last:bool=False, # leave out a last batch that is smaller
        share:Callable[[int], tuple[int, int]]|None=None, # of a batch of `n`, the rows to hand out: from, to
    )->Iterator[tuple[Tensor, Tensor|None]]: # `x` float `[B, ...]` in [-1, 1] and `y` long `[B]` or `None`
        "One epoch: every item once. Raises `ValueError` for a batch size without sense."
        ...
    def sample(self:TensorData,
        n:int, # how many
        seed:int=0, # which ones
    )->tuple[Tensor, Tensor|None]: # `x` float `[n, ...]` in [-1, 1], `y` long `[n]` or `None`
        "`n` different items, chosen at random. Raises `ValueError` if there are fewer."
        ...
    def split(self:TensorData,
        fraction:float=.1, # part that is set aside, rounded down to whole items
        seed:int=0, # which ones
    )->tuple[TensorData, TensorData]: # the larger part for training, and what was set aside
        "Divide at random into training and validation data. Raises `ValueError` if one of them would be empty."
        ...

def _float(x:Tensor)->Tensor:
    "Bytes to [-1, 1]; floats as they are."
    ...

class Rows():
    """Some rows of a tensor that lies in a file: read when they are asked for, and as little as a data set
    needs."""
    x: Tensor
    rows: Tensor
    def __init__(self, x:Tensor, rows:Tensor):
        ...
    def __len__(self)->int:
        ...
    def __getitem__(self, i:Any)->Tensor:
        ...
    def index_select(self, dim:int, i:Tensor)->Tensor:
        ...
    def __getattr__(self, name:str)->Any:  # `dtype`, `device`, `ndim`
        ...
    @property
    def shape(self)->torch.Size:
        ...

def _entries(v:Any, rows:Tensor)->Any:
    "Some entries of a tensor, an array or another sequence, which becomes a tuple."
    ...

__all__ = ['normalize', 'TensorData', 'Rows']
