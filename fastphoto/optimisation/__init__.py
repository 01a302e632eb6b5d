"""The optimisation: settings and presets, losses, solvers, levels, and the loop over them."""

from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.optimisation.progress import Progress
from fastphoto.optimisation.settings import Settings

__all__ = ["PRESETS", "Progress", "Settings", "preset_settings"]
