# Written by `make export` from what the chapters of this floor export.
from .panels import default_eta as default_eta
from .panels import explore_iter as explore_iter
from .panels import explore as explore
from .panels import state_and_guess as state_and_guess
from .panels import picture as picture
from .panels import contact_sheet as contact_sheet
from .panels import Newest as Newest
from .panels import GuidanceExplorer as GuidanceExplorer
from .demo import HOW as HOW
from .demo import sheet as sheet
from .demo import draw as draw
from .demo import score as score
from .demo import run_demo as run_demo
from .demo import main as main
