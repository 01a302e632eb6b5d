"""Reinhard's colour transfer: mean and standard deviation of each region in the space l alpha beta."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.colour.statistics import blend_regions, moments

_TO_LMS = torch.tensor(
    [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]], dtype=torch.float64
)
_OPPONENT = torch.tensor([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]], dtype=torch.float64)
_TO_AXES = _OPPONENT / _OPPONENT.norm(dim=1, keepdim=True)

_DARKEST = 1 / 255  # added to L, M and S, for black has no logarithm
_BRIGHTEST = 2.0  # of log10 L, M, S: far above white, far below what overflows
_LEAST_DEVIATION = 1e-6


def reinhard_transfer(content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor) -> Tensor:
    """Each region's colours moved to the style's mean and standard deviation along three decorrelated axes.

    In region r, along each axis of l alpha beta (Ruderman et al. 1998),
    x -> (x - mean_c) deviation_s / deviation_c + mean_s (Reinhard, Ashikhmin, Gooch and Shirley 2001, "Color Transfer
    between Images"). l alpha beta is the matrix [1/sqrt(3), 1/sqrt(6), 1/sqrt(2)] * [[1, 1, 1], [1, 1, -2], [1, -1, 0]]
    times log10(LMS + 1/255), LMS the published matrix times RGB; the addition, which keeps black finite, is ours. As
    is the field's custom, RGB are the photo's encoded values and not its linear light. Nothing bounds how much contrast
    is amplified. Regions blend where masks overlap; pixels of no region keep their colour.

    content: (3, H, W), style: (3, h, w), in [0, 1]; content_masks (R, H, W), style_masks (R, h, w), in [0, 1], each
    with an area. The global method has one mask of ones on each side.

    Returns (3, H, W), clamped to [0, 1].
    """
    mine, theirs = _to_axes(content), _to_axes(style)
    regions = zip(content_masks, style_masks, strict=True)
    moved = ((_to_colours(_moved(mine, m, theirs, s)).to(content), m) for m, s in regions)
    return blend_regions(content, content_masks, moved)


def _moved(mine: Tensor, mask: Tensor, theirs: Tensor, style_mask: Tensor) -> Tensor:
    """The whole content, (3, H, W) on its axes, by the shift and the gains of one region."""
    (mean, deviation), (style_mean, style_deviation) = _spread(mine, mask), _spread(theirs, style_mask)
    gain = style_deviation / deviation.clamp_min(_LEAST_DEVIATION)
    return (mine - mean[:, None, None]) * gain[:, None, None] + style_mean[:, None, None]


def _spread(pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (3,) under a mask."""
    mean, covariance = moments(pixels, mask)
    return mean, covariance.diagonal().sqrt()


def _to_axes(image: Tensor) -> Tensor:
    """RGB (3, H, W) to l alpha beta, in double."""
    lms = torch.tensordot(_TO_LMS.to(image.device), image.double(), 1)
    return torch.tensordot(_TO_AXES.to(image.device), (lms + _DARKEST).log10(), 1)


def _to_colours(axes: Tensor) -> Tensor:
    """The inverse of `_to_axes`, not clamped."""
    logarithms = torch.tensordot(_TO_AXES.T.to(axes.device), axes, 1)
    lms = 10 ** logarithms.clamp_max(_BRIGHTEST) - _DARKEST
    return torch.tensordot(torch.linalg.inv(_TO_LMS).to(axes.device), lms, 1)
