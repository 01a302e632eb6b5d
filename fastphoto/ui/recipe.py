"""The settings of a result, and the command and the Python lines that give the same."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fastphoto.errors import InputError
from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.optimisation.settings import Settings
from fastphoto.regions.pair import checked_size

Regions = Literal["auto", "none", "masks"]
PRESETS_SHOWN = ("fast", "recolour", "painterly")
_CALMEST_RADIUS = 16  # pixels: above it, colours cross borders; by eye


@dataclass(frozen=True)
class Recipe:
    """The settings of one result.

    Example:
        >>> recipe = Recipe(strength=0.5, photorealism=1.0)
        >>> recipe.command("a.jpg", "b.jpg", "result.jpg", "auto")
        'fastphoto transfer a.jpg b.jpg -o result.jpg --regions auto --strength 0.5 --set smooth_radius=16'
    """

    preset: str = "fast"
    size: int = 700
    regions: Regions = "auto"
    strength: float = 1.0
    blend: float = 1.0
    photorealism: float = 0.0
    """From 0, the preset's own smoothing of colour maps, to 1, a radius of 16 pixels."""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS_SHOWN:
            raise InputError(f"preset: must be one of {', '.join(PRESETS_SHOWN)}, got {self.preset!r}")
        if self.regions not in get_args(Regions):
            raise InputError(f"regions: must be one of {', '.join(get_args(Regions))}, got {self.regions!r}")
        checked_size(self.size)
        for name in ("strength", "blend", "photorealism"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise InputError(f"{name}: must be a number, got {value!r}")
        if not 0 <= self.photorealism <= 1:
            raise InputError(f"photorealism: must be from 0 to 1, got {self.photorealism!r}")
        self.settings()

    def changes(self) -> dict[str, Any]:
        """Return the settings that differ from the preset's, as keyword arguments of `fastphoto.transfer`."""
        preset, changed = PRESETS[self.preset], {"strength": self.strength, "blend": self.blend}
        calm = preset.smooth_radius + round(self.photorealism * (_CALMEST_RADIUS - preset.smooth_radius))
        return {
            name: value for name, value in {**changed, "smooth_radius": calm}.items() if value != getattr(preset, name)
        }

    def settings(self) -> Settings:
        """Return all settings."""
        return preset_settings(self.preset, **self.changes())

    def arguments(self) -> dict[str, Any]:
        """Return keyword arguments of `fastphoto.Session`; masks are not among them."""
        regions = {} if self.regions == "masks" else {"regions": self.regions}
        return {"preset": self.preset, "size": self.size, **regions, **self.changes()}

    def command(self, content: str, style: str, output: str, device: str = "auto") -> str:
        """Return the command that gives the same result."""
        words = ["fastphoto", "transfer", content, style, "-o", output]
        if self.regions == "masks":
            words += ["--content-mask", "content_mask.png", "--style-mask", "style_mask.png"]
        else:
            words += ["--regions", self.regions]
        words += ["--preset", self.preset] if self.preset != "fast" else []
        words += ["--size", str(self.size)] if self.size != 700 else []
        words += ["--device", device] if device != "auto" else []
        for name, value in self.changes().items():
            words += [f"--{name}", f"{value:g}"] if name == "strength" else ["--set", f"{name}={value:g}"]
        return shlex.join(words)

    def python(self, content: str, style: str, output: str, device: str = "auto") -> str:
        """Return the lines of Python that give the same result."""
        masks = ['"content_mask.png"', '"style_mask.png"'] if self.regions == "masks" else []
        options = {"device": device} if device != "auto" else {}
        named = {**self.arguments(), **options}
        defaults = {"preset": "fast", "size": 700}
        words = [_quoted(style), *masks, *(f"{k}={_quoted(v)}" for k, v in named.items() if defaults.get(k) != v)]
        return (
            "import fastphoto\n\n"
            f"photo = fastphoto.read_photo({_quoted(content)})\n"
            f"result = fastphoto.transfer(photo, {', '.join(words)})\n"
            f"fastphoto.write_photo({_quoted(output)}, photo, result)\n"
        )


def read_recipe(values: Any, base: Recipe) -> Recipe:
    """Return a recipe with the values of a JSON object in place of those of another recipe.

    Raises:
        InputError: unknown names, and values out of range.
    """
    names = Recipe.__dataclass_fields__
    if not isinstance(values, dict) or not set(values) <= set(names):
        raise InputError(f"settings: must be an object with {', '.join(names)}")
    return Recipe(**{name: values.get(name, getattr(base, name)) for name in names})


def _quoted(value: Any) -> str:
    """Return a value as Python text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
