"""The problem that all baselines solve, and its losses in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.baselines.network import PlainVgg
from benchmarks.baselines.operators import csr_tensor, dense_gram
from benchmarks.torch_modes import convolution_precision, product_precision
from fastphoto import ops
from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.weights import EncoderWeights
from fastphoto.optimisation.settings import Settings
from fastphoto.optimisation.targets import PUBLISHED_ACTIVATION
from fastphoto.photos.photo import MINIMUM_SIDE
from fastphoto.photos.resize import resize
from fastphoto.regions.resizing import layer_masks, resize_masks


@dataclass(frozen=True)
class Problem:
    """Everything that a result depends on: photos, regions, start image, losses and the encoder's weights."""

    content: Tensor  # (3, h, w), sRGB in [0, 1]
    style: Tensor  # (3, h', w')
    start: Tensor  # (3, h, w)
    content_masks: Tensor  # (R, h, w)
    style_masks: Tensor  # (R, h', w')
    settings: Settings
    weights: EncoderWeights

    @property
    def size(self) -> tuple[int, int]:
        return self.content.shape[1], self.content.shape[2]

    def scaled(self, factor: float) -> Problem:
        """Return the same problem with photos of another size."""
        if factor == 1:
            return self
        size = round(self.size[0] * factor), round(self.size[1] * factor)
        style_size = tuple(max(MINIMUM_SIDE, round(side * factor)) for side in self.style.shape[1:])
        return replace(
            self,
            content=resize(self.content, size),
            start=resize(self.start, size),
            style=resize(self.style, style_size),
        )

    def with_regions(self, count: int) -> Problem:
        """Return the same problem with empty regions added, until there are `count`."""
        padding = (0, 0, 0, 0, 0, count - len(self.content_masks))
        content_masks, style_masks = F.pad(self.content_masks, padding), F.pad(self.style_masks, padding)
        return replace(self, content_masks=content_masks, style_masks=style_masks)


@dataclass(frozen=True)
class StyleTerm:
    """weight_r |scale_r G_r - target_r|^2, summed over the regions r of one layer."""

    masks: Tensor  # (R, h, w)
    target: Tensor  # (R, C, C)
    scale: Tensor  # (R, 1, 1)
    weight: Tensor  # (R,)

    def distance(self, gram: Tensor) -> Tensor:
        return ((gram * self.scale - self.target).square().sum((1, 2)) * self.weight).sum()


class Losses:
    """The weights and targets of a problem's losses, computed once in float32.

    Args:
        problem: photos, regions and settings.
        layout: memory layout of the network that the losses will be used with.
        present_only: leave out regions that have no pixel at a layer.
    """

    def __init__(self, problem: Problem, layout: torch.memory_format, present_only: bool) -> None:
        s, content, style = problem.settings, problem.content, problem.style
        self.layers = tuple(dict.fromkeys([*s.content_layers, *s.style_layers]))
        published, pixels = s.normalisation == "published", content.shape[1] * content.shape[2]
        network = PlainVgg(problem.weights, torch.float32, layout).to(content.device)
        with torch.no_grad(), convolution_precision(), product_precision(False):
            content_features, style_features = network(content, self.layers), network(style, self.layers)
            own = s.content_target == "content" or s.start != "colour"
            target = content_features if own else network(problem.start, self.layers)
            factor = activation_factors(problem, content_features, style_features)
            self.content = {layer: (s.content_weight * factor[layer] ** 2, target[layer]) for layer in s.content_layers}
            masks = masks_at_layers(problem.content_masks, s.style_layers, content, content_features)
            style_masks = masks_at_layers(problem.style_masks, s.style_layers, style, style_features)
            self.style: dict[str, StyleTerm] = {}
            for layer, weight in zip(s.style_layers, s.style_weights, strict=True):
                weight = weight * factor[layer] ** 4 if published else weight
                self.style[layer] = style_term(
                    masks[layer], style_masks[layer], style_features[layer], weight, published, present_only
                )
        self.total_variation = s.total_variation_weight * (256.0**2 if published else 1 / pixels) / 2
        self.gamut = s.gamut_weight / pixels
        self.photorealism = s.photorealism_weight
        if not published:
            reference = problem.start if s.start == "colour" else content
            self.photorealism /= pixels * (local_variance(reference) + 1e-3)
        stencil = ops.matting_laplacian_stencil(content.double().permute(1, 2, 0), s.epsilon)
        self.matrix = csr_tensor(stencil.float())

    def image_losses(self, image: Tensor) -> dict[str, Tensor]:
        """Return the losses of an image that need no network, except the photorealism loss."""
        parts = {}
        if self.total_variation:
            corner = image[:, :-1, :-1]
            right, below = image[:, :-1, 1:] - corner, image[:, 1:, :-1] - corner
            parts["total variation"] = (right.square().sum() + below.square().sum()) * self.total_variation
        if self.gamut:
            parts["gamut"] = (image - image.clamp(0, 1)).square().sum() * self.gamut
        return parts

    def content_loss(self, features: dict[str, Tensor]) -> Tensor:
        terms = [w * (features[layer].float() - t).square().mean() for layer, (w, t) in self.content.items()]
        return torch.stack(terms).sum()


def activation_factors(
    problem: Problem, content_features: dict[str, Tensor], style_features: dict[str, Tensor]
) -> dict[str, float]:
    """Return the factors by layer that bring activations to the scale that the losses' weights are made for."""
    mean = {n: float((f.mean() + style_features[n].mean()) / 2) for n, f in content_features.items()}
    if problem.settings.normalisation != "published":
        return {layer: 1 / value for layer, value in mean.items()}
    if Encoder(problem.weights).published_scale:
        return dict.fromkeys(mean, 1.0)
    return {layer: PUBLISHED_ACTIVATION / value for layer, value in mean.items()}


def masks_at_layers(
    masks: Tensor, layers: Sequence[str], image: Tensor, features: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return {layer: (R, h, w)}, the masks at the size of each layer."""
    size = (image.shape[1], image.shape[2])
    sizes = {"relu1_1": size} | {layer: (f.shape[1], f.shape[2]) for layer, f in features.items()}
    return layer_masks(resize_masks(masks, size), layers, sizes)


def style_term(
    masks: Tensor, style_masks: Tensor, style_features: Tensor, weight: float, published: bool, present_only: bool
) -> StyleTerm:
    """Return the style loss of one layer; regions without a pixel there weigh nothing, or are left out."""
    present = (masks.sum((1, 2)) >= 1) & (style_masks.sum((1, 2)) >= 1)
    if present_only:
        masks, style_masks, present = masks[present], style_masks[present], present[present]
    channels = style_features.shape[0]
    power, divide = (1, channels) if published else (2, 1)
    scale, style_scale = (1 / (m.pow(power).sum((1, 2)).clamp_min(1e-6) * divide) for m in (masks, style_masks))
    target = dense_gram(style_features, style_masks) * style_scale[:, None, None]
    size = channels**2 if published else target.square().sum((1, 2)).clamp_min(1e-12)
    return StyleTerm(masks, target, scale[:, None, None], weight * masks.mean((1, 2)) / size * present)


def local_variance(image: Tensor) -> float:
    """Return the variance within 3 x 3 windows, averaged over windows and channels."""
    return float((F.avg_pool2d(image.square(), 3, 1) - F.avg_pool2d(image, 3, 1).square()).mean())
