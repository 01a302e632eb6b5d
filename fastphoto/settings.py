"""Settings of a transfer, and the presets: every method is a choice of losses, start image and schedule."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .errors import InputError


@dataclass(frozen=True)
class Settings:
    """All that a transfer can be told. The defaults are those of the preset "fast"."""

    # -- start and schedule
    start: Literal["colour", "content", "noise"] = "colour"
    """Start image: the content with each region's colours moved to the style's, the content itself, or noise."""
    stages: tuple[Literal["style", "photorealism"], ...] = ("photorealism",)
    """What is optimised, in order; "style" leaves the photorealism loss and the projection out."""
    scales: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Parts of `size` that each stage goes through, coarse to fine; the last one must be the largest."""
    steps: tuple[int, ...] = (30, 30, 10)
    """Gradient evaluations at each scale; 0 leaves the start image as it is."""
    solver: Literal["lbfgs", "adam"] = "lbfgs"
    history: int = 10
    """Pairs of changes that L-BFGS keeps."""
    first_change: float | None = 0.01
    """RMS change of the image, in units of `pixel_scale`, in L-BFGS's first step; None: the published rule."""
    maximum_change: float = 0.5
    """No pixel value changes by more in one step of L-BFGS, in units of `pixel_scale`."""
    learning_rate: float = 0.02
    """Of Adam, in units of `pixel_scale`."""
    pixel_scale: float = 1.0
    """What a pixel value of 1 is to the solver; the paper's network has 256."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Of the encoder's convolutions; images, Gram matrices and losses are float32. "tf32" rounds products on a GPU,
    "bfloat16" activations too and is for GPUs only; "auto": bfloat16 on a GPU, float32 on a CPU."""

    # -- losses
    normalisation: Literal["relative", "published"] = "relative"
    """"relative": activations by their mean, Gram matrices by the style's own size, the matting Laplacian's energy by
    the contrast of the start image (of the content where that is not by colour), sums over pixels by their number, so
    that weights mean the same for any encoder, photo and size. "published": the paper's scale."""
    content_layers: tuple[str, ...] = ("relu3_1",)
    content_weight: float = 0.1
    content_target: Literal["content", "start"] = "start"
    """Whose activations the content loss compares with: the content's, or those of a start image by colour."""
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    style_weights: tuple[float, ...] = (2.0, 1.0, 0.5, 0.1, 0.1)
    """One for each of `style_layers`."""
    photorealism_weight: float = 0.05
    total_variation_weight: float = 0.0
    gamut_weight: float = 1.0
    """Of pixel values outside [0, 1], which the solver does not clamp."""
    epsilon: float = 1e-4
    """Of the matting Laplacian: how much it costs to change contrast where the content has little of it."""

    # -- local affine maps
    projection: bool = True
    """Optimise among images that the smoothing has gone over, which takes half the steps, and let the encoder see what
    the smoothing at the end will leave of them."""
    affine_radius: int = 1
    """Of the windows that colour maps are fitted on, in pixels."""
    affine_epsilon: float = 3e-3
    """Pulls the maps to constants where the content has little contrast."""
    smooth_radius: int = 1
    """Of the average of neighbouring maps, in pixels."""
    smooth_colour: float | None = None
    """How much content colours may differ for maps to be averaged, or None: any."""

    # -- regions
    orphans: Literal["merge", "global", "drop", "error"] = "merge"
    """What happens to a content region that the style lacks; see `fastphoto.regions.match_regions`."""
    border_radius: int = 4
    """Radius, in pixels, within which the start image's region borders are moved to the content's edges."""
    colour_gain: float = 6.0
    """No direction of a region's colours is spread by more than this factor in the start image, before the curves."""
    curve_slope: float = 2.0
    """No curve through a region's lightness or colour is steeper in the start image, nor flatter than the inverse;
    1: no curves."""

    def __post_init__(self) -> None:
        for name, problem in self._problems():
            raise InputError(f"{name}: {problem}, got {getattr(self, name)!r}")

    def _problems(self) -> Iterator[tuple[str, str]]:
        for name, wanted in get_type_hints(type(self)).items():
            if not _fits(getattr(self, name), wanted):
                yield name, f"must be {_described(wanted)}"
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            values = value if isinstance(value, tuple) else (value,)
            if field.name != "maximum_change" and math.inf in values:
                yield field.name, "must be finite"
            if field.name.endswith(("_weight", "_weights")) and any(v < 0 for v in values):
                yield field.name, "must be 0 or more"
            if field.name.endswith("_layers") and len(set(values)) < len(values):
                yield field.name, "must name each layer once"
        if not self.stages:
            yield "stages", "must name style, photorealism or both"
        if not self.scales or self.scales[-1] != max(self.scales) or any(not 0 < s <= 1 for s in self.scales):
            yield "scales", "must be parts of the size in (0, 1], the last the largest"
        if len(self.steps) != len(self.scales) or any(n < 0 for n in self.steps):
            yield "steps", f"must be {len(self.scales)} counts of 0 or more, one for each of scales"
        if len(self.style_weights) != len(self.style_layers):
            yield "style_weights", f"must be {len(self.style_layers)} weights, one for each of style_layers"
        for name in (
            "pixel_scale",
            "maximum_change",
            "learning_rate",
            "epsilon",
            "affine_epsilon",
            "colour_gain",
        ):
            if not getattr(self, name) > 0:
                yield name, "must be above 0"
        for name in ("first_change", "smooth_colour"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                yield name, "must be above 0 or None"
        for name in ("affine_radius", "smooth_radius", "border_radius"):
            if not 0 <= getattr(self, name) <= 100:
                yield name, "must be from 0 to 100 pixels"
        if self.curve_slope < 1:
            yield "curve_slope", "must be 1 or more"
        if self.history < 1:
            yield "history", "must be 1 or more"


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value is of a type that a field is annotated with; whole numbers are floats too, NaN is none."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(v, inner[0]) for v in value)
    if inner:
        return any(_fits(value, kind) for kind in inner)
    if wanted is float:
        return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)
    if wanted is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _described(wanted: Any) -> str:
    """A type that a field is annotated with, in words."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return "one of " + ", ".join(inner)
    if origin is tuple:
        return f"a sequence, each {_described(inner[0])}"
    if inner:
        return " or ".join(map(_described, inner))
    words = {
        float: "a number",
        int: "a whole number",
        bool: "True or False",
        str: "a text",
        type(None): "None",
    }
    return words[wanted]


_PRESETS: dict[str, Settings] = {
    "fast": Settings(),
    # Luan et al., CVPR 2017, to the published constants.
    "paper": Settings(
        start="noise",
        stages=("style", "photorealism"),
        scales=(1.0,),
        steps=(1000,),
        history=100,
        first_change=None,
        maximum_change=math.inf,
        pixel_scale=256.0,
        precision="float32",
        normalisation="published",
        content_layers=("relu4_2",),
        content_weight=5.0,
        content_target="content",
        style_weights=(100.0,) * 5,
        photorealism_weight=1e4,
        epsilon=1e-7,
        total_variation_weight=1e-3,
        gamut_weight=0.0,
        projection=False,
        affine_epsilon=1e-3,
        smooth_radius=15,
        smooth_colour=0.01,
    ),
}
PRESETS: Mapping[str, Settings] = MappingProxyType(_PRESETS)


def preset_settings(preset: str, **changes: Any) -> Settings:
    """The settings of a preset ("fast" or "paper") with some of them changed.

    Sequences may be given as lists. A single value stands for a sequence of one, and in `steps` and `style_weights`
    for the same value at every scale or layer.
    Raises InputError for an unknown preset or setting and for values out of range.
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InputError(f"preset {preset!r}: unknown; give one of {', '.join(PRESETS)}")
    base = PRESETS[preset]
    names = [field.name for field in dataclasses.fields(Settings)]
    for name in list(changes):
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]}?" if close else f"settings are {', '.join(names)}"
            raise InputError(f"setting {name!r}: unknown; {hint}")
        if isinstance(getattr(base, name), tuple) and isinstance(changes[name], list):
            changes[name] = tuple(changes[name])
    for name in ("stages", "scales", "content_layers", "style_layers", "steps", "style_weights"):
        if name in changes and not isinstance(changes[name], tuple):
            each = {"steps": "scales", "style_weights": "style_layers"}.get(name)
            count = len(changes.get(each, getattr(base, each))) if each else 1
            changes[name] = (changes[name],) * count
    return dataclasses.replace(base, **changes)
