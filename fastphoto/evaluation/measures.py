"""Measures of one result: distances to the style, and fidelity to the content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # whose parts are loaded when they are used
import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.encoders.encoder import Encoder
from fastphoto.errors import InputError
from fastphoto.ops import masked_gram
from fastphoto.photos.photo import MINIMUM_SIDE

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The layers whose Gram matrices are compared, as in the paper's style loss."""
MEASURED_SHARE = 0.005
"""Of either photo's pixels: a region with less of them in one has no statistics to speak of and is skipped."""

_DIRECTIONS, _COLOUR_QUANTILES = 32, 256
_BAND_SIGMAS, _BAND_QUANTILES = (1, 2, 4), 64
_AFFINE_EPSILON = 1e-4
_EDGE_SPAN = 8.0  # of Sobel magnitudes over their mean, what the range of the values is to the similarity index
_SIMILARITY_SIGMA = 1.5
_LUMA_RADIUS = 5  # pixels of the index's window of 11 x 11
_EDGE_RADIUS = 6
_ROUNDING = 0.001  # by which values may leave [0, 1]


@dataclass(frozen=True)
class Measures:
    """What one result is measured to be; the first three are means over regions, weighted by their content area."""

    gram: float
    """Style. |G(result) - G(style)| / |G(style)|, Frobenius norms of the regions' mean Gram matrices, mean over
    `LAYERS`; no unit, 0 is the style's own, lower is better. Values of different encoders do not compare."""
    colour: float
    """Style. Sliced Wasserstein-2 distance between the regions' colours in CIELAB, 32 directions; CIE 1976 delta E, 0
    is the style's own, lower is better. All colours shifted by d come out at about d / sqrt(3)."""
    contrast: float
    """Style. Mean distance of the quantiles of L* minus its Gaussian blur (sigma 1), and of the differences between its
    blurs of sigma 1, 2 and 4 pixels; units of L* (0 to 100), 0 is the style's own, lower is better."""
    affine: float
    """Photorealism. Root mean square of what the best affine colour map of each 3x3 window (He et al. 2010, epsilon
    1e-4) leaves of the result; units of 1 / 255, lower is better. The epsilon leaves up to 2.55 of the content itself,
    in windows of little contrast next to nothing."""
    edge: float
    """Photorealism. Structural similarity of the Sobel magnitudes of L*, each over its mean, content against result; 1
    is the content's own, higher is better."""
    ssim: float
    """Structural similarity of luma, content against result (Wang et al. 2004); 1 is the content itself, higher is
    more alike. Not part of a score: a result that takes on another light has to change it."""


def measure(
    content: Tensor,
    style: Tensor,
    result: Tensor,
    content_labels: Tensor,
    style_labels: Tensor,
    encoders: Sequence[Encoder],
) -> Measures:
    """Measure one result; for several of the same photos see `ReferencePair`, whose arguments these are.

    result: (3, H, W), sRGB in [0, 1].
    """
    return ReferencePair(content, style, content_labels, style_labels, encoders).measure(result)


class ReferencePair:
    """Content and style with all of their statistics, that any number of results can be measured against.

    content: (3, H, W), style: (3, h, w), sRGB in [0, 1], each side at least 16. content_labels (H, W), style_labels
    (h, w): integers, equal where regions belong together, negative for pixels of no region. Regions below
    `MEASURED_SHARE` of either photo are skipped. encoders: each of `LAYERS` is that of the first one which has it;
    layers that none has are left out.

    Raises InputError for other shapes or values, where no region is shared, and where there is no layer.
    """

    def __init__(
        self,
        content: Tensor,
        style: Tensor,
        content_labels: Tensor,
        style_labels: Tensor,
        encoders: Sequence[Encoder],
    ) -> None:
        planes, style_planes = _planes(content, "content"), _planes(style, "style")
        self.size = (content.shape[1], content.shape[2])
        self._masks, style_masks = _shared_regions(
            _label_map(content_labels, planes, "content"), _label_map(style_labels, style_planes, "style")
        )
        area = self._masks.mean((1, 2))
        self._weights = area / area.sum()  # (R,)
        self._encoders = _layers_by_encoder(encoders)
        style_lab = srgb_to_lab(style_planes)
        self._colours = _colour_quantiles(style_lab, style_masks)
        self._bands = _band_quantiles(style_lab[0], style_masks)
        self._grams = _gram_matrices(style_planes, style_masks, self._encoders)
        self._affine = _LocalAffine(planes)
        self._edges = _edges(srgb_to_lab(planes)[0])
        self._luma = _luma(planes)

    def measure(self, result: Tensor) -> Measures:
        """Measure one result (3, H, W), sRGB in [0, 1]. Raises InputError for another size or other values."""
        planes = _planes(result, "result")
        if planes.shape[1:] != self.size:
            raise InputError(f"result: (H, W) is {planes.shape[1:]}, that of the content is {self.size}; resize it")
        lab = srgb_to_lab(planes)
        grams = _gram_matrices(planes, self._masks, self._encoders)
        colours = _colour_quantiles(lab, self._masks) - self._colours
        bands = _band_quantiles(lab[0], self._masks) - self._bands
        inner = np.s_[_LUMA_RADIUS:-_LUMA_RADIUS]  # where the window lies inside the image
        return Measures(
            gram=float(np.mean([self._weights @ _relative(*layer) for layer in zip(grams, self._grams, strict=True)])),
            colour=float(self._weights @ np.sqrt(np.square(colours).mean((1, 2)))),
            contrast=float(self._weights @ np.abs(bands).mean((1, 2))),
            affine=255 * float(np.sqrt(self._affine.residual(planes).mean())),
            edge=float(_similarity(self._edges, _edges(lab[0]), _EDGE_SPAN, _EDGE_RADIUS).mean()),
            ssim=float(_similarity(self._luma, _luma(planes), 1.0, _LUMA_RADIUS)[inner, inner].mean()),
        )


def _planes(image: Tensor, role: str) -> np.ndarray:
    """(3, H, W) float64 in [0, 1], after a check of shape and values."""
    if image.ndim != 3 or image.shape[0] != 3 or min(image.shape[1:]) < MINIMUM_SIDE:
        raise InputError(
            f"{role}: shape {tuple(image.shape)}; wanted (3, H, W) with sides of {MINIMUM_SIDE} pixels or more"
        )
    values = image.detach().cpu().double().numpy()
    low, high = values.min(), values.max()
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # also refuses NaN
        raise InputError(f"{role}: values from {low:.4g} to {high:.4g}; wanted [0, 1]")
    return values.clip(0, 1)


def _label_map(labels: Tensor, planes: np.ndarray, role: str) -> np.ndarray:
    """(H, W) integers, after a check."""
    if tuple(labels.shape) != planes.shape[1:]:
        raise InputError(f"{role} labels: (H, W) is {tuple(labels.shape)}, that of the photo is {planes.shape[1:]}")
    if labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise InputError(f"{role} labels: {labels.dtype}; give whole numbers")
    return labels.detach().cpu().numpy()


def _shared_regions(content: np.ndarray, style: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks (R, H, W) and (R, h, w), bool, of the labels that are large enough in both."""
    numbers = [number for number in np.intersect1d(content, style) if number >= 0]
    masks = [(content == number, style == number) for number in numbers]
    shared = [both for both in masks if min(mask.mean() for mask in both) >= MEASURED_SHARE]
    if not shared:
        raise InputError(
            f"labels: no region has {MEASURED_SHARE:.1%} of the pixels of both content and style; "
            "give labels that the photos share"
        )
    return np.stack([mask for mask, _ in shared]), np.stack([mask for _, mask in shared])


def _layers_by_encoder(encoders: Sequence[Encoder]) -> list[tuple[Encoder, list[str]]]:
    """Which of `LAYERS` each encoder is run for: those that no encoder before it has."""
    found, missing = [], list(LAYERS)
    for encoder in encoders:
        if layers := [layer for layer in missing if layer in encoder.layers]:
            found.append((encoder, layers))
            missing = [layer for layer in missing if layer not in layers]
    if not found:
        raise InputError(f"encoders: {len(encoders)} given, none has one of the layers {', '.join(LAYERS)}")
    return found


def _luma(planes: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1], by the weights of ITU-R BT.601."""
    return np.tensordot([0.299, 0.587, 0.114], planes, 1)


def _colour_quantiles(lab: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(R, directions, quantiles): each region's colours (3, H, W) along fixed random directions."""
    directions = np.random.default_rng(0).normal(size=(3, _DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    return np.stack([_quantiles(directions.T @ lab[:, mask], _COLOUR_QUANTILES) for mask in masks])


def _band_quantiles(lightness: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(R, bands, quantiles): each region's band-passes of L* (H, W), from fine to coarse."""
    levels = [lightness, *(scipy.ndimage.gaussian_filter(lightness, sigma) for sigma in _BAND_SIGMAS)]
    bands = -np.diff(np.stack(levels), axis=0)
    return np.stack([_quantiles(bands[:, mask], _BAND_QUANTILES) for mask in masks])


def _quantiles(values: np.ndarray, count: int) -> np.ndarray:
    """(K, count): quantiles of each row (K, N) at the middles of equal shares, linear between neighbours.

    The same as np.quantile, which takes five times as long for this many.
    """
    ordered = np.sort(values, axis=1)
    at = (np.arange(count) + 0.5) / count * (values.shape[1] - 1)
    below = at.astype(int)
    above = np.minimum(below + 1, values.shape[1] - 1)
    return ordered[:, below] + (at - below) * (ordered[:, above] - ordered[:, below])


@torch.no_grad()
def _gram_matrices(
    planes: np.ndarray, masks: np.ndarray, encoders: Sequence[tuple[Encoder, list[str]]]
) -> list[np.ndarray]:
    """Per layer (R, C, C): the mean of f f^T, sum m^2 f f^T / sum m^2, with m a region's mask shrunk by its means."""
    image, whole = torch.from_numpy(planes), torch.from_numpy(masks).float()
    matrices = []
    for encoder, layers in encoders:
        for features in encoder(image.to(encoder.matrix), layers).values():
            shrunk = F.interpolate(whole[None], features.shape[1:], mode="area")[0]
            total = masked_gram(features, shrunk.to(features.device)).cpu()
            matrices.append((total / shrunk.square().sum((1, 2))[:, None, None]).double().numpy())
    return matrices


def _relative(matrices: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(R,): Frobenius distances of matrices (R, C, C) over the norms of those wanted."""
    norm = np.linalg.norm(wanted, axis=(1, 2))
    return np.linalg.norm(matrices - wanted, axis=(1, 2)) / np.maximum(norm, 1e-12)  # a style may activate nothing


def _edges(lightness: np.ndarray) -> np.ndarray:
    """Sobel magnitude of L* (H, W) over its mean, so that a change of overall contrast is none of edges."""
    magnitude = np.hypot(scipy.ndimage.sobel(lightness, 0), scipy.ndimage.sobel(lightness, 1))
    return magnitude / (magnitude.mean() + 1e-6)


def _similarity(x: np.ndarray, y: np.ndarray, span: float, radius: int) -> np.ndarray:
    """The structural similarity index of every pixel (Wang et al. 2004, equation 13), for values of range `span`.

    (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2)) with C1 = (0.01 span)^2,
    C2 = (0.03 span)^2, means m and (co)variances s under a Gaussian of sigma 1.5 in windows of (2 radius + 1)^2 pixels.
    """

    def mean(z: np.ndarray) -> np.ndarray:
        return scipy.ndimage.gaussian_filter(z, _SIMILARITY_SIGMA, radius=radius)

    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    mx, my = mean(x), mean(y)
    variances, covariance = mean(x * x) + mean(y * y) - mx * mx - my * my, mean(x * y) - mx * my
    return (2 * mx * my + c1) * (2 * covariance + c2) / ((mx * mx + my * my + c1) * (variances + c2))


class _LocalAffine:
    """The best affine colour maps from a content (3, H, W) to any result, in all windows of 3 x 3 pixels."""

    def __init__(self, content: np.ndarray) -> None:
        self.content, self.mean = content, _box(content)
        covariance = self._covariance(content, self.mean).transpose(2, 3, 0, 1) + _AFFINE_EPSILON * np.eye(3)
        self.inverse = np.ascontiguousarray(np.linalg.inv(covariance).transpose(2, 3, 0, 1))

    def residual(self, result: np.ndarray) -> np.ndarray:
        """(3, H, W): what the map of each window leaves of the result's variance there, per channel.

        var_r - c^T (S + epsilon)^-1 c with S the content's covariance and c that of content and result: the minimum of
        mean (a^T (x - mean x) - (r - mean r))^2 + epsilon a^T a, what the colour guided filter fits (He et al. 2010).
        """
        mean = _box(result)
        covariance = self._covariance(result, mean)
        maps = (self.inverse[:, :, None] * covariance).sum(1)  # (content channel, result channel, H, W)
        variance = _box(result * result) - mean * mean
        return np.maximum(variance - (maps * covariance).sum(0), 0)

    def _covariance(self, image: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """(3, 3, H, W): of every content channel with every one of an image, in every window."""
        return _box(self.content[:, None] * image) - self.mean[:, None] * mean


def _box(planes: np.ndarray) -> np.ndarray:
    """Means over 3 x 3 pixels of the last two axes; the border is mirrored."""
    return scipy.ndimage.uniform_filter(planes, (1,) * (planes.ndim - 2) + (3, 3))
