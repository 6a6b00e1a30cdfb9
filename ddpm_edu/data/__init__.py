"Data sets: `TensorData`, toy curves, digits and clothes, folders, archives, the Hugging Face hub, augmentation."
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
