"Diffusion models built up in notebooks, one idea a chapter: a denoiser and a list of noise levels."
import lazy_loader

__version__ = "0.1.0"

# The names are listed in __init__.pyi, where editors read them too. A module is imported when its first name is
# asked for, so that `from ddpm_edu import digits` loads neither networks nor plotting.
_offered, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__.append("__version__")


def __getattr__(name: str) -> object:
    "What the door offers; a name that another door of the package has is answered with the line that imports it."
    try: return _offered(name)
    except AttributeError:
        import pathlib
        import re
        for stub in sorted(pathlib.Path(__file__).parent.glob("*/__init__.pyi")):
            if re.search(rf"import {re.escape(name)} as", stub.read_text(encoding="utf-8")):
                door = f"{__name__}.{stub.parent.name}"
                raise ImportError(f"`{name}` is in {door}: from {door} import {name}") from None
        raise
