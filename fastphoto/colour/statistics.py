"""Weighted statistics of the colours in a region, and blending of regions that were changed one by one."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

QUANTILES = 64  # that a curve is drawn through
_PIXELS = 16384  # pixels, evenly spread over a region, that quantiles are taken of


def blend_regions(content: Tensor, masks: Tensor, moved: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Each region's own image where its mask is, the content where no mask is.

    content: (3, H, W), masks: (R, H, W), in [0, 1]; moved: R pairs of an image (3, H, W) and its mask (H, W), taken one
    at a time. Where masks add up to more than 1, regions are averaged.

    Returns (3, H, W), clamped to [0, 1].
    """
    mixed = torch.zeros_like(content)
    for image, mask in moved:
        mixed += image * mask
    covered = masks.sum(0)
    mixed = torch.where(covered > 1, mixed / covered.clamp_min(1), mixed + content * (1 - covered))
    return mixed.clamp_(0, 1)


def some_pixels(pixels: Tensor) -> Tensor:
    """At most 16384 of these pixel numbers (N,), spread evenly.

    They have no fixed step, which rows of pixels could fall in with.
    """
    if len(pixels) <= _PIXELS:
        return pixels
    number = torch.arange(_PIXELS, dtype=torch.float64, device=pixels.device)
    return pixels[((number + (number * 0.6180339887) % 1) * (len(pixels) / _PIXELS)).long().clamp_max(len(pixels) - 1)]


def quantiles(values: Tensor, weights: Tensor, levels: int = QUANTILES) -> Tensor:
    """Quantiles (levels,) of values (N,) of weights (N,), from low to high, at the middles of equal shares."""
    values, order = values.sort()
    share = weights[order].double().cumsum(0) - weights[order].double() / 2
    wanted = (torch.arange(levels).to(share) + 0.5) / levels * weights.sum(dtype=torch.float64)
    return interpolated(wanted, share, values.double()).to(values)


def interpolated(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The piecewise linear function through the points (x, y), each (K,), x increasing, at (N,); constant outside."""
    right = torch.searchsorted(x, at.contiguous()).clamp_(1, len(x) - 1)
    part = ((at - x[right - 1]) / (x[right] - x[right - 1]).clamp_min(1e-12)).clamp_(0, 1)
    return y[right - 1] + (y[right] - y[right - 1]) * part


def moments(pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3,) and covariance (3, 3) of the pixels (3, H, W) under a mask (H, W) with an area, in double."""
    weights = mask.flatten().double() / mask.sum(dtype=torch.float64)
    values = pixels.flatten(1).double()
    mean = values @ weights
    centred = values - mean[:, None]
    return mean, (centred * weights) @ centred.T
