"""fastphoto makes one photograph take on the look of another and stay a photograph."""

from fastphoto.runtime.torch_loading import load_torch

load_torch()  # before anything else loads it

from fastphoto import ops
from fastphoto.batch.run import transfer_many
from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.errors import DeadlineError, FastPhotoError, FastPhotoWarning, FileError, InputError
from fastphoto.evaluation.scores import evaluate
from fastphoto.methods.registry import METHODS, apply_method
from fastphoto.ops import MattingLaplacian
from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.optimisation.progress import Progress
from fastphoto.optimisation.settings import Settings
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import write_photo
from fastphoto.pipeline import invert, transfer
from fastphoto.regions.find import find_regions
from fastphoto.regions.look import Look, read_look
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.mismatch import region_unlikeness
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.regions.reading import read_masks
from fastphoto.regions.scribbles import grow_scribbles
from fastphoto.reports.comparison import compare
from fastphoto.runtime.forks import prepare_for_forks
from fastphoto.runtime.memory import keep_freed_memory
from fastphoto.session import Session
from fastphoto.video.progress import VideoProgress
from fastphoto.video.transfer import transfer_video

prepare_for_forks()

__version__: str = ops.build_info()["version"]

__all__ = [
    "METHODS",
    "PRESETS",
    "DeadlineError",
    "Encoder",
    "FastPhotoError",
    "FastPhotoWarning",
    "FileError",
    "InputError",
    "Look",
    "MattingLaplacian",
    "Photo",
    "PhotoPair",
    "Progress",
    "RegionMasks",
    "Session",
    "Settings",
    "VideoProgress",
    "__version__",
    "apply_method",
    "compare",
    "demo_pairs",
    "evaluate",
    "find_regions",
    "grow_scribbles",
    "invert",
    "keep_freed_memory",
    "load_encoder",
    "ops",
    "prepare_pair",
    "preset_settings",
    "read_look",
    "read_masks",
    "read_photo",
    "region_unlikeness",
    "transfer",
    "transfer_many",
    "transfer_video",
    "write_photo",
]
