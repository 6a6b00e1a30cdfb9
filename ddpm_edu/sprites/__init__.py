"The Pokemon case: drawn creatures, the archive of sprites, diffusion over half of the colour, a judge."
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
