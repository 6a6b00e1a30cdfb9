# Written by `make export` from the module of the same name: edit the notebook.
"""A folder of images as data: `image_folder` reads, fits and caches it, `fit_image` brings one image to a
size, `FolderData` is what comes out."""
from dataclasses import field
from typing import Any
import hashlib, io, json, math, os, tempfile, warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
import numpy as np
import torch
from fastcore.basics import patch
from torch import Tensor
from ..core import explain_errors, progress_bar
from .files import EXTENSIONS, cache_folder, safe_members
from .sets import TensorData

def _flat(im:Any, channels:int, background:Any)->Any:
    """A Pillow image upright, without transparency, of mode L or RGB.
    Raises `ValueError` for numbers of unknown range."""
    ...

def fit_image(
    image:Any, # a Pillow image of any mode
    size:int|tuple[int, int], # height and width, or one number for both
    channels:int=3, # 3 for RGB, 1 for grey
    fit:str="crop", # "crop", "pad", "box" (cut off an empty border, then pad) or "stretch"
    background:str|tuple[int, int, int]="white", # under transparent pixels and around padded images
)->Tensor: # uint8 `[channels, height, width]`
    """A picture of the size and the channels asked for, by Lanczos resampling.
    Raises `ValueError` for options without sense."""
    ...

def _size(size:int|tuple[int, int])->tuple[int, int]:
    "Height and width; `ValueError` where they are no sizes."
    ...

def _colour(background:Any, channels:int, fit:str)->tuple[int, int, int]:
    "The background as RGB; the other options are checked, too."
    ...

def _bounding_box(im:Any, ground:Any, tolerance:int=12)->Any:
    "The part of an image within its empty border, which may differ from the ground by a few of 255 levels."
    ...

def _walk(root:Path)->Iterator[Path]:
    "The image files below a folder, hidden ones left out; each real folder once."
    ...

def _files(path:Path)->dict[str, Callable[[], bytes]]:
    """Names, sorted, and how to read each, for a folder or an archive.
    Raises `FileNotFoundError`, or `ValueError` without images."""
    ...

def _decode(blob:bytes, size:int|tuple[int, int], fit:str="crop", **kwargs:Any)->np.ndarray|str:
    "`[C, H, W]` bytes of an image file, or the reason why there are none."
    ...

def _read(decode:Callable[[bytes], Any]|None, read:Callable[[], bytes])->tuple[bytes, Any]:
    "The digest of a file and, where `decode` is given, what it makes of the content."
    ...

def _in_order(f:Callable, items:Iterable, n:int, workers:int|None, desc:str, each:int=64)->Iterator:
    """`f` of each item, computed by threads, given out in order, with a progress bar; at most `each` results
    a thread wait at once."""
    ...

def _key(files:dict[str, Callable], digests:Iterable[bytes], options:str)->str:
    "What a cache must agree on: options, names and contents."
    ...

def _place(where:str, options:str, cache:bool|str|Path)->Path|None:
    "The cache file of a folder and options, if there is to be one."
    ...

def _write(file:Path, rows:Iterable[np.ndarray], meta:dict)->None:
    "A cache file, complete or not there. `meta` may be completed while the rows are taken. Raises `OSError`."
    ...

def _stored(file:Path|None, key:str, memory:int)->tuple[Tensor, dict]|None:
    "Images and metadata of a cache file, or `None` if it is not there, damaged or of other content."
    ...

class FolderData(TensorData):
    "Images from files: bytes, in the order of the names."
    x: Tensor
    y: Tensor | None
    classes: Any
    names: tuple
    skipped: dict
    def __init__(self,
        x:Tensor, # uint8 `[N, C, H, W]`, in memory or mapped
        y:Tensor|None, # `[N]` class numbers
        classes:Sequence[str]|None, # their names
        names:Sequence[str], # `[N]` paths of the files, relative to the folder
        skipped:dict[str, str], # the files that could not be read, and why
    ): # nothing is checked a second time, which would read all of a mapped file
        ...

def _by_folder(names:Sequence[str], found:Sequence[str])->tuple[Tensor, list[str]]:
    """Class numbers of files by the first folder of their names, and the classes, sorted; a folder that holds
    all others is none."""
    ...

def image_folder(
    path:str|Path, # a folder, searched to any depth, or an archive (zip, tar)
    size:int|tuple[int, int], # height and width, or one number for both
    channels:int=3, # 3 for RGB, 1 for grey
    fit:str="crop", # "crop", "pad", "box" (cut off an empty border, then pad) or "stretch"
    background:str|tuple[int, int, int]="white", # under transparent pixels and around padded images
    labels:bool=False, # the folder that an image lies in is its class; -1 beside the folders
    cache:bool|str|Path=True, # keep decoded images: in the user's cache, in a folder, or (`False`) not at all
    memory:int=2**30, # bytes: more than that stay in the cache's file, and are mapped
    workers:int|None=None, # threads; as many as there are cores, up to 8, if left out
)->FolderData: # uint8 `[N, channels, height, width]`
    """Every image of a folder. Warns of files that cannot be read.
    Raises `ValueError` if none can, `OSError` if there is no room."""
    ...

class _Source(NamedTuple):
    "Files, how to decode them, and where to keep the result."
    files:dict[str, Callable[[], bytes]]; decode:Callable; shape:tuple[int, ...]; options:str; place:Path|None
    memory:int; workers:int|None
    def stored(self)->tuple[Tensor, dict]|None:
        "From the cache, if it has just these contents."
        ...
    def rows(self, meta:dict)->Iterator[np.ndarray]:
        "One image after the other; `meta` learns their names and key. Raises `ValueError` if there is none."
        ...
    def filled(self:_Source)->tuple[Tensor, dict]:
        "From the files, and into the cache. Raises `OSError` where mapped images have no place."
        ...

def decoded_images(files:dict[str, Callable[[], bytes]],
                   where:str, size:Any, channels:int, fit:str, background:Any,
            cache:bool|str|Path, memory:int, workers:int|None)->tuple[Tensor, dict]:
    """All readable images, decoded or out of the cache, and what is known of them; `where` names the
    collection in the cache."""
    ...

def _some(skipped:dict[str, str], most:int=10)->str:
    "Names and reasons, as many as one reads."
    ...

def warn_skipped(path:str|Path, skipped:dict[str, str], n:int)->None:
    "Warn of the files that are left out."
    ...

__all__ = ['fit_image', 'FolderData', 'image_folder', 'decoded_images', 'warn_skipped']
