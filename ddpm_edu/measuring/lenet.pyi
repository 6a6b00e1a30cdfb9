# Written by `make export` from the module of the same name: edit the notebook.
"""Frozen readers of digits and clothes: `load_lenet` gives the `LeNet5` that ships, `classify` reads images
with it, `train_lenet` is how it was made; `confusion` counts what was taken for what."""
from dataclasses import field
from typing import Any
import os
from collections.abc import Iterator
from dataclasses import dataclass
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from torch.nn import functional as F
from ..core import check_range, explain_errors, from_uint8
from ..models.files import Saved, load_saved
from ..training.loop import TrainState, budget, train, until

class LeNet5(Saved):
    """A reader of digits, 44,426 parameters (after LeCun et al. 1998, fig. 2): images `[B, 1, 28, 28]` in
    [-1, 1] to 10 scores."""
    body: nn.Sequential
    head: nn.Linear
    def __init__(self)->None:
        ...
    def features(self,
        x:Tensor, # images `[B, 1, 28, 28]` in [-1, 1]
    )->Tensor: # `[B, 84]`, not negative
        "What the last layer looks at. Raises `ValueError` for another shape."
        ...
    def forward(self, x:Tensor)->Tensor:  # `[B, 10]` scores, larger is likelier
        ...
    def loss(self:LeNet5,
        x:Tensor, # images `[B, 1, 28, 28]` in [-1, 1]
        y:Tensor, # `[B]`, the digits that they show
    )->Tensor: # `[B]`
        "Cross entropy of each image, in nats."
        ...

def train_lenet(
    data:Any, # labelled digits with `batches`
    epochs:float=10, # passes over them
    seed:int=0, # decides first weights and order
)->Iterator[TrainState]: # one after each step; its `model` is the network
    """The fixed recipe: Adam with a learning rate of 0.001, 32 images a step, no decay.
    Torch's random state is left as it was."""
    ...

def classify(
    images:Tensor, # `[N, C, H, W]`, floats in [-1, 1] or bytes
    net:nn.Module|None=None, # images to scores `[N, classes]`; the reader that ships if left out
    batch_size:int=1000, # images at a time
)->tuple[Tensor, Tensor]: # long `[N]`, the digits read, and `[N]`, how sure the reader is, 0 to 1
    "Read digits. Raises `ValueError` for floats out of range, NaN, or no images at all."
    ...

def _float(x:Tensor)->Tensor:
    "Bytes to [-1, 1]; of floats, a little overshoot is cut off."
    ...

def load_lenet(
    name_or_path:str|os.PathLike="lenet_mnist", # or "lenet_fashion" for clothes, or a file of `LeNet5.save`
    device:torch.device|str="cpu", # it is so small that a CPU does
)->LeNet5: # ready to read
    """The judge of digits or clothes, with its `card`.
    Raises `FileNotFoundError`, or `ValueError` for a damaged or foreign file."""
    ...

def label_histogram(
    labels:Tensor, # long `[N]`, for example the digits that `classify` read
    classes:int=10, # how many there are
)->Tensor: # `[classes]`, shares that sum to 1
    """How often each class occurs; -1 (no label) is not counted.
    Raises `ValueError` for no labels at all or one too large."""
    ...

@dataclass(frozen=True)
class Confusion():
    "Asked-versus-seen: how often which class was taken for which. What nobody asked for or saw gives NaN."
    counts: Tensor # long `[K, K]`, a row for each class asked for, a column for each class seen
    @property
    def recall(self)->Tensor:
        ...
    @property
    def precision(self)->Tensor:
        ...
    @property
    def f1(self)->Tensor:
        ...
    @property
    def accuracy(self)->float:
        ...

def confusion(
    asked:Tensor, # long `[N]`, what was asked for (or is right)
    seen:Tensor, # long `[N]`, what the reader read
    classes:int=10, # how many there are
)->Confusion:
    "Count asked-versus-seen. Raises `ValueError` for labels that do not fit."
    ...

def show_confusion(
    c:Confusion, # what `confusion` counted
    title:str="",
)->None:
    "Draw the table, errors in colour, with precision and recall of each class at its ends."
    ...

__all__ = ['LeNet5', 'train_lenet', 'classify', 'load_lenet', 'label_histogram', 'Confusion', 'confusion', 'show_confusion']
