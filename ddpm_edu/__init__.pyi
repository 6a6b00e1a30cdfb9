"The front door: what a script and the first screen of a tutorial need. Each floor has a door of its own that offers all of it."
__version__: str

from .core import default_device as default_device
from .core import set_seed as set_seed
from .viz import animate as animate
from .viz import grid as grid
from .viz import plot_curves as plot_curves
from .viz import save_image as save_image
from .viz import scatter as scatter
from .viz import show_images as show_images
from .viz import strip as strip
from .data import Augmented as Augmented
from .data import TensorData as TensorData
from .data import digits as digits
from .data import fashion as fashion
from .data import hub_data as hub_data
from .data import image_folder as image_folder
from .data import normalize as normalize
from .data import spiral as spiral
from .data import three_shapes as three_shapes
from .denoising import SAMPLERS as SAMPLERS
from .denoising import cosine_beta_schedule as cosine_beta_schedule
from .denoising import linear_beta_schedule as linear_beta_schedule
from .networks import ConditionalChain as ConditionalChain
from .networks import PointNet as PointNet
from .networks import UNet as UNet
from .networks import UNetFixed as UNetFixed
from .networks import show_unet as show_unet
from .models import GaussianDiffusion as GaussianDiffusion
from .models import KarrasDiffusion as KarrasDiffusion
from .models import load as load
from .training import fit as fit
from .training import muon as muon
from .measuring import fld as fld
from .sprites import creatures as creatures
from .sprites import pokemon as pokemon
from .using import GuidanceExplorer as GuidanceExplorer
