"""transfer(): the recipe from two photos to the result, start to finish."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import product
from numbers import Integral
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import images, ops, regions
from .colour import match_colours
from .encoder import Encoder, load_encoder
from .errors import InputError
from .images import Photo
from .local_affine import LocalAffineProjection, apply_maps, follow_edges, smooth_maps
from .losses import ContentLoss, GamutLoss, Objective, PhotorealismLoss, StyleLoss, TotalVariationLoss
from .settings import Settings, preset_settings
from .solver import LBFGS, Adam, Rule, minimise
from .weights import CAFFE_MEAN

PUBLISHED_ACTIVATION = 100.0  # mean activation that encoders of another scale are brought to for the published weights

_MINIMUM_LEVEL = 32  # pixels on the short side of a coarse scale
_TENSOR_CORE_CHANNELS = 8  # convolutions on a GPU are fast for multiples of this many channels
_FAINT_VARIANCE = 1e-3  # local variance below which a photo counts as faint: its noise must not count as contrast

Source = images.Source | Photo


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
    content: Source,
    style: Source,
    content_mask: Any = None,
    style_mask: Any = None,
    *,
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
            palette or class ids), label array, or dict of named masks; see `fastphoto.labels.read_labels`. Give both or
            neither (then the whole photo is one region).
        preset: "fast" or "paper"; see `fastphoto.settings.PRESETS`.
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
        InputError: arguments, masks or photos that cannot be used. FileError: files that cannot be read.
        FastPhotoError: losses that stay non-finite.
    """
    chosen = preset_settings(preset, **settings)
    place = _device(device)
    if isinstance(size, bool) or not isinstance(size, Integral) or size < images.MINIMUM_SIDE:
        raise InputError(f"size: must be a whole number of {images.MINIMUM_SIDE} pixels or more, got {size!r}")
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 2**63:
        raise InputError(f"seed: must be a whole number from 0 to 2^63 - 1, got {seed!r}")
    photos = [
        p if isinstance(p, Photo) else images.read_photo(p, r) for p, r in ((content, "content"), (style, "style"))
    ]
    small = [images.resize(photo.pixels, images.fit_size(*photo.size, int(size), photo.name)) for photo in photos]
    # A tensor of inference mode cannot be saved for the backward pass; a copy made outside it can.
    small = [pixels.clone() if pixels.is_inference() else pixels for pixels in small]
    matched = _regions(photos, (content_mask, style_mask), small, chosen)
    small = [pixels.to(place) for pixels in small]
    network = _encoder(encoder, weights, place, chosen.precision)
    network.check([*chosen.content_layers, *chosen.style_layers])
    with torch.no_grad(), _convolutions(place, chosen.precision):
        run = _Run(
            chosen,
            network,
            small[0],
            small[1],
            matched.content.to(place),
            matched.style.to(place),
            int(seed),
            callback,
        )
        maps = run()
        full = photos[0].pixels.to(place)
        result = apply_maps(maps, full).clamp_(0, 1).cpu()
    return result if isinstance(content, Photo) else images.same_kind(photos[0], result)


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

    def __call__(self) -> Tensor:
        """The affine colour maps (h, w, 3, 4) from content to result at the last scale."""
        settings = self.settings
        self.total = sum(settings.steps) * len(settings.stages)
        start = self._start()
        result, content, reached = start, self.content, ""
        levels = [self._level(part) for part in settings.scales]
        for stage, (level, steps) in product(settings.stages, zip(levels, settings.steps, strict=True)):
            if reached and stage != reached:
                # As published, where a stage begins from the image file that the one before it wrote.
                result = (result.clamp(0, 1) * 255).round() / 255
            smaller = images.resize(self.content, level)
            result = self._carry(content, result, smaller) if reached else images.resize(start, level)
            content, reached = smaller, stage
            result = self._minimise(stage, content, images.resize(start, level), result, steps)
            if self.stopped:
                break
        finest = images.resize(self.content, levels[-1])
        return smooth_maps(finest, self._carry(content, result, finest), **self._smoothing())

    def _smoothing(self) -> dict[str, Any]:
        s = self.settings
        return {
            "radius": s.affine_radius,
            "epsilon": s.affine_epsilon,
            "smooth_radius": s.smooth_radius,
            "smooth_colour": s.smooth_colour,
        }

    def _level(self, part: float) -> tuple[int, int]:
        """(h, w) of a part of the optimisation size, but with sides that leave the deepest layers something to see."""
        height, width = self.content.shape[1:]
        part = min(1.0, max(part, _MINIMUM_LEVEL / min(height, width)))
        return round(height * part), round(width * part)

    def _carry(self, coarse: Tensor, result: Tensor, content: Tensor) -> Tensor:
        """A result at one scale taken to another; to a finer one by local affine maps, which keep its detail."""
        if content.shape[1] <= coarse.shape[1]:
            return images.resize(result, (content.shape[1], content.shape[2]))
        return apply_maps(smooth_maps(coarse, result), content)

    def _start(self) -> Tensor:
        """The start image (3, h, w) at full optimisation size."""
        if self.settings.start == "content":
            return self.content
        if self.settings.start == "noise":
            generator = torch.Generator().manual_seed(self.seed)
            noise = torch.randn(self.content.shape, generator=generator) * 1e-4
            return ((torch.tensor(CAFFE_MEAN[::-1])[:, None, None] + noise) / 256).to(self.content)
        masks = self.content_masks
        if (radius := self.settings.border_radius) > 0 and len(masks) > 1:
            masks = follow_edges(masks, self.content, radius)
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
        else:
            first = None if s.first_change is None else s.first_change * scale
            rule = LBFGS(s.history, first, s.maximum_change * scale)

        def report(step: int, best: Tensor, parts: Mapping[str, Tensor]) -> bool:
            assert self.callback is not None
            size = (content.shape[1], content.shape[2])
            progress = Progress(stage, size, before + step, self.total, _Losses(parts), objective.image(best))
            self.stopped = bool(self.callback(progress))
            return self.stopped

        best = minimise(objective.value_and_gradient, x * scale, steps, rule, report if self.callback else None)
        return objective.image(best)

    def _objective(self, stage: str, content: Tensor, start: Tensor) -> Objective:
        """The losses of one stage at the content's size, with their targets."""
        s = self.settings
        level = content.shape[1] / self.content.shape[1]
        height, width = self.style.shape[1:]
        style_size = max(16, round(height * level)), max(16, round(width * level))
        style = images.resize(self.style, (min(height, style_size[0]), min(width, style_size[1])))
        layers = tuple(dict.fromkeys([*s.content_layers, *s.style_layers]))
        content_features, style_features = self.encoder(content, layers), self.encoder(style, layers)
        units = [[f[layer].mean(dtype=torch.float32) for f in (content_features, style_features)] for layer in layers]
        unit = {layer: (ours + theirs) / 2 for layer, (ours, theirs) in zip(layers, units, strict=True)}
        published = s.normalisation == "published"
        own = s.content_target == "content" or s.start != "colour"
        target = content_features if own else self.encoder(start, layers)
        losses: dict[str, dict[str, tuple[float, Any]]] = {"content": {}, "style": {}}
        for layer in s.content_layers:
            losses["content"][layer] = (
                s.content_weight * self._factor(unit[layer]) ** 2,
                ContentLoss(target[layer]),
            )
        content_masks = self._layer_masks(self.content_masks, content, content_features)
        style_masks = self._layer_masks(self.style_masks, style, style_features)
        for layer, weight in zip(s.style_layers, s.style_weights, strict=True):
            loss = _style_loss(style_features[layer], content_masks[layer], style_masks[layer], published)
            # The relative loss is divided by the target's own size, and so free of the activations' already.
            losses["style"][layer] = (weight * self._factor(unit[layer]) ** 4 if published else weight), loss
        pixels = content.shape[1] * content.shape[2]
        photorealism = s.photorealism_weight if stage == "photorealism" else 0.0
        image_losses = {
            "total variation": (
                s.total_variation_weight,
                TotalVariationLoss(256.0**2 if published else 1 / pixels),
            ),
            "gamut": (s.gamut_weight, GamutLoss(1 / pixels)),
        }
        if photorealism:
            stencil = ops.matting_laplacian_stencil(content.permute(1, 2, 0), s.epsilon)
            look = start if s.start == "colour" else content
            relative = 1 / (pixels * (_local_variance(look) + _FAINT_VARIANCE))
            image_losses["photorealism"] = (
                photorealism,
                PhotorealismLoss(stencil, 1.0 if published else relative),
            )
        project = s.projection and stage == "photorealism"
        projection = LocalAffineProjection(content, **self._smoothing()) if project else None
        return Objective(self.encoder, losses, image_losses, projection, s.pixel_scale)

    def _factor(self, unit: Tensor) -> float:
        """What brings activations of this mean to the scale that the weights of losses are made for."""
        if float(unit) < 1e-6:  # a black photo: there is nothing to bring to scale
            return 1.0
        if self.settings.normalisation == "relative":
            return 1 / float(unit)
        return 1.0 if self.encoder.published_scale else PUBLISHED_ACTIVATION / float(unit)

    def _layer_masks(self, masks: Tensor, image: Tensor, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        masks = regions.resize_masks(masks, (image.shape[1], image.shape[2]))
        sizes = {"relu1_1": (image.shape[1], image.shape[2])}
        sizes |= {layer: (f.shape[1], f.shape[2]) for layer, f in features.items()}
        return regions.layer_masks(masks, self.settings.style_layers, sizes)


def _local_variance(image: Tensor) -> float:
    """Variance within a 3x3 window of an image (3, H, W), mean over windows and channels."""
    return float((F.avg_pool2d(image.square(), 3, 1) - F.avg_pool2d(image, 3, 1).square()).mean())


def _style_loss(style_features: Tensor, content_masks: Tensor, style_masks: Tensor, published: bool) -> StyleLoss:
    """The style loss of one layer: its target from the style, its weights from the regions' areas."""
    channels = style_features.shape[0]
    target = ops.masked_gram(style_features, style_masks)
    # The paper divides by the mask's sum; its square's sum is what makes the Gram matrix of soft masks a mean.
    power = 1 if published else 2
    divide = channels if published else 1
    scale, style_scale = (1 / (m.pow(power).sum((1, 2)).clamp_min(1e-6) * divide) for m in (content_masks, style_masks))
    target = target * style_scale[:, None, None]
    weight = content_masks.mean((1, 2))
    weight = weight / (channels**2 if published else target.square().sum((1, 2)).clamp_min(1e-12))
    # A region too small for this layer in either photo has no Gram matrix to speak of.
    present = (content_masks.sum((1, 2)) >= 1) & (style_masks.sum((1, 2)) >= 1)
    return StyleLoss(ops.plan_regions(content_masks), target, scale, weight * present)


def _regions(photos: list[Photo], masks: tuple[Any, Any], small: list[Tensor], settings: Settings) -> regions.Regions:
    """Both photos' regions, matched, at the optimisation size; what a photo's alpha hides is of no region."""
    sizes = [(pixels.shape[1], pixels.shape[2]) for pixels in small]
    content = _labels(photos[0], masks[0], "content", photos[1], sizes[0])
    style = _labels(photos[1], masks[1], "style", photos[0], sizes[1])
    matched = regions.match_regions(content, style, small[0], small[1], settings.orphans)
    return replace(
        matched,
        content=_visible(matched.content, photos[0].alpha, sizes[0]),
        style=_visible(matched.style, photos[1].alpha, sizes[1]),
    )


def _labels(photo: Photo, mask: Any, role: str, other: Photo, size: tuple[int, int]) -> regions.Labels:
    """One photo's regions at the optimisation size."""
    return regions.read_labels(mask, photo.size, role, other.size, shrunk=size)


def _visible(masks: Tensor, alpha: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Masks (R, h, w) times the photo's alpha; a region that is wholly hidden stays, for it has no other pixels."""
    if alpha is None:
        return masks
    seen = masks * regions.resize_masks(alpha[None], size)
    return torch.where(seen.sum((1, 2), keepdim=True) >= 1, seen, masks)


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


def _device(device: str | torch.device) -> torch.device:
    built_for_cuda = ops.build_info()["cuda"] is not None
    if device == "auto":
        return torch.device("cuda" if built_for_cuda and torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device {device!r}: unknown; give auto, cpu, cuda or cuda:N") from error
    if place.type not in ("cpu", "cuda"):
        raise InputError(f"device {device!r}: not supported; give auto, cpu, cuda or cuda:N")
    if place.type == "cuda" and not (built_for_cuda and torch.cuda.is_available()):
        missing = "no CUDA device is available" if built_for_cuda else "fastphoto was built without CUDA"
        raise InputError(f"device {device!r}: {missing}; use cpu")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r}: there are {torch.cuda.device_count()}; use a lower number")
    return place
