"""fastphoto makes one photograph take on the look of another and stay a photograph."""

from .process import load_torch_with_patient_threads

load_torch_with_patient_threads()  # before anything else loads it

from . import ops
from .errors import FastPhotoError, FastPhotoWarning, FileError, InputError
from .evaluation.comparison import compare
from .evaluation.measures import evaluate
from .segmentation.finding import find_regions
from .segmentation.scribbles import grow_scribbles
from .settings import PRESETS, Settings
from .transfer import Progress, invert, transfer

__version__: str = ops.build_info()["version"]

__all__ = [
    "PRESETS",
    "FastPhotoError",
    "FastPhotoWarning",
    "FileError",
    "InputError",
    "Progress",
    "Settings",
    "__version__",
    "compare",
    "evaluate",
    "find_regions",
    "grow_scribbles",
    "invert",
    "ops",
    "transfer",
]
