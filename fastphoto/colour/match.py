"""Colour transfer by region: the start image whose colours already are the style's."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.colour.spaces import OPPONENT
from fastphoto.colour.statistics import blend_regions, interpolated, moments, quantiles, some_pixels
from fastphoto.ops import local_affine_apply


def match_colours(
    content: Tensor,
    style: Tensor,
    content_masks: Tensor,
    style_masks: Tensor,
    gain: float = 6.0,
    slope: float = 2.0,
) -> Tensor:
    """Each region's colours moved to the distribution of the style's: `monge_kantorovich`, then a curve per axis.

    Mean and covariance do not tell a dark region with a few lights from an evenly grey one. So, as a photographer
    would, one monotone curve is applied to each axis of `OPPONENT` in turn, through the quantiles of both regions.

    Arguments and result are those of `monge_kantorovich`, whose map alone the gain limits. slope: no curve is steeper
    than this, nor flatter than its inverse, so that neither noise nor banding comes from it; 1 leaves the curves out.
    """
    regions = zip(content_masks, style_masks, strict=True)
    moved = ((_curved(_moved(content, m, style, s, gain), m, style, s, slope), m) for m, s in regions)
    return blend_regions(content, content_masks, moved)


def monge_kantorovich(
    content: Tensor,
    style: Tensor,
    content_masks: Tensor,
    style_masks: Tensor,
    gain: float = 6.0,
    space: Tensor = OPPONENT,
) -> Tensor:
    """Each region's colours moved to the style's mean and covariance by the linear map that moves them least.

    In region r, c -> T (c - mean_c) + mean_s with T = C^-1/2 (C^1/2 S C^1/2)^1/2 C^-1/2, the closed-form optimal
    transport between two normal distributions of covariances C and S (Pitie and Kokaram 2007). Movement is measured in
    a linear space of colours, by default `OPPONENT`, which keeps light light and dark dark. Regions blend where masks
    overlap; pixels of no region keep their colour.

    content: (3, H, W), style: (3, h, w), in [0, 1]; content_masks (R, H, W), style_masks (R, h, w), in [0, 1], each
    with an area. gain: no direction of colour is spread by more than this factor; without a bound, the noise of colours
    that hardly vary would come out as colour. space: (3, 3), invertible, its rows the axes in RGB; the published map is
    `torch.eye(3)` with a gain of `math.inf`.

    Returns (3, H, W), clamped to [0, 1].
    """
    regions = zip(content_masks, style_masks, strict=True)
    return blend_regions(content, content_masks, ((_moved(content, m, style, s, gain, space), m) for m, s in regions))


def _moved(
    content: Tensor,
    content_mask: Tensor,
    style: Tensor,
    style_mask: Tensor,
    gain: float,
    space: Tensor = OPPONENT,
) -> Tensor:
    """All of the content by the linear map of one region."""
    matrix = _transport(*moments(content, content_mask), *moments(style, style_mask), gain, space)
    return local_affine_apply(matrix.to(content)[None, None], content.permute(1, 2, 0)).permute(2, 0, 1)


def _curved(image: Tensor, mask: Tensor, style: Tensor, style_mask: Tensor, slope: float) -> Tensor:
    """An image (3, H, W) with the pixels of one region moved by its three curves."""
    space, pixels = OPPONENT.to(image), image.flatten(1)
    inside, theirs = mask.flatten().nonzero()[:, 0], some_pixels(style_mask.flatten().nonzero()[:, 0])
    if slope <= 1 or len(inside) < 2 or len(theirs) < 2:
        return image
    mine = some_pixels(torch.arange(len(inside), device=inside.device))
    weights, style_weights = mask.flatten()[inside[mine]], style_mask.flatten()[theirs]
    moved = []
    for axis, style_axis in zip(space @ pixels[:, inside], space @ style.flatten(1)[:, theirs], strict=True):
        x, y = quantiles(axis[mine], weights), quantiles(style_axis, style_weights)
        run = x.diff().clamp_min(1e-6)  # equal values, as of clipped pixels, keep the curve a function
        rise = (y.diff() / run).clamp(1 / slope, slope) * run
        one, none = run.new_ones(1), run.new_zeros(1)  # beyond the outer quantiles values are only shifted
        x = x[0] + torch.cat([-one, none, run.cumsum(0), run.sum() + one])
        curve = torch.cat([-one, none, rise.cumsum(0), rise.sum() + one])
        moved.append(interpolated(axis, x, curve + (y - curve[1:-1]).mean()))
    return pixels.index_copy(1, inside, torch.linalg.inv(space) @ torch.stack(moved)).reshape_as(image)


def _transport(
    content_mean: Tensor, content_cov: Tensor, style_mean: Tensor, style_cov: Tensor, gain: float, space: Tensor
) -> Tensor:
    """The affine map (3, 4) between two normal distributions, its gains limited."""
    space = space.to(content_cov)
    content_cov, style_cov = space @ content_cov @ space.T, space @ style_cov @ space.T
    root = _root(content_cov + 1e-9 * torch.eye(3).to(content_cov))  # invertible where the region has one colour
    inverse = torch.linalg.inv(root)
    matrix = inverse @ _root(root @ style_cov @ root) @ inverse
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    matrix = torch.linalg.inv(space) @ (vectors * values.clamp(0, gain)) @ vectors.T @ space
    return torch.cat([matrix, (style_mean - matrix @ content_mean)[:, None]], 1)


def _root(matrix: Tensor) -> Tensor:
    """The symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
