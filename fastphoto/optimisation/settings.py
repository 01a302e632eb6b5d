"""Settings of a transfer: start image, schedule, losses and result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypedDict, get_type_hints

from fastphoto.errors import InputError
from fastphoto.optimisation.setting_types import described, fits
from fastphoto.optimisation.style_losses import Normalisation, Statistic
from fastphoto.regions.matching import Orphans

Stage = Literal["style", "photorealism"]
Solver = Literal["lbfgs", "adam", "gradient"]


class Smoothing(TypedDict):
    """The settings that `fastphoto.colour.affine_maps.fit_affine_maps` takes."""

    radius: int
    epsilon: float
    smooth_radius: int
    smooth_colour: float | None


@dataclass(frozen=True)
class Settings:
    """All settings of a transfer. The defaults are those of the preset "fast".

    Raises:
        InputError: a value of the wrong type or out of range.

    Example:
        >>> Settings(scales=(0.5, 1.0), steps=(60, 20)).steps
        (60, 20)
    """

    # -- start and schedule
    start: Literal["colour", "content", "noise"] = "colour"
    """Start image: the content with the colours of each region moved to the style's, the content itself, or noise."""
    noise: float = 1e-4 / 256
    """Standard deviation of the noise start, around the mean colour of VGG-19's training photos."""
    stages: tuple[Stage, ...] = ("photorealism",)
    """Stages in order; "style" leaves the photorealism loss and the projection out."""
    scales: tuple[float, ...] = (1.0,)
    """Fractions of `size` (of 192 pixels for the unknowns "recolouring") that each stage goes through, coarse to fine;
    the last must be the largest."""
    steps: tuple[int, ...] = (16,)
    """Steps (gradient evaluations) at each scale; 0 leaves the start image as it is."""
    unknowns: Literal["recolouring", "pixels", "bilateral_grid"] = "recolouring"
    """The unknowns. "recolouring": tone, local contrast and chroma of each region, few and smooth, on top of the start
    image; "pixels": the pixels of the image; "bilateral_grid": affine colour maps of the content on a grid."""
    solver: Solver = "lbfgs"
    """The solver; "gradient" is steepest descent with a fixed multiple of the gradient."""
    history: int = 10
    """Number of pairs (change of x, change of the gradient) in L-BFGS's history."""
    first_change: float | None = 0.01
    """RMS change of the image in the first step of L-BFGS, in units of `pixel_scale`; None: the published rule."""
    maximum_change: float = 0.5
    """Largest change of a pixel value in one step of "lbfgs" or "gradient", in units of `pixel_scale`."""
    learning_rate: float = 0.02
    """Learning rate of Adam; with "gradient" the RMS change of the first step. In units of `pixel_scale`."""
    pixel_scale: float = 1.0
    """Value of the solver's unknowns that stands for a pixel value of 1; 256 in the published program."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Precision of the encoder's convolutions; images, Gram matrices and losses are float32. "tf32" rounds products on
    a GPU, "bfloat16" rounds activations too and is for GPUs only; "auto": bfloat16 on a GPU, float32 on a CPU."""

    # -- losses
    normalisation: Normalisation = "relative"
    """Scale of the losses. "relative": activations are divided by their mean, Gram matrices by the size of the style's
    own, the matting Laplacian's energy by the contrast of the start image (of the content if the start is not by
    colour), sums over pixels by their number; weights then mean the same for any encoder, photo and size. "published":
    the scale of Deep Photo Style Transfer. "gatys": that of Gatys et al. 2016, 1/2 sum (F - P)^2 and
    1/(4 N^2 M^2) sum (G - A)^2. The latter two scale the activations of other encoders to a mean of 100, that of the
    Caffe network on values up to 256."""
    content_layers: tuple[str, ...] = ()
    """Layers of the content loss."""
    content_weight: float = 0.0
    """Weight of the content loss."""
    content_target: Literal["content", "start"] = "start"
    """Target of the content loss: the activations of the content, or of the start image if `start` is "colour"."""
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    """Layers of the style loss."""
    style_weights: tuple[float, ...] = (2.0, 1.0, 0.5, 0.1, 0.1)
    """Weight of the style loss, one for each of `style_layers`."""
    style_statistic: Statistic = "moments"
    """Statistic of a region's activations that is compared with the style's: Gram matrix, mean and deviation of each
    channel, sliced distribution, histogram of each channel, or the nearest 3x3 patches of the style; see
    `fastphoto.optimisation.style_losses`."""
    look_weight: float = 20.0
    """Weight of the distance between the colours of each region and the style's."""
    stains_weight: float = 30.0
    """Weight of chroma that no local affine map of the content explains."""
    invented_weight: float = 600.0
    """Weight of local contrast beyond the content's own."""
    photorealism_weight: float = 0.0
    """Weight of the photorealism loss."""
    photorealism_radius: int = 1
    """Radius of the matting Laplacian's windows in pixels; 1 is the published 3x3."""
    total_variation_weight: float = 0.0
    """Weight of the total variation."""
    total_variation_power: float = 2.0
    """Exponent beta in sum (dx^2 + dy^2)^(beta / 2); below 2 edges cost less, above 2 spikes cost more."""
    gamut_weight: float = 0.0
    """Weight of the penalty on pixel values outside [0, 1]; the solver does not clamp them."""
    epsilon: float = 1e-4
    """Epsilon of the matting Laplacian; a larger one makes it costlier to add contrast where the content has little."""

    # -- result
    strength: float = 1.0
    """How far the result goes from the start image, 0, to the optimised image, 1, or beyond."""
    blend: float = 1.0
    """How far the result goes from the content, 0, to what the settings above make of it, 1."""
    result: Literal["affine", "image"] = "affine"
    """The result. "affine": the smoothed local affine maps of the optimised image, applied to the full-size content.
    "image": the optimised image itself, enlarged to the size of the content where that is larger."""
    projection: bool = True
    """Optimise over smoothed images only: unknowns x stand for the image P x, which halves the steps, and activations
    are those of P x smoothed once more, as the result will be."""
    affine_radius: int = 4
    """Radius in pixels of the windows that colour maps are fitted on."""
    affine_epsilon: float = 0.012
    """Epsilon of the fit, added to sums over a window: it pulls the maps to constants where the content has little
    contrast."""
    smooth_radius: int = 4
    """Radius in pixels of the average over neighbouring maps."""
    smooth_colour: float | None = None
    """Difference of content colours up to which maps are averaged; None: any."""

    # -- regions
    orphans: Orphans = "merge"
    """What happens to a content region that the style lacks; see `fastphoto.regions.match_regions`."""
    matte_radius: int = 5
    """Radius in pixels, in a photo with a long side of 350, within which closed-form matting redraws the start image's
    region borders along the content's edges; 0: not."""
    border_radius: int = 0
    """Radius in pixels within which a guided filter moves the start image's region borders to the content's edges."""
    colour_gain: float = 6.0
    """Largest factor by which the start image spreads a region's colours in any direction, before the curves."""
    curve_slope: float = 3.0
    """Largest slope of a curve through a region's lightness or colour in the start image, and the inverse of the
    smallest; 1: no curves."""

    def smoothing(self) -> Smoothing:
        """Return the settings of the smoothing at the end."""
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
        """Yield (name, what it must be) for each wrong setting; types first, because the other checks rely on them."""
        for name, annotation in get_type_hints(type(self)).items():
            if not fits(getattr(self, name), annotation):
                yield name, f"must be {described(annotation)}"
        yield from self._problems_of_each()
        yield from self._problems_of_schedule()
        yield from self._problems_of_ranges()

    def _problems_of_each(self) -> Iterator[tuple[str, str]]:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            values = value if isinstance(value, tuple) else (value,)
            if field.name != "maximum_change" and math.inf in values:
                yield field.name, "must be finite"
            if field.name.endswith(("_weight", "_weights")) and any(v < 0 for v in values):
                yield field.name, "must be 0 or more"
            if field.name.endswith("_layers") and len(set(values)) < len(values):
                yield field.name, "must name each layer once"

    def _problems_of_schedule(self) -> Iterator[tuple[str, str]]:
        if not self.stages:
            yield "stages", "must name style, photorealism or both"
        if not self.scales or self.scales[-1] != max(self.scales) or any(not 0 < s <= 1 for s in self.scales):
            yield "scales", "must be fractions of the size in (0, 1], the largest last"
        if len(self.steps) != len(self.scales) or any(n < 0 for n in self.steps):
            yield "steps", f"must be {len(self.scales)} counts of 0 or more, one for each of scales"
        if len(self.style_weights) != len(self.style_layers):
            yield "style_weights", f"must be {len(self.style_layers)} weights, one for each of style_layers"
        others = ("content", "look", "stains", "invented", "photorealism", "total_variation")
        weights = [getattr(self, f"{name}_weight") for name in others] + [*self.style_weights]
        if any(self.steps) and not any(weights):
            yield "style_weights", "must not all be 0 if every other weight is 0"

    def _problems_of_ranges(self) -> Iterator[tuple[str, str]]:
        for name in _ABOVE_ZERO:
            if not getattr(self, name) > 0:
                yield name, "must be above 0"
        for name in ("first_change", "smooth_colour"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                yield name, "must be above 0 or None"
        for name in ("affine_radius", "smooth_radius", "border_radius", "matte_radius"):
            if not 0 <= getattr(self, name) <= 100:
                yield name, "must be from 0 to 100 pixels"
        if not 1 <= self.photorealism_radius <= 100:
            yield "photorealism_radius", "must be from 1 to 100 pixels"
        if self.strength < 0:
            yield "strength", "must be 0 or more"
        if not 0 <= self.blend <= 1:
            yield "blend", "must be from 0 to 1"
        if self.start == "noise" and self.unknowns == "recolouring":
            yield "start", 'must be "colour" or "content" with the unknowns "recolouring", which change a photo'
        if self.start == "noise" and self.strength != 1:
            yield "strength", 'must be 1 with the start "noise", which is no photo'
        if self.curve_slope < 1:
            yield "curve_slope", "must be 1 or more"
        if self.history < 1:
            yield "history", "must be 1 or more"


_ABOVE_ZERO = (
    "pixel_scale",
    "maximum_change",
    "learning_rate",
    "epsilon",
    "affine_epsilon",
    "colour_gain",
    "total_variation_power",
    "noise",
)
