"Diffusion models built up in notebooks, one idea a chapter: a denoiser and a list of noise levels."
import lazy_loader

__version__ = "0.1.0"

# The names are listed in __init__.pyi, where editors read them too. A module is imported when its first name is asked for, so that
# `from ddpm_edu import digits` loads neither networks nor plotting.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__.append("__version__")
