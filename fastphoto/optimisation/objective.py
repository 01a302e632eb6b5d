"""The objective of one stage: every loss with its target and its weight, as the settings say."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastphoto.colour.affine_maps import LocalAffineProjection
from fastphoto.colour.bilateral_grid import BilateralGrid
from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.layers import VGG19_CHANNELS, Layer
from fastphoto.ops import matting_laplacian_stencil
from fastphoto.optimisation.losses import ContentLoss, GamutLoss, PhotorealismLoss, TotalVariationLoss, WideWindowLoss
from fastphoto.optimisation.settings import Settings
from fastphoto.optimisation.style_losses import style_loss
from fastphoto.regions.resizing import layer_masks, resize_masks

PUBLISHED_ACTIVATION = 100.0  # mean activation that encoders of another scale are brought to for the published weights

_FAINT_VARIANCE = 1e-3  # local variance below which a photo counts as faint: its noise must not count as contrast


class Objective(nn.Module):
    """The weighted sum of losses on an image and on its activations.

    forward(x) with x (3, H, W), pixel values times `pixel_scale`, returns the total and its parts by name, each
    weighted. Where a linear `projection` P is given, x stands for the image P x, which preconditions the problem: a
    gradient P^T g has no part in what the photorealism loss would punish, so a solver needs half the steps. Activations
    are those of P (P x), for the result will be smoothed once more. Where a bilateral `grid` is given, x is one.
    """

    def __init__(
        self,
        encoder: Encoder,
        feature_losses: Mapping[str, Mapping[str, tuple[float, nn.Module]]],
        image_losses: Mapping[str, tuple[float, nn.Module]],
        projection: nn.Module | None = None,
        pixel_scale: float = 1.0,
        grid: BilateralGrid | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        # {name: {layer: (weight, loss)}} and {name: (weight, loss)}; a weight of 0 leaves its loss out.
        self.feature_losses = {
            name: kept for name, group in feature_losses.items() if (kept := {k: v for k, v in group.items() if v[0]})
        }
        self.image_losses = {name: pair for name, pair in image_losses.items() if pair[0]}
        self.layers = tuple({layer: None for group in self.feature_losses.values() for layer in group})
        self.projection = projection
        self.pixel_scale = pixel_scale
        self.grid = grid

    def unknowns(self, image: Tensor) -> Tensor:
        """An x, times 1 / `pixel_scale`, that stands for about this image (3, H, W)."""
        return self.grid.fit(image) if self.grid is not None else image

    def image(self, x: Tensor) -> Tensor:
        """The image (3, H, W), values in [0, 1], that x stands for."""
        image = x / self.pixel_scale if self.pixel_scale != 1 else x
        if self.grid is not None:
            return self.grid(image)
        return self.projection(image) if self.projection is not None else image

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        image = self.image(x)
        parts = {name: loss(image) * weight for name, (weight, loss) in self.image_losses.items()}
        if self.layers:
            shown = self.projection(image) if self.projection is not None else image
            features = self.encoder(shown, self.layers)
            for name, group in self.feature_losses.items():
                parts[name] = sum(loss(features[layer]) * weight for layer, (weight, loss) in group.items())
        total = sum(parts.values()) if parts else image.sum() * 0
        return total, parts

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The total, its gradient in x, and its parts, all detached."""
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            total, parts = self(x)
            (gradient,) = torch.autograd.grad(total, x)
        return total.detach(), gradient, {name: part.detach() for name, part in parts.items()}


def stage_objective(
    settings: Settings,
    encoder: Encoder,
    stage: str,
    content: Tensor,  # (3, h, w) at the scale of the stage
    style: Tensor,  # (3, h', w')
    content_masks: Tensor,  # (R, H, W) of any larger size
    style_masks: Tensor,  # (R, H', W')
    start: Tensor,  # (3, h, w)
) -> Objective:
    """The losses of a stage, "style" or "photorealism", at one scale."""
    s = settings
    layers = tuple(dict.fromkeys([*s.content_layers, *s.style_layers]))
    content_features, style_features = encoder(content, layers), encoder(style, layers)
    seen = (content_features, style_features) if s.style_layers else (content_features,)
    units = {layer: sum(f[layer].mean(dtype=torch.float32) for f in seen) / len(seen) for layer in layers}
    scale = _Scale(s, encoder, {layer: float(unit) for layer, unit in units.items()})
    own = s.content_target == "content" or s.start != "colour"
    target = content_features if own else encoder(start, layers)
    losses: dict[str, dict[str, tuple[float, nn.Module]]] = {"content": {}, "style": {}}
    for layer in s.content_layers:
        losses["content"][layer] = s.content_weight * scale.content(layer, target[layer]), ContentLoss(target[layer])
    ours = _layer_masks(s, content_masks, content, content_features)
    theirs = _layer_masks(s, style_masks, style, style_features)
    for layer, weight in zip(s.style_layers, s.style_weights, strict=True):
        masks = ours[layer], theirs[layer]
        loss = style_loss(style_features[layer], *masks, s.style_statistic, s.normalisation)
        losses["style"][layer] = weight * scale.style(layer), loss
    pixels = content.shape[1] * content.shape[2]
    published = s.normalisation != "relative"
    variation = 256.0**s.total_variation_power / 2 if published else 1 / (2 * pixels)
    image_losses: dict[str, tuple[float, nn.Module]] = {
        "total variation": (s.total_variation_weight, TotalVariationLoss(variation, s.total_variation_power)),
        "gamut": (s.gamut_weight, GamutLoss(1 / pixels)),
    }
    if stage == "photorealism" and s.photorealism_weight:
        look = start if s.start == "colour" else content
        scale_of_energy = 1.0 if published else 1 / (pixels * (_local_variance(look) + _FAINT_VARIANCE))
        image_losses["photorealism"] = s.photorealism_weight, _photorealism(s, content, scale_of_energy)
    project = s.projection and stage == "photorealism"
    projection = LocalAffineProjection(content, **s.smoothing()) if project else None
    grid = BilateralGrid(content) if s.unknowns == "bilateral_grid" else None
    return Objective(encoder, losses, image_losses, projection, s.pixel_scale, grid)


class _Scale:
    """What brings the losses of activations to the scale that their weights are made for."""

    def __init__(self, settings: Settings, encoder: Encoder, unit: Mapping[str, float]) -> None:
        self.settings, self.encoder, self.unit = settings, encoder, unit  # unit: mean activation of every layer

    def content(self, layer: str, target: Tensor) -> float:
        """Of the mean squared distance of activations."""
        factor = self._activation(layer) ** 2
        if self.settings.normalisation == "gatys":
            channels, *size = target.shape
            factor *= VGG19_CHANNELS[Layer.parse(layer).block - 1] * size[0] * size[1] / 2
        return factor

    def style(self, layer: str) -> float:
        """Of the style loss: the relative one is divided by the target's own size, and so by the activations'."""
        if self.settings.normalisation == "relative":
            return 1.0
        return self._activation(layer) ** (4 if self.settings.style_statistic == "gram" else 2)

    def _activation(self, layer: str) -> float:
        unit = self.unit[layer]
        if unit < 1e-6:  # a black photo: there is nothing to bring to scale
            return 1.0
        if self.settings.normalisation == "relative":
            return 1 / unit
        return 1.0 if self.encoder.published_scale else PUBLISHED_ACTIVATION / unit


def _photorealism(settings: Settings, content: Tensor, scale: float) -> nn.Module:
    if settings.photorealism_radius == 1:
        stencil = matting_laplacian_stencil(content.permute(1, 2, 0), settings.epsilon)
        return PhotorealismLoss(stencil, scale)
    # A pixel is in that many times more windows than in the 3x3 ones that the weight is made for.
    windows = (2 * settings.photorealism_radius + 1) ** 2 / 9
    return WideWindowLoss(content, settings.photorealism_radius, settings.epsilon * windows, scale / windows)


def _local_variance(image: Tensor) -> float:
    """Variance within a 3x3 window of an image (3, H, W), mean over windows and channels."""
    return float((F.avg_pool2d(image.square(), 3, 1) - F.avg_pool2d(image, 3, 1).square()).mean())


def _layer_masks(settings: Settings, masks: Tensor, image: Tensor, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    size = image.shape[1], image.shape[2]
    masks = resize_masks(masks, size)
    sizes = {layer: (f.shape[1], f.shape[2]) for layer, f in features.items()}
    if settings.normalisation == "gatys":  # every pixel counts alike, those at the photo's border too
        return {layer: resize_masks(masks, sizes[layer]) for layer in settings.style_layers}
    return layer_masks(masks, settings.style_layers, {"relu1_1": size} | sizes)
