# Written by `make export` from the module of the same name: edit the notebook.
"""Sliders in a notebook: `GuidanceExplorer(model)` is the panel, `explore` draws one sample with its whole
way, `contact_sheet` shows it without widgets."""
from dataclasses import field
from typing import Any
import html
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from io import BytesIO
import ipywidgets
import matplotlib.pyplot as plt
import torch
from fastcore.basics import patch
from torch import Tensor
from ..core import Step, explain_errors, short
from ..viz.film import spread_frames
from ..viz.pictures import enlarge, grid, show_images, to_pillow
from ..denoising.table import SAMPLERS, get_sampler
from ..models.base import DenoisingModel, takes_labels
from ..models.files import unwrapped

def default_eta(
    sampler:str|Callable, # a name from `SAMPLERS`, or a sampler
    model:DenoisingModel|None=None, # its own η counts, if this is the sampler that it says is best for it
)->float|None: # its share of fresh noise if none is given; `None` for a sampler without that option
    "What η is, unless one says otherwise. Raises `ValueError` for an unknown name."
    ...

def explore_iter(
    model:DenoisingModel, # of images
    label:int|None=None, # the class to ask for; `None` or -1 for none
    guidance_scale:float=1., # 1 plain, above 1 exaggerates the label, 0 ignores it
    n_steps:int|None=20, # steps of the sampler
    sampler:str|None=None, # a name from `SAMPLERS`; the model's own if left out
    eta:float|None=None, # share of fresh noise, for a sampler that has this option; its own if left out
    seed:int=0, # same seed, same start
    **options:Any, # as for `sample_iter`: `guidance_interval`, `spacing`, options of the sampler
)->Iterator[Step]: # of one sample
    "Draw one sample, step by step. Raises what `sample_iter` raises."
    ...

def explore(
    model:DenoisingModel, # of images
    label:int|None=None, # the class to ask for; `None` or -1 for none
    guidance_scale:float=1., # 1 plain, above 1 exaggerates the label, 0 ignores it
    n_steps:int|None=20, # steps of the sampler
    sampler:str|None=None, # a name from `SAMPLERS`; the model's own if left out
    eta:float|None=None, # share of fresh noise, for a sampler that has this option; its own if left out
    seed:int=0, # same seed, same start
    **options:Any, # as for `sample_iter`: `guidance_interval`, `spacing`, options of the sampler
)->list[Step]: # the noise first, the sample last
    "Draw one sample and keep the whole way to it. Raises what `sample_iter` raises."
    ...

def state_and_guess(
    step:Step, # of a sampler of images
    i:int=0, # which sample of its batch
)->Tensor: # `[2, C, H, W]`: the state, and the guess (grey where there is none yet)
    "What there is to see of a step."
    ...

def picture(
    step:Step, # of a sampler of images
    zoom:int=8, # pixels for a pixel, each way
)->bytes: # of a PNG file
    "The state (left) and the guess (right)."
    ...

def contact_sheet(
    steps:Sequence[Step], # what `explore` gives
    n:int=8, # how many of them, evenly spread, both ends included
    scale:float=1., # 1: each image is ¾ inch wide
)->None:
    """Draw some of the steps: the states above, the guesses below.
    Raises `ValueError` where there are no steps."""
    ...

class Newest():
    "Work for the newest request only, in a thread: what is stale is dropped, never queued."
    make: Callable[[Any], Iterator]
    done: Callable[[list], None]
    failed: Callable[[Exception], None]
    lock: threading.Lock
    number: int
    todo: list
    thread: threading.Thread | None
    def __init__(self,
        make:Callable[[Any], Iterator], # request → a generator that does the work, a little at each step
        done:Callable[[list], None], # gets all that it yielded, if no newer request has come
        failed:Callable[[Exception], None], # gets the error if there was one, with the same condition
    ):
        ...
    def ask(self,
        request:Any, # what `make` is called with
    )->None:
        "Ask for something; whatever was asked for before is stale from now on. Returns at once."
        ...
    def _work(self:Newest)->None:
        "What the thread does: request after request, until there is none."
        ...
    def _steps(self:Newest, number:int, request:Any)->None:
        "One request, as long as it is the newest."
        ...
    def wait(self:Newest,
        timeout:float|None=None, # seconds; `None` for as long as it takes
    )->bool: # whether all is done
        "Wait until there is nothing to do."
        ...
    def stop(self:Newest,
        timeout:float|None=None, # seconds to wait for the step at hand; `None` for as long as it takes
    )->bool: # whether it has stopped
        "Drop everything."
        ...

def _controls(model:DenoisingModel, names:Sequence[str]|None, v:dict[str, Any])->dict[str, ipywidgets.Widget]:
    "The controls by the argument of `explore` that they stand for; `v` holds their first values."
    ...

class GuidanceExplorer():
    """Controls around a model, and the way of one sample from noise to data.
    As the last line of a cell it shows itself."""
    shape: Any
    model: DenoisingModel
    options: Any
    zoom: Any
    steps: list[Step]
    error: Exception | None
    controls: Any
    worker: Newest
    def __init__(self,
        model:DenoisingModel, # of images
        labels:Sequence[str]|None=None, # names of its classes; if left out, those of its card, or numbers
        label:int=0, guidance_scale:float=2., n_steps:int=20, # where the controls stand: see `explore`
        sampler:str|None=None, eta:float|None=None, seed:int=0, # likewise
        size:int=224, # width of an image on the screen, about, in pixels
        **options:Any, # for `sample_iter`, without a control: `guidance_interval`, `spacing`, …
    ):
        ...
    def _lay_out(self:GuidanceExplorer)->None:
        "Make what shows the result, put all in a box, and listen."
        ...
    def ask(self:GuidanceExplorer)->None:
        "Begin to draw what the controls say; returns at once."
        ...
    @property
    def settings(self:GuidanceExplorer)->dict[str, Any]: # arguments for `explore`
        "What the controls say."
        ...
    def _changed(self:GuidanceExplorer, change:dict[str, Any])->None:
        "A control was moved."
        ...
    def _sample(self:GuidanceExplorer, settings:dict[str, Any])->Iterator[Step]:
        ...
    def _finished(self:GuidanceExplorer, steps:list[Step])->None:
        "A sample is there: show it."
        ...
    def _show(self:GuidanceExplorer)->None:
        "The step that the slider is at."
        ...
    def _failed(self:GuidanceExplorer, error:Exception)->None:
        "Say what went wrong."
        ...
    def wait(self:GuidanceExplorer,
        timeout:float=60., # seconds
    )->GuidanceExplorer:
        "Wait for the sample that the controls ask for. Raises what went wrong with it, or `TimeoutError`."
        ...
    def static(self:GuidanceExplorer,
        n:int=8, # how many of the steps
        scale:float=1., # 1: each image is ¾ inch wide
    )->None:
        "Draw what the panel shows as a contact sheet, for pages on which it is dead."
        ...
    def close(self:GuidanceExplorer)->None:
        "Stop the work, take the panel off the page, and leave nothing of it with ipywidgets."
        ...
    def _repr_mimebundle_(self:GuidanceExplorer, **kwargs:Any)->Any:
        ...

def _parts(widget:ipywidgets.Widget)->list[ipywidgets.Widget]:
    "A widget and all that hang on it: what is in it, layouts, styles."
    ...

__all__ = ['default_eta', 'explore_iter', 'explore', 'state_and_guess', 'picture', 'contact_sheet', 'Newest', 'GuidanceExplorer']
