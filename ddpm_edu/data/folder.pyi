# Written by `make export` from the module of the same name: edit the notebook.
"""A folder of images as data: `image_folder` reads, fits and caches it, `FolderData` is what comes out;
`decoded_images` and `warn_skipped` do so for any collection of files."""
from dataclasses import field
from typing import Any
import hashlib, json, math, os, tempfile, threading
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
from ..core import as_int, explain_errors, progress_bar, warn
from .decode import Room, check_fit, decode_image
from .files import EXTENSIONS, as_flag, as_path, cache_folder
from .files import printable, read_file, read_members, why_not
from .sets import TensorData

def _walk(root:Path, left:dict[str, str])->Iterator[Path]:
    "The image files below a folder, each real folder once; `left` learns what is left out and why."
    ...

def _some(skipped:dict[str, str], most:int=10)->str:
    "Names and reasons, as many as one reads."
    ...

class _File(NamedTuple):
    "How to read a file, and about how large it is."
    read:Callable[[], bytes]; size:int
    def __call__(self)->bytes:
        ...

def _files(path:Path, max_file:int=2**26, **limits:Any)->tuple[dict[str, Any], dict[str, str]]:
    """Names, sorted, and how to read each, for a folder or an archive; and what is left out and why.
    Raises `FileNotFoundError`, or `ValueError` without images."""
    ...

class _Store():
    "Contents: in memory up to 64 MB, and beyond that in a file without a name."
    f: tempfile.SpooledTemporaryFile
    lock: threading.Lock
    def __init__(self)->None:
        ...
    def __del__(self)->None:
        ...
    def add(self, blob:bytes)->_File:
        ...
    def part(self, at:int, n:int)->bytes:
        ...

def _unpacked(path:Path, left:dict[str, str], **limits:Any)->dict[str, _File]:
    "The images of an archive."
    ...
_READING: Room

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

def _foreign(file:Path)->bool:
    "Whether a file is another user's, below a folder in which everybody may write."
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
PARTS: tuple

def _by_folder(names:Iterable[str])->tuple[dict[str, int], list[str]]:
    "Class numbers of files by the folder that each lies in, and the classes, sorted; -1 beside the classes."
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
    max_file:int=2**26, # bytes of one file; larger ones are left out, or an archive with one is refused
    max_total:int=2**31, # bytes of all files of an archive, unpacked
    max_files:int=300_000, # files of an archive
    skip_links:bool=False, # leave out links and devices of an archive instead of refusing it
)->FolderData: # uint8 `[N, channels, height, width]`
    """Every image of a folder. Warns of files that are left out.
    Raises `ValueError` if none can be read, `OSError` if there is no room."""
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

def warn_skipped(
    path:str|Path, # what the message calls the collection
    skipped:dict[str, str], # images that cannot be read, and why
    n:int, # images altogether
    left:dict[str, str]|None=None, # files that are no images, and why
    lone:Sequence[str]=(), # images without a class
)->None:
    "Warn once of all that is left out."
    ...

__all__ = ['PARTS', 'FolderData', 'image_folder', 'decoded_images', 'warn_skipped']
