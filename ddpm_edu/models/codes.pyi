# Written by `make export` from the module of the same name: edit the notebook.
"""Diffusion of something other than pixels: `CodeDiffusion` is the base of models that `encode` images and
`decode` samples; `guided_by_channel` guides each channel of a code by its share."""
from dataclasses import field
from typing import Any
from collections.abc import Callable, Sequence
from dataclasses import replace
import torch
from fastcore.basics import patch
from torch import Tensor, nn
from ..core import Step, expand, explain_errors
from ..denoising.guidance import check_guidance, guided, rescaled, with_and_without
from .base import thresholded
from .karras import KarrasDiffusion

def guided_by_channel(
    D:Callable[..., Tensor], # a denoiser that knows labels, -1 among them
    guidance_scale:float, # s, as in `guided`
    shares:Sequence[float], # `[C]`: each channel's part of what a scale above 1 adds; 1 all of it, 0 none
    rescale:float=0., interval:tuple[float, float]|None=None, # as in `guided`
)->Callable[..., Tensor]: # a denoiser
    """Classifier-free guidance with a scale of its own, `1 + share·(s - 1)`, for each channel.
    Raises `ValueError` as `guided`."""
    ...

class CodeDiffusion(KarrasDiffusion):
    """`KarrasDiffusion` over a code of the data.
    A class derived from it defines `encode` and `decode`; it takes and gives data."""
    guidance_shares:Sequence[float]|None = None # each channel's part of a guidance above 1; `None`: all of it
    code_shape: tuple
    def __init__(self,
        net:nn.Module, # for codes: its channels, height and width are theirs
        data_shape:Sequence[int], # shape of one sample of the data: `(C, H, W)`
        *args:Any, # as for `KarrasDiffusion`; `sigma_data` is that of the codes
        **options:Any, # likewise
    ):
        ...
    @property
    def state_shape(self)->tuple[int, ...]:
        ...
    def encode(self, x:Tensor)->Tensor:
        ...
    def decode(self, z:Tensor, clean:bool=True)->Tensor:
        ...
    def finish(self, z:Tensor)->Tensor:
        ...
    def loss(self:CodeDiffusion,
        x0:Tensor, # `[B, *data_shape]` clean data in [-1, 1]
        y:Tensor|None=None, # long `[B]` labels; a share `p_uncond` of them is hidden from the network
        **cond:Any, # further conditions of the network
    )->Tensor: # `[B]`, a loss for each sample
        "The loss at random levels, of codes. Raises `ValueError` for data of another shape than `data_shape`."
        ...
    def denoiser(self:CodeDiffusion,
        guidance_scale:float=1., # 1 plain, 0 without the labels, above 1 exaggerated, each channel by its share
        threshold:str|None="model", # "static", "dynamic", `None`, or "model": as the model was built
        guidance_rescale:float=0., # see `guided`
        guidance_interval:tuple[float, float]|None=None, # see `guided`
    )->Callable: # `D(x, sigma, y=None, **cond) -> x0`, of codes
        "The denoiser that samplers get; thresholds look at the decoded guess."
        ...
    def shown(self:CodeDiffusion, step:Step)->Step: # a step as users see it
        "Decoded: the state as it is, the guess as a clean one, the last state finished."
        ...

__all__ = ['guided_by_channel', 'CodeDiffusion']
