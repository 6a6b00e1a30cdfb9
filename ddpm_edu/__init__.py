"Diffusion models built up in notebooks, one idea a chapter: a denoiser and a list of noise levels."
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# The names a script needs and the module each lives in. A module is imported when its first name is asked for, so that
# `from ddpm_edu import digits` loads neither networks nor plotting.
_homes = dict(
    GaussianDiffusion="diffusion", UNet="unet", UNetFixed="unet_fixed", ConditionalChain="chain", PointNet="chain",
    fit="train", load="saving", fld="metrics", digits="data", spiral="data", SAMPLERS="sde_solvers", KarrasDiffusion="karras",
    fashion="data", image_folder="folder", pokemon="pokesprite", creatures="sprites", hub_data="hub", Augmented="augment",
    GuidanceExplorer="widgets",
    default_device="core", set_seed="core",
)
_models = {"GaussianDiffusion", "KarrasDiffusion"}  # their method `save` lives in a later chapter, which is loaded together with them

__all__ = ["__version__", *_homes]


def __getattr__(name: str) -> Any:
    "Import the module that holds `name` and remember the value (PEP 562). Raises `AttributeError` for any other name."
    if name not in _homes: raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_homes[name]}", __name__), name)
    if name in _models: import_module(".saving", __name__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes})
