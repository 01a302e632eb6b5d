"""Measures of one result: distances to the style, and fidelity to the content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # loads its parts, such as scipy.ndimage, when they are used
import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.colour.spaces import LUMA, srgb_to_lab
from fastphoto.encoders.encoder import Encoder
from fastphoto.errors import InputError
from fastphoto.ops import masked_gram
from fastphoto.photos.photo import MINIMUM_SIDE

Array = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]
RegionMap = npt.NDArray[Any]

GRAM_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Layers whose Gram matrices are compared, the same as in the paper's style loss."""
MEASURED_SHARE = 0.005
"""Share of a photo's pixels below which a region is skipped, because its statistics would be noise."""

_COLOUR_DIRECTIONS, _COLOUR_QUANTILES = 32, 256
_BAND_SIGMAS, _BAND_QUANTILES = (1, 2, 4), 64  # sigmas in pixels
_AFFINE_EPSILON = 1e-4
_EDGE_RANGE = 8.0  # range of values for the similarity of edges, as a multiple of their mean
_SIMILARITY_SIGMA = 1.5  # pixels
_LUMA_RADIUS = 5  # pixels: windows of 11 x 11
_EDGE_RADIUS = 6  # pixels
_ROUNDING = 0.001  # largest distance from [0, 1] that counts as rounding


@dataclass(frozen=True)
class Measures:
    """The measures of one result.

    The first three are means over regions, weighted by the regions' areas in the content.

    Example:
        >>> from dataclasses import asdict
        >>> typical = Measures(gram=0.28, colour=3.3, contrast=0.45, affine=2.2, edge=0.6, ssim=0.46)
        >>> list(asdict(typical))
        ['gram', 'colour', 'contrast', 'affine', 'edge', 'ssim']
    """

    gram: float
    """Style. |G(result) - G(style)| / |G(style)|, Frobenius norms of the regions' mean Gram matrices, mean over
    `GRAM_LAYERS`; no unit, 0 is the style's own, lower is better. Values of different encoders do not compare."""
    colour: float
    """Style. Sliced Wasserstein-2 distance between the regions' colours in CIELAB, 32 directions; CIE 1976 delta E, 0
    is the style's own, lower is better. A shift of all colours by d measures about d / sqrt(3)."""
    contrast: float
    """Style. Mean distance between the regions' quantiles in three bands of L*: L* minus its Gaussian blur of sigma 1
    pixel, the blur of sigma 1 minus that of sigma 2, and the blur of sigma 2 minus that of sigma 4; units of L* (0 to
    100), 0 is the style's own, lower is better."""
    affine: float
    """Photorealism. Root mean square residual of the best affine colour map from content to result in each 3x3 window
    (He et al. 2010, epsilon 1e-4); units of 1 / 255, lower is better. Because of the epsilon, even the unchanged
    content has residuals of up to 2.55, but next to none in windows of little contrast."""
    edge: float
    """Photorealism. Structural similarity of the Sobel magnitudes of L*, each over its mean, content against result; 1
    is the content's own, higher is better."""
    ssim: float
    """Structural similarity of luma, content against result (Wang et al. 2004); 1 is the content itself, higher is
    more alike. Not part of a score: a result that takes on another light has to change it."""


def measure(
    content: Tensor,  # (3, H, W), [0, 1]
    style: Tensor,  # (3, h, w), [0, 1]
    result: Tensor,  # (3, H, W), [0, 1]
    content_regions: Tensor,  # (H, W), integers
    style_regions: Tensor,  # (h, w), integers
    encoders: Sequence[Encoder],
) -> Measures:
    """Measure one result. To measure several results of one pair, use `ReferencePair`.

    Args:
        content: photo (3, H, W), sRGB in [0, 1], each side at least 16 pixels.
        style: photo (3, h, w), sRGB in [0, 1], each side at least 16 pixels.
        result: photo (3, H, W), sRGB in [0, 1].
        content_regions: region map (H, W); negative outside all regions.
        style_regions: region map (h, w), with the content's numbers for the regions that belong together.
        encoders: encoders of the Gram matrices, see `ReferencePair`.

    Returns:
        The measures of the result.

    Raises:
        InputError: other shapes or values, photos that share no region, or encoders without any of `GRAM_LAYERS`.

    Example:
        >>> from fastphoto.encoders.encoder import load_encoder
        >>> photo, whole = torch.rand(3, 32, 48), torch.zeros(32, 48, dtype=torch.int64)
        >>> unchanged = measure(photo, photo, photo, whole, whole, [load_encoder("embedded")])
        >>> round(unchanged.colour, 6), round(unchanged.edge, 6)
        (0.0, 1.0)
    """
    return ReferencePair(content, style, content_regions, style_regions, encoders).measure(result)


class ReferencePair:
    """Content and style with all of their statistics, to measure any number of results against.

    Regions below `MEASURED_SHARE` of either photo are skipped.

    Args:
        content: photo (3, H, W), sRGB in [0, 1], each side at least 16 pixels.
        style: photo (3, h, w), sRGB in [0, 1], each side at least 16 pixels.
        content_regions: region map (H, W); negative outside all regions.
        style_regions: region map (h, w), with the content's numbers for the regions that belong together.
        encoders: encoders of the Gram matrices. Each of `GRAM_LAYERS` comes from the first encoder that has it; layers
            that no encoder has are left out.

    Raises:
        InputError: other shapes or values, photos that share no region, or encoders without any of `GRAM_LAYERS`.

    Example:
        >>> from fastphoto.encoders.encoder import load_encoder
        >>> content, style = torch.rand(3, 32, 48), torch.rand(3, 40, 40)
        >>> regions = torch.zeros(32, 48, dtype=torch.int64), torch.zeros(40, 40, dtype=torch.int64)
        >>> pair = ReferencePair(content, style, *regions, [load_encoder("embedded")])
        >>> pair.measure(content).affine < pair.measure(content.flip(2)).affine
        True
    """

    def __init__(
        self,
        content: Tensor,
        style: Tensor,
        content_regions: Tensor,
        style_regions: Tensor,
        encoders: Sequence[Encoder],
    ) -> None:
        planes, style_planes = _planes(content, "content"), _planes(style, "style")
        self.size = (content.shape[1], content.shape[2])
        self._masks, style_masks = _shared_regions(
            _checked_map(content_regions, planes, "content"), _checked_map(style_regions, style_planes, "style")
        )
        area = self._masks.mean((1, 2))
        self._weights = area / area.sum()  # (R,)
        self._encoders = _layers_by_encoder(encoders)
        style_lab = srgb_to_lab(style_planes)
        self._colours = _colour_quantiles(style_lab, style_masks)
        self._bands = _band_quantiles(style_lab[0], style_masks)
        self._grams = _gram_matrices(style_planes, style_masks, self._encoders)
        self._affine = _AffineFit(planes)
        self._edges = _edges(srgb_to_lab(planes)[0])
        self._luma = _luma(planes)

    def measure(self, result: Tensor) -> Measures:
        """Measure one result.

        Args:
            result: photo (3, H, W), sRGB in [0, 1].

        Returns:
            The measures of the result.

        Raises:
            InputError: another size than the content's, or other values.
        """
        planes = _planes(result, "result")
        if planes.shape[1:] != self.size:
            raise InputError(f"result: (H, W) is {planes.shape[1:]}, expected the content's {self.size}; resize it")
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
            edge=float(_similarity(self._edges, _edges(lab[0]), _EDGE_RANGE, _EDGE_RADIUS).mean()),
            ssim=float(_similarity(self._luma, _luma(planes), 1.0, _LUMA_RADIUS)[inner, inner].mean()),
        )


def _planes(image: Tensor, role: str) -> Array:
    """Return (3, H, W) float64 in [0, 1], after a check of shape and values."""
    if image.ndim != 3 or image.shape[0] != 3 or min(image.shape[1:]) < MINIMUM_SIDE:
        raise InputError(
            f"{role}: shape {tuple(image.shape)}; expected (3, H, W) with sides of {MINIMUM_SIDE} pixels or more"
        )
    values: Array = image.detach().cpu().double().numpy()
    low, high = values.min(), values.max()
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # also refuses NaN
        raise InputError(f"{role}: values from {low:.4g} to {high:.4g}; expected [0, 1]")
    return values.clip(0, 1)


def _checked_map(region_map: Tensor, planes: Array, role: str) -> RegionMap:
    """Return a region map (H, W), after a check of shape and type."""
    if tuple(region_map.shape) != planes.shape[1:]:
        shape = tuple(region_map.shape)
        raise InputError(f"{role} regions: (H, W) is {shape}, expected the photo's {planes.shape[1:]}")
    if region_map.dtype.is_floating_point or region_map.dtype.is_complex:
        raise InputError(f"{role} regions: {region_map.dtype}; give whole numbers")
    numbers: RegionMap = region_map.detach().cpu().numpy()
    return numbers


def _shared_regions(content: RegionMap, style: RegionMap) -> tuple[Masks, Masks]:
    """Return masks (R, H, W) and (R, h, w) of the regions that are large enough in both region maps."""
    numbers = [number for number in np.intersect1d(content, style) if number >= 0]
    masks = [(content == number, style == number) for number in numbers]
    shared = [both for both in masks if min(mask.mean() for mask in both) >= MEASURED_SHARE]
    if not shared:
        raise InputError(
            f"regions: none has {MEASURED_SHARE:.1%} of the pixels of both content and style; "
            "give region maps with numbers that the photos share"
        )
    return np.stack([mask for mask, _ in shared]), np.stack([mask for _, mask in shared])


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


def _luma(planes: Array) -> Array:
    luma: Array = np.tensordot(LUMA, planes, 1)
    return luma


def _colour_quantiles(lab: Array, masks: Masks) -> Array:
    """Return quantiles (R, directions, quantiles) of each region's colours along fixed random directions."""
    directions = np.random.default_rng(0).normal(size=(3, _COLOUR_DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    return np.stack([_quantiles(directions.T @ lab[:, mask], _COLOUR_QUANTILES) for mask in masks])


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


def _edges(lightness: Array) -> Array:
    """Return the Sobel magnitude of L* (H, W) divided by its mean, so that overall contrast does not change it."""
    magnitude: Array = np.hypot(scipy.ndimage.sobel(lightness, 0), scipy.ndimage.sobel(lightness, 1))
    return magnitude / (magnitude.mean() + 1e-6)


def _similarity(x: Array, y: Array, value_range: float, radius: int) -> Array:
    """Return the structural similarity index of every pixel (Wang et al. 2004, equation 13).

    (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2)) with C1 = (0.01 range)^2,
    C2 = (0.03 range)^2, means m and (co)variances s under a Gaussian of sigma 1.5 in windows of (2 radius + 1)^2
    pixels.
    """

    def mean(z: Array) -> Array:
        blurred: Array = scipy.ndimage.gaussian_filter(z, _SIMILARITY_SIGMA, radius=radius)
        return blurred

    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    mx, my = mean(x), mean(y)
    variances, covariance = mean(x * x) + mean(y * y) - mx * mx - my * my, mean(x * y) - mx * my
    return (2 * mx * my + c1) * (2 * covariance + c2) / ((mx * mx + my * my + c1) * (variances + c2))


class _AffineFit:
    """The best affine colour maps from a content (3, H, W) to any result, in all windows of 3 x 3 pixels."""

    def __init__(self, content: Array) -> None:
        self.content, self.mean = content, _box(content)
        covariance = self._covariance(content, self.mean).transpose(2, 3, 0, 1) + _AFFINE_EPSILON * np.eye(3)
        self.inverse = np.ascontiguousarray(np.linalg.inv(covariance).transpose(2, 3, 0, 1))

    def residual(self, result: Array) -> Array:
        """Return the variance of the result that the map of each window does not explain, per channel: (3, H, W).

        It is var_r - c^T (S + epsilon)^-1 c, with S the content's covariance and c that of content and result. This is
        the minimum of mean (a^T (x - mean x) - (r - mean r))^2 + epsilon a^T a, the objective of the colour guided
        filter (He et al. 2010).
        """
        mean = _box(result)
        covariance = self._covariance(result, mean)
        maps = (self.inverse[:, :, None] * covariance).sum(1)  # (content channel, result channel, H, W)
        variance = _box(result * result) - mean * mean
        residual: Array = np.maximum(variance - (maps * covariance).sum(0), 0)
        return residual

    def _covariance(self, image: Array, mean: Array) -> Array:
        """Return covariances (3, 3, H, W) of each content channel with each channel of an image, in each window."""
        return _box(self.content[:, None] * image) - self.mean[:, None] * mean


def _box(planes: Array) -> Array:
    """Return means over 3 x 3 pixels of the last two axes; the border is mirrored."""
    means: Array = scipy.ndimage.uniform_filter(planes, (1,) * (planes.ndim - 2) + (3, 3))
    return means
