"""The objective of one level, built: every loss with its target and its weight, as the settings say."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fastphoto.colour.bilateral_grid import BilateralGrid
from fastphoto.colour.projection import LocalAffineProjection
from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.layers import VGG19_CHANNELS, Layer
from fastphoto.optimisation.levels import Level
from fastphoto.optimisation.losses import ContentLoss, image_losses
from fastphoto.optimisation.objective import Objective
from fastphoto.optimisation.settings import Settings
from fastphoto.optimisation.style_losses import style_losses
from fastphoto.optimisation.weighted import Weighted
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.resizing import masks_by_layer

PUBLISHED_ACTIVATION = 100.0
"""Mean activation of the Caffe VGG-19 on values up to 256, to which others are scaled for the published weights."""


def level_objective(
    settings: Settings,
    encoder: Encoder,
    pair: PhotoPair,  # whose masks are used
    level: Level,
) -> Objective:
    """Return the losses of one level with their targets, and what the unknowns stand for."""
    layers = tuple(dict.fromkeys([*settings.content_layers, *settings.style_layers]))
    content_features, style_features = encoder(level.content, layers), encoder(level.style, layers)
    examples = (content_features, style_features) if settings.style_layers else (content_features,)
    scale = _Scale(settings, encoder, _mean_activations(examples, layers))
    content_losses = _content_losses(settings, encoder, scale, content_features, level.start)
    # Gatys et al. (2016) have no masks that fade: pixels at the border of the photo count like all others.
    fade = settings.normalisation != "gatys"
    masks, style_masks = (
        masks_by_layer(photo_masks, _size(photo), settings.style_layers, _sizes(features), fade)
        for photo_masks, photo, features in (
            (pair.content_masks, level.content, content_features),
            (pair.style_masks, level.style, style_features),
        )
    )
    weights = {
        layer: weight * scale.style(layer)
        for layer, weight in zip(settings.style_layers, settings.style_weights, strict=True)
    }
    losses_of_style = style_losses(
        weights, style_features, masks, style_masks, settings.style_statistic, settings.normalisation
    )
    losses_of_image = image_losses(settings, level.stage, level.content, level.start)
    # Differs from Luan et al. (2017), who smooth once, at the end.
    project = settings.projection and level.stage == "photorealism"
    projection = LocalAffineProjection(level.content, **settings.smoothing()) if project else None
    grid = BilateralGrid(level.content) if settings.unknowns == "bilateral_grid" else None
    feature_losses = {"content": content_losses, "style": losses_of_style}
    return Objective(encoder, feature_losses, losses_of_image, projection, settings.pixel_scale, grid)


def _mean_activations(examples: tuple[Mapping[str, Tensor], ...], layers: tuple[str, ...]) -> dict[str, float]:
    return {
        layer: float(sum(features[layer].mean(dtype=torch.float32) for features in examples) / len(examples))
        for layer in layers
    }


def _content_losses(
    settings: Settings, encoder: Encoder, scale: _Scale, content_features: Mapping[str, Tensor], start: Tensor
) -> dict[str, Weighted]:
    # Differs from Luan et al. (2017): by default the target is the start image, whose light is the style's already.
    own = settings.content_target == "content" or settings.start != "colour"
    target = content_features if own else encoder(start, tuple(content_features))
    return {
        layer: Weighted(settings.content_weight * scale.content(layer, target[layer]), ContentLoss(target[layer]))
        for layer in settings.content_layers
    }


class _Scale:
    """Factors that bring losses of activations to the scale that their weights are made for."""

    def __init__(self, settings: Settings, encoder: Encoder, activation: Mapping[str, float]) -> None:
        self.settings, self.encoder, self.activation = settings, encoder, activation  # means by layer

    def content(self, layer: str, target: Tensor) -> float:
        """Return the factor of the mean squared distance of activations."""
        factor = self._activation(layer) ** 2
        if self.settings.normalisation == "gatys":
            _, height, width = target.shape
            factor *= VGG19_CHANNELS[Layer.parse(layer).block - 1] * height * width / 2
        return factor

    def style(self, layer: str) -> float:
        """Return the factor of the style loss; the relative one is divided by the size of the target already."""
        if self.settings.normalisation == "relative":
            return 1.0
        power = 4 if self.settings.style_statistic == "gram" else 2
        return float(self._activation(layer) ** power)

    def _activation(self, layer: str) -> float:
        mean = self.activation[layer]
        if mean < 1e-6:  # a black photo has no activations to scale
            return 1.0
        if self.settings.normalisation == "relative":
            return 1 / mean
        return 1.0 if self.encoder.published_scale else PUBLISHED_ACTIVATION / mean


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[1], image.shape[2]


def _sizes(features: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    return {layer: _size(activations) for layer, activations in features.items()}
