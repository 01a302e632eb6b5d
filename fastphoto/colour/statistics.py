"""Weighted statistics of the colours in a region, and blending of regions that were recoloured one by one."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

QUANTILES = 64  # of each region; a curve goes through them; by eye
_SAMPLED_PIXELS = 16384  # of a region, for its quantiles; by eye


def blend_regions(content: Tensor, masks: Tensor, recoloured: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Blend the images of all regions by their masks; where masks are 0, the content remains.

    Where masks add up to more than 1, the images are averaged.

    Args:
        content: content photo, (3, H, W), in [0, 1].
        masks: masks of the R regions, (R, H, W), in [0, 1].
        recoloured: R pairs (image (3, H, W), mask (H, W)), consumed one at a time.

    Returns:
        The blended image, (3, H, W), clamped to [0, 1].

    Example:
        >>> content, red = torch.zeros(3, 1, 2), torch.tensor([1.0, 0, 0])[:, None, None].expand(3, 1, 2)
        >>> masks = torch.tensor([[[0.0, 0.5]]])
        >>> blend_regions(content, masks, [(red, masks[0])])[0]
        tensor([[0.0000, 0.5000]])
    """
    blended = torch.zeros_like(content)
    for image, mask in recoloured:
        blended += image * mask
    covered = masks.sum(0)
    blended = torch.where(covered > 1, blended / covered.clamp_min(1), blended + content * (1 - covered))
    return blended.clamp_(0, 1)


def sample_pixels(pixels: Tensor, count: int = _SAMPLED_PIXELS) -> Tensor:
    """Return at most `count` evenly spread entries of a list of pixel numbers (N,).

    The step between entries varies, because a fixed step could coincide with the rows of the image.
    """
    if len(pixels) <= count:
        return pixels
    number = torch.arange(count, dtype=torch.float64, device=pixels.device)
    jitter = (number * 0.6180339887) % 1  # multiples of the golden ratio: low discrepancy
    return pixels[((number + jitter) * (len(pixels) / count)).long().clamp_max(len(pixels) - 1)]


def quantiles(values: Tensor, weights: Tensor, levels: int = QUANTILES) -> Tensor:
    """Return weighted quantiles at the middles of equal shares of the total weight.

    Args:
        values: values, (N,).
        weights: weights, (N,), 0 or more, with a sum above 0.
        levels: number of quantiles.

    Returns:
        Quantiles (levels,), from low to high, at (i + 1/2) / levels of the total weight.

    Example:
        >>> quantiles(torch.tensor([3.0, 1.0]), torch.ones(2), 2)
        tensor([1., 3.])
    """
    values, order = values.sort()
    share = weights[order].double().cumsum(0) - weights[order].double() / 2
    middles = (torch.arange(levels).to(share) + 0.5) / levels * weights.sum(dtype=torch.float64)
    return interpolate(middles, share, values.double()).to(values)


def interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Evaluate the piecewise linear function through the points (x, y) at given positions.

    Args:
        at: positions, (N,).
        x: abscissae of the points, (K,), increasing.
        y: ordinates of the points, (K,).

    Returns:
        Values, (N,); constant beyond the outer points.

    Example:
        >>> interpolate(torch.tensor([0.5, 9.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.0, 4.0]))
        tensor([2., 4.])
    """
    right = torch.searchsorted(x, at.contiguous()).clamp_(1, len(x) - 1)
    fraction = ((at - x[right - 1]) / (x[right] - x[right - 1]).clamp_min(1e-12)).clamp_(0, 1)
    return y[right - 1] + (y[right] - y[right - 1]) * fraction


def moments(pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted mean and covariance of a region's colours.

    Args:
        pixels: image, (3, H, W).
        mask: weights of the pixels, (H, W), with a sum above 0.

    Returns:
        Mean (3,) and covariance (3, 3), float64.

    Example:
        >>> mean, covariance = moments(torch.ones(3, 2, 2), torch.ones(2, 2))
        >>> mean.tolist(), float(covariance.abs().max())
        ([1.0, 1.0, 1.0], 0.0)
    """
    weights = mask.flatten().double() / mask.sum(dtype=torch.float64)
    values = pixels.flatten(1).double()
    mean = values @ weights
    centred = values - mean[:, None]
    return mean, (centred * weights) @ centred.T
