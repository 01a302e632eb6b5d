"""transfer(): the recipe from two photos to the result, start to finish."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import product
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.colour.guided import guided_filter
from fastphoto.colour.match import match_colours
from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.encoders.weights import CAFFE_MEAN
from fastphoto.errors import InputError
from fastphoto.optimisation.memory import check_transfer, out_of_memory_refused
from fastphoto.optimisation.objective import Objective, stage_objective
from fastphoto.optimisation.presets import preset_settings
from fastphoto.optimisation.settings import Settings
from fastphoto.optimisation.solvers import LBFGS, Adam, GradientDescent, Rule, minimise
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import enlarge, resize
from fastphoto.photos.write import to_source_kind
from fastphoto.regions.find import RegionSource, assign_regions, check_region_source
from fastphoto.regions.pair import prepare_pair
from fastphoto.runtime.device import choose_device

_MINIMUM_LEVEL = 32  # pixels on the short side of a coarse scale
_TENSOR_CORE_CHANNELS = 8  # convolutions on a GPU are fast for multiples of this many channels


class _Losses(Mapping[str, float]):
    """Losses by name that are read from the device when looked at."""

    def __init__(self, parts: Mapping[str, Tensor]) -> None:
        self._parts = parts

    def __getitem__(self, name: str) -> float:
        return float(self._parts[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


@dataclass(frozen=True)
class Progress:
    """Where a transfer stands, given to the callback after every gradient evaluation."""

    stage: str
    """"style" or "photorealism"."""
    scale: tuple[int, int]
    """(height, width) in pixels that is being optimised."""
    step: int
    """Gradient evaluations so far, of all stages and scales."""
    total: int
    """Gradient evaluations of the whole run."""
    losses: Mapping[str, float]
    """Weighted losses by name: "content", "style", "photorealism", ...; read from the device when looked at."""
    _best: Tensor = field(repr=False)

    def preview(self) -> Tensor:
        """The best image so far, (3, h, w) in [0, 1], at the scale being optimised and before any smoothing."""
        return self._best.detach().clamp(0, 1)


@torch.inference_mode(False)  # a caller's inference mode would take the gradients away that this needs
def transfer(
    content: PhotoSource,
    style: PhotoSource,
    content_mask: Any = None,
    style_mask: Any = None,
    *,
    regions: RegionSource = "masks",
    segmentation_model: str | os.PathLike[str] | None = None,
    preset: str = "fast",
    encoder: str = "embedded",
    weights: str | os.PathLike[str] | None = None,
    size: int = 700,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callable[[Progress], bool | None] | None = None,
    **settings: Any,
) -> Any:
    """Make the content photo take on the look of the style photo, region by region, and stay a photograph.

    Args:
        content, style: a path, PIL image, numpy array (H, W[, C]) of uint8, uint16 or float in [0, 1], or tensor
            ([1, ]C, H, W); see `fastphoto.images.read_photo`.
        content_mask, style_mask: regions of either photo, matched by name or colour: a mask image (nine-colour
            palette or class ids), label array, or dict of named masks; see `fastphoto.labels.read_masks`. Give both or
            neither.
        regions: "masks" takes those of the masks, and without any the whole photo as one; "none" takes the whole photo
            as one; "auto" and "semantic" find regions that both photos share, see `fastphoto.find_regions`. All but
            the first take no masks.
        segmentation_model: of "semantic", a name on the Hugging Face Hub or a folder; None for the default.
        preset: "fast", "paper", ...; see `fastphoto.settings.PRESETS`.
        encoder: "embedded" (works offline), "vgg19-16x" or "vgg19". weights: its file; else cache or download.
        size: long side in pixels to optimise at, at least 16. The result has the content's own size.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        seed: of the noise start; nothing else is random.
        callback: receives a `Progress` after every gradient evaluation; returning True stops the run and keeps the
            best image.
        settings: any field of `fastphoto.settings.Settings`.

    Returns:
        The result as the kind that `content` came in (a PIL image for a path, pixels (3, H, W) for a `Photo`), at the
        content's own size.

    Raises:
        InputError: arguments, masks or photos that cannot be used, and sizes that memory cannot hold. FileError: files
            that cannot be read.
        FastPhotoError: losses that stay non-finite.
    """
    chosen = preset_settings(preset, **settings)
    place = choose_device(device)
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 2**63:
        raise InputError(f"seed: must be a whole number from 0 to 2^63 - 1, got {seed!r}")
    check_region_source(regions, content_mask, style_mask, segmentation_model)
    photos = read_photo(content, "content"), read_photo(style, "style")
    pair = prepare_pair(*photos, content_mask, style_mask, size, chosen.orphans)
    pair = assign_regions(pair, regions, segmentation_model, place)
    network = _encoder(encoder, weights, place, chosen.precision)
    network.check([*chosen.content_layers, *chosen.style_layers])
    size = pair.content.shape[1], pair.content.shape[2]
    check_transfer(size, network, chosen, place)
    with out_of_memory_refused(size), torch.no_grad(), _convolutions(place, chosen.precision):
        run = _Run(
            chosen,
            network,
            pair.content.to(place),
            pair.style.to(place),
            pair.content_masks.to(place),
            pair.style_masks.to(place),
            int(seed),
            callback,
        )
        result = run(photos[0].pixels.to(place)).clamp_(0, 1).cpu()
    return result if isinstance(content, Photo) else to_source_kind(photos[0], result)


def invert(
    photo: PhotoSource,
    layer: str = "relu4_1",
    *,
    encoder: str = "embedded",
    weights: str | os.PathLike[str] | None = None,
    size: int = 350,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: Callable[[Progress], bool | None] | None = None,
    **settings: Any,
) -> Any:
    """Make an image from what one layer of the encoder keeps of a photo (Mahendran and Vedaldi, CVPR 2015).

    It minimises |F(x) - F(photo)|^2 of the layer's activations F plus `total_variation_weight` times
    sum (dx^2 + dy^2)^(beta / 2), beta being `total_variation_power`, from noise.

    layer: "relu1_1" to "relu5_1". The other arguments, the result's kind and size, and what is raised are those of
    `transfer`; the settings are those of the preset "inversion", which this is a short way to.
    """
    told = {"preset": "inversion", "content_layers": layer} | settings
    where = {"encoder": encoder, "weights": weights, "device": device}
    return transfer(photo, photo, size=size, seed=seed, callback=callback, **where, **told)


class _Run:
    """One optimisation of prepared photos (3, h, w) and masks (R, h, w), all on one device."""

    def __init__(
        self,
        settings: Settings,
        encoder: Encoder,
        content: Tensor,
        style: Tensor,
        content_masks: Tensor,
        style_masks: Tensor,
        seed: int,
        callback: Callable[[Progress], bool | None] | None,
    ) -> None:
        self.settings, self.encoder, self.seed, self.callback = settings, encoder, seed, callback
        self.content, self.style = content, style
        self.content_masks, self.style_masks = content_masks, style_masks
        self.done = 0
        self.stopped = False

    def __call__(self, full: Tensor) -> Tensor:
        """The result (3, H, W), not clamped, for the content at its full size."""
        settings = self.settings
        self.total = sum(settings.steps) * len(settings.stages)
        start = self._start()
        result, content, reached = start, self.content, ""
        levels = [self._level(part) for part in settings.scales]
        for stage, (level, steps) in product(settings.stages, zip(levels, settings.steps, strict=True)):
            if reached and stage != reached:
                # As published, where a stage begins from the image file that the one before it wrote.
                result = (result.clamp(0, 1) * 255).round() / 255
            smaller = resize(self.content, level)
            result = self._carry(content, result, smaller) if reached else resize(start, level)
            content, reached = smaller, stage
            result = self._minimise(stage, content, resize(start, level), result, steps)
            if self.stopped:
                break
        finest = resize(self.content, levels[-1])
        result = self._carry(content, result, finest)
        if settings.result == "image":
            return enlarge(result, (full.shape[1], full.shape[2]))
        return apply_affine_maps(fit_affine_maps(finest, result, **settings.smoothing()), full)

    def _level(self, part: float) -> tuple[int, int]:
        """(h, w) of a part of the optimisation size, but with sides that leave the deepest layers something to see."""
        height, width = self.content.shape[1:]
        part = min(1.0, max(part, _MINIMUM_LEVEL / min(height, width)))
        return round(height * part), round(width * part)

    def _carry(self, coarse: Tensor, result: Tensor, content: Tensor) -> Tensor:
        """A result at one scale taken to another; to a finer one by local affine maps, which keep its detail."""
        size = content.shape[1], content.shape[2]
        if content.shape[1] <= coarse.shape[1]:
            return resize(result, size)
        if self.settings.result == "image":
            return enlarge(result, size)
        return apply_affine_maps(fit_affine_maps(coarse, result), content)

    def _start(self) -> Tensor:
        """The start image (3, h, w) at full optimisation size."""
        if self.settings.start == "content":
            return self.content
        if self.settings.start == "noise":
            generator = torch.Generator().manual_seed(self.seed)
            noise = torch.randn(self.content.shape, generator=generator) * (self.settings.noise * 256)
            return ((torch.tensor(CAFFE_MEAN[::-1])[:, None, None] + noise) / 256).to(self.content)
        masks = self.content_masks
        if (radius := self.settings.border_radius) > 0 and len(masks) > 1:
            masks = guided_filter(masks, self.content, radius)
        s = self.settings
        return match_colours(self.content, self.style, masks, self.style_masks, s.colour_gain, s.curve_slope)

    def _minimise(self, stage: str, content: Tensor, start: Tensor, x: Tensor, steps: int) -> Tensor:
        s = self.settings
        before, self.done = self.done, self.done + steps
        if steps == 0:
            return x
        scale = s.pixel_scale
        objective = self._objective(stage, content, start)
        rule: Rule
        if s.solver == "adam":
            rule = Adam(s.learning_rate * scale, steps)
        elif s.solver == "gradient":
            rule = GradientDescent(s.learning_rate * scale, s.maximum_change * scale)
        else:
            first = None if s.first_change is None else s.first_change * scale
            rule = LBFGS(s.history, first, s.maximum_change * scale)

        def report(step: int, best: Tensor, parts: Mapping[str, Tensor]) -> bool:
            assert self.callback is not None
            size = (content.shape[1], content.shape[2])
            progress = Progress(stage, size, before + step, self.total, _Losses(parts), objective.image(best))
            self.stopped = bool(self.callback(progress))
            return self.stopped

        best = minimise(
            objective.value_and_gradient, objective.unknowns(x) * scale, steps, rule, report if self.callback else None
        )
        return objective.image(best)

    def _objective(self, stage: str, content: Tensor, start: Tensor) -> Objective:
        """The losses of one stage at the content's size, with their targets."""
        level = content.shape[1] / self.content.shape[1]
        height, width = self.style.shape[1:]
        style_size = max(16, round(height * level)), max(16, round(width * level))
        style = resize(self.style, (min(height, style_size[0]), min(width, style_size[1])))
        masks = self.content_masks, self.style_masks
        return stage_objective(self.settings, self.encoder, stage, content, style, *masks, start)


def _encoder(name: str, weights: str | os.PathLike[str] | None, place: torch.device, precision: str) -> Encoder:
    """The encoder on its device, its activations in the type that the precision names."""
    if place.type == "cpu":
        if precision == "bfloat16":
            raise InputError("precision: bfloat16 is for CUDA devices; give auto or float32")
        return load_encoder(name, weights)
    dtype = torch.bfloat16 if precision in ("auto", "bfloat16") else torch.float32
    return load_encoder(name, weights, dtype=dtype, channel_multiple=_TENSOR_CORE_CHANNELS).to(place)


def _convolutions(place: torch.device, precision: str) -> AbstractContextManager[None]:
    """cuDNN told to choose the same algorithms in every run, and whether to round products to TF32."""
    if place.type == "cpu":
        return nullcontext()
    tf32 = precision == "tf32"
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32)
