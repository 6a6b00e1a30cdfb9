"What one trains, saves and samples: `GaussianDiffusion`, `KarrasDiffusion`, `load`, and other people's models."
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
