"How good are the samples? `fld`, `kid`, precision and recall, neighbours, and the LeNet behind them."
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
