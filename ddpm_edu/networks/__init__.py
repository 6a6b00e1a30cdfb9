"Networks that can be told the time: blocks, chains, `UNet`, `PointNet`."
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
