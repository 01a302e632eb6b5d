"""Settings of a transfer: losses, start image and schedule."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fastphoto.errors import InputError


@dataclass(frozen=True)
class Settings:
    """All that a transfer can be told. The defaults are those of the preset "fast"."""

    # -- start and schedule
    start: Literal["colour", "content", "noise"] = "colour"
    """Start image: the content with each region's colours moved to the style's, the content itself, or noise."""
    noise: float = 1e-4 / 256
    """Standard deviation of the noise to start from, around the mean colour of VGG-19's training photos."""
    stages: tuple[Literal["style", "photorealism"], ...] = ("photorealism",)
    """What is optimised, in order; "style" leaves the photorealism loss and the projection out."""
    scales: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Parts of `size` that each stage goes through, coarse to fine; the last one must be the largest."""
    steps: tuple[int, ...] = (30, 30, 10)
    """Gradient evaluations at each scale; 0 leaves the start image as it is."""
    unknowns: Literal["pixels", "bilateral_grid"] = "pixels"
    """What is optimised: the image's pixels, or a bilateral grid of affine colour maps of the content."""
    solver: Literal["lbfgs", "adam", "gradient"] = "lbfgs"
    """"gradient": steepest descent, a fixed multiple of the gradient."""
    history: int = 10
    """Pairs of changes that L-BFGS keeps."""
    first_change: float | None = 0.01
    """RMS change of the image, in units of `pixel_scale`, in L-BFGS's first step; None: the published rule."""
    maximum_change: float = 0.5
    """No pixel value changes by more in one step of "lbfgs" or "gradient", in units of `pixel_scale`."""
    learning_rate: float = 0.02
    """Of Adam; in "gradient" the RMS change of the first step; in units of `pixel_scale`."""
    pixel_scale: float = 1.0
    """What a pixel value of 1 is to the solver; the paper's network has 256."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Of the encoder's convolutions; images, Gram matrices and losses are float32. "tf32" rounds products on a GPU,
    "bfloat16" activations too and is for GPUs only; "auto": bfloat16 on a GPU, float32 on a CPU."""

    # -- losses
    normalisation: Literal["relative", "published", "gatys"] = "relative"
    """"relative": activations by their mean, Gram matrices by the style's own size, the matting Laplacian's energy by
    the contrast of the start image (of the content where that is not by colour), sums over pixels by their number, so
    that weights mean the same for any encoder, photo and size. "published": the scale of Deep Photo Style Transfer.
    "gatys": that of Gatys et al. 2016, 1/2 sum (F - P)^2 and 1/(4 N^2 M^2) sum (G - A)^2. The latter two are of
    activations of mean 100, which other encoders are brought to: those of the Caffe network on values up to 256."""
    content_layers: tuple[str, ...] = ("relu3_1",)
    content_weight: float = 0.1
    content_target: Literal["content", "start"] = "start"
    """Whose activations the content loss compares with: the content's, or those of a start image by colour."""
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    style_weights: tuple[float, ...] = (2.0, 1.0, 0.5, 0.1, 0.1)
    """One for each of `style_layers`."""
    style_statistic: Literal["gram", "moments", "wasserstein", "histogram", "patches"] = "gram"
    """What of a region's activations is to be the style's: Gram matrix, mean and deviation of each channel, sliced
    distribution, histogram of each channel, or 3x3 patches that occur in the style; see `fastphoto.style_losses`."""
    photorealism_weight: float = 0.05
    photorealism_radius: int = 1
    """Of the matting Laplacian's windows, in pixels; 1 is the published 3x3."""
    total_variation_weight: float = 0.0
    total_variation_power: float = 2.0
    """The exponent beta in sum (dx^2 + dy^2)^(beta / 2); below 2 edges cost less, above 2 spikes more."""
    gamut_weight: float = 1.0
    """Of pixel values outside [0, 1], which the solver does not clamp."""
    epsilon: float = 1e-4
    """Of the matting Laplacian: how much it costs to change contrast where the content has little of it."""

    # -- result
    result: Literal["affine", "image"] = "affine"
    """"affine": the optimised image's smoothed local affine maps, applied to the full-size content. "image": the
    optimised image itself, enlarged to the content's size where that is larger."""
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

    def smoothing(self) -> dict[str, Any]:
        """What `fastphoto.local_affine.fit_affine_maps` is told."""
        return {
            "radius": self.affine_radius,
            "epsilon": self.affine_epsilon,
            "smooth_radius": self.smooth_radius,
            "smooth_colour": self.smooth_colour,
        }

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
        weights = (self.content_weight, self.photorealism_weight, self.total_variation_weight, *self.style_weights)
        if any(self.steps) and not any(weights):
            yield "style_weights", "must not all be 0 where every other weight is"
        for name in (
            "pixel_scale",
            "maximum_change",
            "learning_rate",
            "epsilon",
            "affine_epsilon",
            "colour_gain",
            "total_variation_power",
            "noise",
        ):
            if not getattr(self, name) > 0:
                yield name, "must be above 0"
        for name in ("first_change", "smooth_colour"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                yield name, "must be above 0 or None"
        for name in ("affine_radius", "smooth_radius", "border_radius"):
            if not 0 <= getattr(self, name) <= 100:
                yield name, "must be from 0 to 100 pixels"
        if not 1 <= self.photorealism_radius <= 100:
            yield "photorealism_radius", "must be from 1 to 100 pixels"
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
