"""Measures of a result against the style: how far apart the statistics of their regions are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts, such as scipy.ndimage, when they are used
import torch
import torch.nn.functional as F

from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.encoders.encoder import Encoder
from fastphoto.errors import InputError
from fastphoto.ops import masked_gram

Array = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]

GRAM_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Layers whose Gram matrices are compared, the same as in the paper's style loss."""

_LOOK_DIRECTIONS, _LOOK_QUANTILES = 32, 256
_BAND_SIGMAS, _BAND_QUANTILES = (1, 2, 4), 64  # sigmas in pixels


class StyleReference:
    """The statistics of a style's regions, and the distances of any number of results to them.

    Distances are means over the regions, weighted by their areas in the content. `Measures` defines them.

    Args:
        style: sRGB, (3, h, w), in [0, 1].
        style_masks: regions of the style, (R, h, w).
        content_masks: regions of the results, (R, H, W), in the same order.
        encoders: encoders of the Gram matrices. Each of `GRAM_LAYERS` comes from the first encoder that has it.

    Raises:
        InputError: encoders without any of `GRAM_LAYERS`.
    """

    def __init__(self, style: Array, style_masks: Masks, content_masks: Masks, encoders: Sequence[Encoder]) -> None:
        self._masks = content_masks
        area = content_masks.mean((1, 2))
        self._weights = area / area.sum()  # (R,)
        self._encoders = _layers_by_encoder(encoders)
        lab = srgb_to_lab(style)
        self._colours = _colour_quantiles(lab, style_masks)
        self._bands = _band_quantiles(lab[0], style_masks)
        self._grams = _gram_matrices(style, style_masks, self._encoders)

    def look(self, lab: Array) -> float:
        """Return the distance of a result's colours, CIELAB (3, H, W)."""
        apart = _colour_quantiles(lab, self._masks) - self._colours
        return float(self._weights @ np.sqrt(np.square(apart).mean((1, 2))))

    def contrast(self, lightness: Array) -> float:
        """Return the distance of a result's local contrast, L* (H, W)."""
        apart = _band_quantiles(lightness, self._masks) - self._bands
        return float(self._weights @ np.abs(apart).mean((1, 2)))

    def gram(self, planes: Array) -> float:
        """Return the distance of a result's Gram matrices, sRGB (3, H, W)."""
        layers = zip(_gram_matrices(planes, self._masks, self._encoders), self._grams, strict=True)
        return float(np.mean([self._weights @ _relative(*layer) for layer in layers]))


def _layers_by_encoder(encoders: Sequence[Encoder]) -> list[tuple[Encoder, list[str]]]:
    """Return each encoder with its share of `GRAM_LAYERS`: the layers that no encoder before it has."""
    assigned: list[tuple[Encoder, list[str]]] = []
    missing = list(GRAM_LAYERS)
    for encoder in encoders:
        if layers := [layer for layer in missing if layer in encoder.layers]:
            assigned.append((encoder, layers))
            missing = [layer for layer in missing if layer not in layers]
    if not assigned:
        raise InputError(f"encoders: {len(encoders)} given, none has one of the layers {', '.join(GRAM_LAYERS)}")
    return assigned


def _colour_quantiles(lab: Array, masks: Masks) -> Array:
    """Return quantiles (R, directions, quantiles) of each region's colours along fixed random directions."""
    directions = np.random.default_rng(0).normal(size=(3, _LOOK_DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    return np.stack([_quantiles(directions.T @ lab[:, mask], _LOOK_QUANTILES) for mask in masks])


def _band_quantiles(lightness: Array, masks: Masks) -> Array:
    """Return quantiles (R, bands, quantiles) of each region's band-passes of L* (H, W), from fine to coarse."""
    levels = [lightness, *(scipy.ndimage.gaussian_filter(lightness, sigma) for sigma in _BAND_SIGMAS)]
    bands = -np.diff(np.stack(levels), axis=0)
    return np.stack([_quantiles(bands[:, mask], _BAND_QUANTILES) for mask in masks])


def _quantiles(values: Array, count: int) -> Array:
    """Return quantiles (K, count) of each row (K, N) at the middles of equal shares, linear between neighbours.

    np.quantile returns the same, but takes five times as long for this many.
    """
    ordered = np.sort(values, axis=1)
    at = (np.arange(count) + 0.5) / count * (values.shape[1] - 1)
    below = at.astype(int)
    above = np.minimum(below + 1, values.shape[1] - 1)
    quantiles: Array = ordered[:, below] + (at - below) * (ordered[:, above] - ordered[:, below])
    return quantiles


@torch.no_grad()
def _gram_matrices(planes: Array, masks: Masks, encoders: Sequence[tuple[Encoder, list[str]]]) -> list[Array]:
    """Return, for each layer, mean Gram matrices (R, C, C): sum m^2 f f^T / sum m^2, m a region's mask at that size."""
    image, whole = torch.from_numpy(planes), torch.from_numpy(masks).float()
    matrices: list[Array] = []
    for encoder, layers in encoders:
        for features in encoder(image.to(encoder.matrix), layers).values():
            shrunk = F.interpolate(whole[None], features.shape[1:], mode="area")[0]
            total = masked_gram(features, shrunk.to(features.device)).cpu()
            matrices.append((total / shrunk.square().sum((1, 2))[:, None, None]).double().numpy())
    return matrices


def _relative(matrices: Array, reference: Array) -> Array:
    """Return Frobenius distances (R,) of matrices (R, C, C) from reference matrices, divided by the latter's norms."""
    norm = np.linalg.norm(reference, axis=(1, 2))
    distance: Array = np.linalg.norm(matrices - reference, axis=(1, 2))
    return distance / np.maximum(norm, 1e-12)  # a style may activate nothing
