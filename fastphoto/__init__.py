"""fastphoto makes one photograph take on the look of another and stay a photograph."""

from fastphoto.runtime.threads import load_torch_with_patient_threads

load_torch_with_patient_threads()  # before anything else loads it

from fastphoto import ops
from fastphoto.errors import FastPhotoError, FastPhotoWarning, FileError, InputError
from fastphoto.evaluation.scores import evaluate
from fastphoto.optimisation.presets import PRESETS
from fastphoto.optimisation.settings import Settings
from fastphoto.pipeline import Progress, invert, transfer
from fastphoto.regions.find import find_regions
from fastphoto.regions.scribbles import grow_scribbles
from fastphoto.reports.comparison import compare

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
