"""Measures of one result: what of the content it keeps, and how near it is to the style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.encoders.encoder import Encoder
from fastphoto.errors import InputError
from fastphoto.evaluation.content_measures import ContentReference
from fastphoto.evaluation.style_measures import Array, Masks, StyleReference
from fastphoto.photos.photo import MINIMUM_SIDE

RegionMap = npt.NDArray[Any]

MEASURED_SHARE = 0.005
"""Share of a photo's pixels below which a region is skipped, because its statistics would be noise."""

_ROUNDING = 0.001  # largest distance from [0, 1] that counts as rounding


@dataclass(frozen=True)
class Measures:
    """The measures of one result, those that agree with the eye first.

    `look`, `contrast` and `gram` are means over regions, weighted by the regions' areas in the content. Windows and
    sigmas are in pixels, so that measures of different sizes do not compare.

    Of two results of a pair, the one with fewer stains is nearly always the better photograph, and the one with the
    smaller look is more often nearer to the style. The one with the smaller gram is nearly always the worse photograph:
    that distance can be bought with stains. docs/methods.md has the shares and how they were found.

    Example:
        >>> from dataclasses import asdict
        >>> typical = Measures(
        ...     stains=3.4, look=3.3, invented=0.2, affine=2.2, edge=0.6, ssim=0.46, contrast=0.45, gram=0.28
        ... )
        >>> list(asdict(typical))
        ['stains', 'look', 'invented', 'affine', 'edge', 'ssim', 'contrast', 'gram']
    """

    stains: float
    """Photograph. Colour structure that no local affine map of the content's L*, a*, b* explains: in each window of
    9 x 9 pixels sqrt(r_a + r_b), where r = var - c^T (S + 1)^-1 c is the variance that the best map leaves of a* or b*
    (He et al. 2010, epsilon 1), mean over windows and over the photo, its halves, quarters and eighths; CIE 1976
    delta E, lower is better. Sees marbled skies, stains, and colour that ignores objects; does not see lightness, nor
    one colour cast over all. Because of the epsilon, the unchanged content has about 1, at most sqrt(2)."""
    look: float
    """Style. Sliced Wasserstein-2 distance between the regions' colours in CIELAB, 32 directions; CIE 1976 delta E, 0
    is the style's own, lower is better. A shift of all colours by d measures about d / sqrt(3). Does not see where in
    its region a colour is: shuffled pixels have the same look."""
    invented: float
    """Photograph. Structure that the content does not have: in each of four bands of CIELAB (differences of Gaussian
    blurs of sigma 0, 2, 4, 8, 16), local root mean square R beyond 1.5 g C + 0.5, where C is the content's and
    g = max(1, median R / (C + 0.25)); mean over pixels, sum over bands; CIE 1976 delta E, 0 is none, lower is better.
    Sees streaks, halos and blobs in skies and walls; does not see what hides in the content's texture, nor anything
    that grows as much as the rest of the photo."""
    affine: float
    """Photograph. Root mean square residual of the best affine colour map from content to result in each 3x3 window
    (He et al. 2010, epsilon 1e-4); units of 1 / 255, lower is better. Because of the epsilon, even the unchanged
    content has residuals of up to 2.55, but next to none in windows of little contrast."""
    edge: float
    """Photograph. Structural similarity of the Sobel magnitudes of L*, each over its mean, content against result; 1
    is the content's own, higher is better."""
    ssim: float
    """Structural similarity of luma, content against result (Wang et al. 2004); 1 is the content itself, higher is
    more alike. Not part of a score: a result that takes on another light has to change it."""
    contrast: float
    """Style. Mean distance between the regions' quantiles in three bands of L*: L* minus its Gaussian blur of sigma 1
    pixel, the blur of sigma 1 minus that of sigma 2, and the blur of sigma 2 minus that of sigma 4; units of L* (0 to
    100), 0 is the style's own."""
    gram: float
    """Style, as the published method aims at it. |G(result) - G(style)| / |G(style)|, Frobenius norms of the regions'
    mean Gram matrices, mean over `fastphoto.evaluation.style_measures.GRAM_LAYERS`; no unit, 0 is the style's own.
    Values of different encoders do not compare. Painted stains and texture lower it."""


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
        >>> import torch
        >>> from fastphoto.encoders.encoder import load_encoder
        >>> photo, whole = torch.rand(3, 32, 48), torch.zeros(32, 48, dtype=torch.int64)
        >>> unchanged = measure(photo, photo, photo, whole, whole, [load_encoder("embedded")])
        >>> round(unchanged.look, 6), round(unchanged.edge, 6)
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
        >>> import torch
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
        masks, style_masks = _shared_regions(
            _checked_map(content_regions, planes, "content"), _checked_map(style_regions, style_planes, "style")
        )
        self._style = StyleReference(style_planes, style_masks, masks, encoders)
        self._content = ContentReference(planes)

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
        return Measures(
            stains=self._content.stains(lab),
            look=self._style.look(lab),
            invented=self._content.invented(lab),
            affine=self._content.affine(planes),
            edge=self._content.edge(lab[0]),
            ssim=self._content.ssim(planes),
            contrast=self._style.contrast(lab[0]),
            gram=self._style.gram(planes),
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
