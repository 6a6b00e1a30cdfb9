"Pictures, points and curves, and the road from noise to data as a strip or a film."
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
