"""The construction of a level's objective: every loss with its target and its weight."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fastphoto.colour.bilateral_grid import BilateralGrid
from fastphoto.colour.projection import LocalAffineProjection
from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.layers import VGG19_CHANNELS, Layer
from fastphoto.optimisation.levels import Level
from fastphoto.optimisation.losses import ContentLoss, InventedLoss, image_losses
from fastphoto.optimisation.objective import Objective
from fastphoto.optimisation.recolouring import Recolouring
from fastphoto.optimisation.settings import Settings
from fastphoto.optimisation.style_losses import LookLoss, Statistic, style_losses
from fastphoto.optimisation.weighted import Weighted
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.resizing import masks_by_layer, resize_masks

PUBLISHED_ACTIVATION = 100.0
"""Mean activation of the Caffe VGG-19 on pixel values up to 256. The published weights are chosen for it, so the
activations of other encoders are scaled to it."""

_POWERS: dict[Statistic, int] = {"gram": 4, "moments": 2, "wasserstein": 2, "histogram": 2, "patches": 2}
# Powers of the activations that squared distances of each statistic grow with; Gram matrices are products of two.


def level_objective(
    settings: Settings,
    encoder: Encoder,
    pair: PhotoPair,  # its photos are those of the level, at another size
    level: Level,
    recolouring: Recolouring | None = None,
) -> Objective:
    """Return the objective of one level: the losses with their targets, and the image that unknowns stand for."""
    layers = tuple(dict.fromkeys([*settings.content_layers, *settings.style_layers]))
    content_features = encoder(level.content, layers)
    style_features = pair.of_style.get(
        ("features", layers, tuple(level.style.shape)), lambda: _style_features(encoder, pair, level, layers)
    )
    photos = (content_features, style_features) if settings.style_layers else (content_features,)
    scale = _Scale(settings, encoder, _mean_activations(photos, layers))
    content_losses = _content_losses(settings, encoder, scale, content_features, level.start)
    # The masks of Luan et al. (2017) fade towards the photo's border in deep layers. Gatys et al. (2016) have no masks:
    # all pixels count alike.
    fade = settings.normalisation != "gatys"
    masks = masks_by_layer(pair.content_masks, level.size, settings.style_layers, _sizes(content_features), fade)
    style_masks = _style_masks(settings, pair, level, style_features, fade)
    weights = {
        layer: weight * scale.style(layer)
        for layer, weight in zip(settings.style_layers, settings.style_weights, strict=True)
    }
    weighted_style_losses = style_losses(
        weights, style_features, masks, style_masks, settings.style_statistic, settings.normalisation
    )
    weighted_image_losses = image_losses(settings, level.stage, level.content, level.start)
    # Differs from Luan et al. (2017), who smooth only at the end: "fast" and "painterly" optimise over smoothed images.
    project = settings.projection and level.stage == "photorealism"
    projection = LocalAffineProjection(level.content, **settings.smoothing()) if project else None
    # Differs from Luan et al. (2017), who change every pixel: "fast" refines a recolouring of few unknowns, which
    # cannot paint. An ablation optimises a bilateral grid of colour maps.
    model = BilateralGrid(level.content) if settings.unknowns == "bilateral_grid" else None
    return Objective(
        encoder,
        {"content": content_losses, "style": weighted_style_losses},
        weighted_image_losses,
        projection,
        settings.pixel_scale,
        recolouring.resized(level.size) if recolouring is not None else model,
        _smoothed_losses(settings, pair, level),
    )


def _style_features(encoder: Encoder, pair: PhotoPair, level: Level, layers: tuple[str, ...]) -> dict[str, Tensor]:
    if pair.look is None:
        return encoder(level.style, layers)
    look = pair.look
    return {layer: look.activations(layer).to(level.style) for layer in layers}


def _style_masks(
    settings: Settings, pair: PhotoPair, level: Level, features: Mapping[str, Tensor], fade: bool
) -> dict[str, Tensor]:
    """Return the masks of the style's regions at the style layers."""
    if pair.look is None:
        size = level.style.shape[1], level.style.shape[2]
        return masks_by_layer(pair.style_masks, size, settings.style_layers, _sizes(features), fade)
    return dict.fromkeys(settings.style_layers, pair.look.activation_masks(pair.style_masks))


def _smoothed_losses(settings: Settings, pair: PhotoPair, level: Level) -> dict[str, Weighted]:
    """Return the losses on the smoothed image, by name; none of them is in Luan et al. (2017)."""
    losses = {}
    masks = resize_masks(pair.content_masks, level.size)
    if settings.look_weight:
        style_masks = resize_masks(pair.style_masks, (level.style.shape[1], level.style.shape[2]))
        losses["look"] = Weighted(settings.look_weight, LookLoss(level.style, masks, style_masks))
    if settings.invented_weight:
        losses["invented"] = Weighted(settings.invented_weight, InventedLoss(level.content, level.start, masks))
    return losses


def _mean_activations(photos: tuple[Mapping[str, Tensor], ...], layers: tuple[str, ...]) -> dict[str, float]:
    return {
        layer: float(sum(features[layer].mean(dtype=torch.float32) for features in photos) / len(photos))
        for layer in layers
    }


def _content_losses(
    settings: Settings, encoder: Encoder, scale: _Scale, content_features: Mapping[str, Tensor], start: Tensor
) -> dict[str, Weighted]:
    # Differs from Luan et al. (2017): "painterly" has the start image as its target, which has the style's light.
    own = settings.content_target == "content" or settings.start != "colour"
    target = content_features if own or not settings.content_layers else encoder(start, settings.content_layers)
    return {
        layer: Weighted(settings.content_weight * scale.content(layer, target[layer]), ContentLoss(target[layer]))
        for layer in settings.content_layers
    }


class _Scale:
    """Factors that bring losses on activations to the scale that their weights are chosen for."""

    def __init__(self, settings: Settings, encoder: Encoder, activation: Mapping[str, float]) -> None:
        self.settings, self.encoder, self.activation = settings, encoder, activation  # means by layer

    def content(self, layer: str, target: Tensor) -> float:
        """Return the factor of the content loss, a mean of squared differences."""
        factor = self._activation(layer) ** 2
        if self.settings.normalisation == "gatys":  # half the sum of squared differences
            _, height, width = target.shape
            factor *= VGG19_CHANNELS[Layer.parse(layer).block - 1] * height * width / 2
        return factor

    def style(self, layer: str) -> float:
        """Return the factor of the style loss."""
        if self.settings.normalisation == "relative":
            return 1.0  # `style_loss` divides by the size of its target
        return float(self._activation(layer) ** _POWERS[self.settings.style_statistic])

    def _activation(self, layer: str) -> float:
        mean = self.activation[layer]
        if mean < 1e-6:  # a black photo has no activations to scale
            return 1.0
        # Differs from Luan et al. (2017): relative to the mean activation, weights mean the same for any encoder.
        if self.settings.normalisation == "relative":
            return 1 / mean
        return 1.0 if self.encoder.published_scale else PUBLISHED_ACTIVATION / mean


def _sizes(features: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    return {layer: (activations.shape[1], activations.shape[2]) for layer, activations in features.items()}
