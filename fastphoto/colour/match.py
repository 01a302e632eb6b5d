"""Colour transfer by region: Monge-Kantorovich maps, followed by curves."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fastphoto.colour.spaces import OPPONENT
from fastphoto.colour.statistics import blend_regions, interpolate, moments, quantiles, sample_pixels
from fastphoto.ops import local_affine_apply


def match_colours(
    content: Tensor,  # (3, H, W), in [0, 1]
    style: Tensor,  # (3, h, w), in [0, 1]
    content_masks: Tensor,  # (R, H, W), in [0, 1]
    style_masks: Tensor,  # (R, h, w), in [0, 1]
    gain: float = 6.0,  # by eye, and by the measures of 24 pairs
    slope: float = 2.0,  # likewise
) -> Tensor:
    """Match the colour distribution of each region: a Monge-Kantorovich map, then one curve per colour axis.

    Mean and covariance cannot distinguish a dark region with a few lights from an evenly grey one. Therefore a monotone
    curve through the quantiles of both regions is applied to each axis of the opponent space, like a photographer's
    tone curve.

    Args:
        content: content photo, (3, H, W), in [0, 1].
        style: style photo, (3, h, w), in [0, 1].
        content_masks: masks of the content's regions, (R, H, W), in [0, 1], none empty.
        style_masks: masks of the style's regions, (R, h, w), in the same order, none empty.
        gain: limit of the linear map, see `monge_kantorovich`.
        slope: largest slope of the curves, and inverse of the smallest, which avoids amplified noise and banding. 1: no
            curves.

    Returns:
        The recoloured content, (3, H, W), clamped to [0, 1]. Regions blend where masks overlap; pixels outside all
        masks keep their colour.

    Example:
        >>> grey, dark, everywhere = torch.full((3, 8, 8), 0.5), torch.full((3, 8, 8), 0.2), torch.ones(1, 8, 8)
        >>> match_colours(grey, dark, everywhere, everywhere).mean()
        tensor(0.2000)
    """
    images = _images_of_regions(content, style, content_masks, style_masks, gain, slope)
    return blend_regions(content, content_masks, zip(images, content_masks, strict=True))


def recolour_regions(
    content: Tensor,  # (3, H, W), in [0, 1]
    style: Tensor,  # (3, h, w), in [0, 1]
    content_masks: Tensor,  # (R, H, W), in [0, 1]
    style_masks: Tensor,  # (R, h, w), in [0, 1]
    gain: float = 6.0,
    slope: float = 2.0,
) -> Tensor:
    """Return the image of each region that `match_colours` blends.

    Args:
        content, style, content_masks, style_masks, gain, slope: as in `match_colours`.

    Returns:
        (R, 3, H, W), clamped to [0, 1]: the content with the colours of region r moved to the style's. Pixels where the
        mask is 0 are moved by the linear map alone.

    Example:
        >>> grey, dark, everywhere = torch.full((3, 8, 8), 0.5), torch.full((3, 8, 8), 0.2), torch.ones(1, 8, 8)
        >>> recolour_regions(grey, dark, everywhere, everywhere).shape
        torch.Size([1, 3, 8, 8])
    """
    return torch.stack(list(_images_of_regions(content, style, content_masks, style_masks, gain, slope))).clamp_(0, 1)


def _images_of_regions(
    content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor, gain: float, slope: float
) -> Iterator[Tensor]:
    for mask, style_mask in zip(content_masks, style_masks, strict=True):
        moved = _apply_map(content, mask, style, style_mask, gain)
        yield _apply_curves(moved, mask, style, style_mask, slope)


def monge_kantorovich(
    content: Tensor,  # (3, H, W), in [0, 1]
    style: Tensor,  # (3, h, w), in [0, 1]
    content_masks: Tensor,  # (R, H, W), in [0, 1]
    style_masks: Tensor,  # (R, h, w), in [0, 1]
    gain: float = 6.0,
    space: Tensor = OPPONENT,
) -> Tensor:
    """Match the mean and covariance of each region's colours by the linear map that moves them least.

    The map of a region is c -> T (c - mean_c) + mean_s with T = C^-1/2 (C^1/2 S C^1/2)^1/2 C^-1/2. This
    Monge-Kantorovich map is the optimal transport between normal distributions with covariances C and S (Pitié and
    Kokaram 2007).

    Unlike in the paper, movement is measured in the opponent space, where changes of luma count most, and gains are
    limited. `gain=math.inf, space=torch.eye(3)` gives the paper's map.

    Args:
        content: content photo, (3, H, W), in [0, 1].
        style: style photo, (3, h, w), in [0, 1].
        content_masks: masks of the content's regions, (R, H, W), in [0, 1], none empty.
        style_masks: masks of the style's regions, (R, h, w), in the same order, none empty.
        gain: largest factor by which colours are spread in any direction; without a limit, noise in colours that hardly
            vary would become visible.
        space: colour axes in which movement is measured, (3, 3), invertible, one axis per row, in RGB.

    Returns:
        The recoloured content, (3, H, W), clamped to [0, 1]. Regions blend where masks overlap; pixels outside all
        masks keep their colour.

    Example:
        >>> grey, dark, everywhere = torch.full((3, 8, 8), 0.5), torch.full((3, 8, 8), 0.2), torch.ones(1, 8, 8)
        >>> monge_kantorovich(grey, dark, everywhere, everywhere).mean()
        tensor(0.2000)
    """
    recoloured = (
        (_apply_map(content, mask, style, style_mask, gain, space), mask)
        for mask, style_mask in zip(content_masks, style_masks, strict=True)
    )
    return blend_regions(content, content_masks, recoloured)


def _apply_map(
    content: Tensor, mask: Tensor, style: Tensor, style_mask: Tensor, gain: float, space: Tensor = OPPONENT
) -> Tensor:
    """Apply the linear map of one region to the whole content."""
    matrix = _transport_map(*moments(content, mask), *moments(style, style_mask), gain, space)
    return local_affine_apply(matrix.to(content)[None, None], content.permute(1, 2, 0)).permute(2, 0, 1)


def _transport_map(
    content_mean: Tensor, content_cov: Tensor, style_mean: Tensor, style_cov: Tensor, gain: float, space: Tensor
) -> Tensor:
    """Return the affine map (3, 4) from one normal distribution to another, with limited gains."""
    space = space.to(content_cov)
    content_cov, style_cov = space @ content_cov @ space.T, space @ style_cov @ space.T
    identity = torch.eye(3, dtype=content_cov.dtype, device=content_cov.device)
    root = _square_root(content_cov + 1e-9 * identity)  # invertible even for a region of one colour
    inverse = torch.linalg.inv(root)
    matrix = inverse @ _square_root(root @ style_cov @ root) @ inverse
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    matrix = torch.linalg.inv(space) @ (vectors * values.clamp(0, gain)) @ vectors.T @ space
    return torch.cat([matrix, (style_mean - matrix @ content_mean)[:, None]], 1)


def _square_root(matrix: Tensor) -> Tensor:
    """Return the symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root


def _apply_curves(image: Tensor, mask: Tensor, style: Tensor, style_mask: Tensor, slope: float) -> Tensor:
    """Apply the three curves of one region to its pixels."""
    space, pixels = OPPONENT.to(image), image.flatten(1)
    region, style_region = mask.flatten().nonzero()[:, 0], style_mask.flatten().nonzero()[:, 0]
    style_region = sample_pixels(style_region)
    if slope <= 1 or len(region) < 2 or len(style_region) < 2:
        return image
    sample = sample_pixels(torch.arange(len(region), device=region.device))
    weights, style_weights = mask.flatten()[region[sample]], style_mask.flatten()[style_region]
    curved = []
    for values, style_values in zip(
        space @ pixels[:, region], space @ style.flatten(1)[:, style_region], strict=True
    ):  # one axis at a time
        x, y = _curve(quantiles(values[sample], weights), quantiles(style_values, style_weights), slope)
        curved.append(interpolate(values, x, y))
    return pixels.index_copy(1, region, torch.linalg.inv(space) @ torch.stack(curved)).reshape_as(image)


def _curve(x: Tensor, style: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """Return the points of a monotone curve from quantiles to the style's, with limited slopes and the style's mean."""
    run = x.diff().clamp_min(1e-6)  # equal quantiles, as of clipped pixels, would make the curve vertical
    rise = (style.diff() / run).clamp(1 / slope, slope) * run
    one, zero = run.new_ones(1), run.new_zeros(1)  # beyond the outer quantiles the curve has slope 1
    x = x[0] + torch.cat([-one, zero, run.cumsum(0), run.sum() + one])
    y = torch.cat([-one, zero, rise.cumsum(0), rise.sum() + one])
    return x, y + (style - y[1:-1]).mean()
