"""Reinhard's colour transfer: mean and standard deviation of each region in the space l alpha beta."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.colour.statistics import blend_regions, moments

# Reinhard et al. 2001: RGB to LMS, and log LMS to the axes of Ruderman et al. 1998.
_TO_LMS = torch.tensor(
    [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]],
    dtype=torch.float64,
    device="cpu",
)
_OPPONENT = torch.tensor([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]], dtype=torch.float64, device="cpu")
_TO_AXES = _OPPONENT / _OPPONENT.norm(dim=1, keepdim=True)

_DARKEST = 1 / 255  # added to L, M and S, because black has no logarithm
_BRIGHTEST = 2.0  # limit of log10 L, M, S: far above white, far below what overflows
_LEAST_DEVIATION = 1e-6  # keeps the gain of a region of one colour finite


def reinhard_transfer(
    content: Tensor,  # (3, H, W), [0, 1]
    style: Tensor,  # (3, h, w), [0, 1]
    content_masks: Tensor,  # (R, H, W), [0, 1]
    style_masks: Tensor,  # (R, h, w), [0, 1]
) -> Tensor:
    """Give each region the style's mean and standard deviation along three decorrelated axes.

    In region r, along each axis of l alpha beta (Ruderman et al. 1998),
    x -> (x - mean_c) deviation_s / deviation_c + mean_s (Reinhard, Ashikhmin, Gooch and Shirley 2001, "Color Transfer
    between Images"). l alpha beta is the matrix [1/sqrt(3), 1/sqrt(6), 1/sqrt(2)] * [[1, 1, 1], [1, 1, -2], [1, -1, 0]]
    times log10(LMS + 1/255), and LMS is the published matrix times RGB. We add the 1/255, which keeps black finite. RGB
    are the photo's encoded values, not linear light, as is usual in the field. Nothing bounds how much contrast is
    amplified. Regions blend where masks overlap; pixels outside all regions keep their colour.

    Args:
        content: photo (3, H, W), sRGB in [0, 1].
        style: photo (3, h, w), sRGB in [0, 1].
        content_masks: masks (R, H, W), [0, 1], none of them empty; one mask of ones for the global method.
        style_masks: masks (R, h, w), [0, 1], in the same order, none of them empty.

    Returns:
        The result (3, H, W), clamped to [0, 1].

    Example:
        >>> dark, light = torch.full((3, 4, 4), 0.2), torch.full((3, 2, 2), 0.8)
        >>> result = reinhard_transfer(dark, light, torch.ones(1, 4, 4), torch.ones(1, 2, 2))
        >>> result.allclose(torch.tensor(0.8))
        True
    """
    content_axes, style_axes = _to_axes(content), _to_axes(style)
    regions = zip(content_masks, style_masks, strict=True)
    moved = ((_to_colours(_moved(content_axes, m, style_axes, s)).to(content), m) for m, s in regions)
    return blend_regions(content, content_masks, moved)


def _moved(content_axes: Tensor, mask: Tensor, style_axes: Tensor, style_mask: Tensor) -> Tensor:
    """Apply the shift and the gains of one region to the whole content, (3, H, W) along its axes."""
    mean, deviation = _mean_and_deviation(content_axes, mask)
    style_mean, style_deviation = _mean_and_deviation(style_axes, style_mask)
    gain = style_deviation / deviation.clamp_min(_LEAST_DEVIATION)
    return (content_axes - mean[:, None, None]) * gain[:, None, None] + style_mean[:, None, None]


def _mean_and_deviation(pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    mean, covariance = moments(pixels, mask)
    return mean, covariance.diagonal().sqrt()


def _to_axes(image: Tensor) -> Tensor:
    """Convert RGB (3, H, W) to l alpha beta, float64."""
    lms = torch.tensordot(_TO_LMS.to(image.device), image.double(), 1)
    axes: Tensor = torch.tensordot(_TO_AXES.to(image.device), (lms + _DARKEST).log10(), 1)
    return axes


def _to_colours(axes: Tensor) -> Tensor:
    """Invert `_to_axes`; the colours are not clamped."""
    logarithms = torch.tensordot(_TO_AXES.T.to(axes.device), axes, 1)
    lms = 10 ** logarithms.clamp_max(_BRIGHTEST) - _DARKEST
    colours: Tensor = torch.tensordot(torch.linalg.inv(_TO_LMS).to(axes.device), lms, 1)
    return colours
