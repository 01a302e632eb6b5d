"""Pitie's colour grading: the style's whole distribution of colours, then the content's grain."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.statistics import blend_regions, interpolated, quantiles, some_pixels
from fastphoto.ops.linear_solver import conjugate_gradients

_LEVELS = 300  # quantiles that a curve is drawn through, as many as the paper has bins
_SAME = 1e-6  # values of a channel nearer than this get one new value
_COARSEST = 16  # pixels on the short side of the coarsest photo that regrain solves for
_LEAST_TRUST = 0.01  # of the mapped colours where the content is perfectly flat: alone they fix its level
_TOLERANCE = 1e-6


def pitie_transfer(content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor) -> Tensor:
    """`iterative_distribution_transfer`, then `regrain`: both stages of Pitie, Kokaram and Dahyot (2007).

    Arguments and result are those of `iterative_distribution_transfer`.
    """
    return regrain(content, iterative_distribution_transfer(content, style, content_masks, style_masks))


def iterative_distribution_transfer(
    content: Tensor,
    style: Tensor,
    content_masks: Tensor,
    style_masks: Tensor,
    iterations: int = 20,
    seed: int = 0,
) -> Tensor:
    """Each region's colours moved until their distribution is the style's, whatever its shape.

    Each iteration turns the colours of both regions by one random orthogonal matrix R, and moves those of the content
    along each axis by the increasing curve that makes the distribution there the style's: c -> R^T t(R c), with
    t = F_s^-1 F_c for each axis (Pitie, Kokaram and Dahyot 2005, "N-dimensional probability density function transfer";
    2007, "Automated colour grading using colour distribution transfer"). The curves go through 300 quantiles; equal
    colours stay equal; beyond the outer quantiles values are only shifted. Regions blend where masks overlap; pixels of
    no region keep their colour.

    content: (3, H, W), style: (3, h, w), in [0, 1]; content_masks (R, H, W), style_masks (R, h, w), in [0, 1], each
    with an area; soft masks weigh the quantiles. iterations: the paper stops between 10 and 30. seed: of the matrices.

    Returns (3, H, W), clamped to [0, 1]. Little contrast that is stretched comes out grainy, which `regrain` mends.
    """
    regions = zip(content_masks, style_masks, strict=True)
    moved = ((_transferred(content, m, style, s, iterations, seed), m) for m, s in regions)
    return blend_regions(content, content_masks, moved)


def _transferred(
    content: Tensor, mask: Tensor, style: Tensor, style_mask: Tensor, iterations: int, seed: int
) -> Tensor:
    """The content (3, H, W) with the pixels of one region moved to the distribution of the style's."""
    inside, theirs = mask.flatten().nonzero()[:, 0], some_pixels(style_mask.flatten().nonzero()[:, 0])
    mine = some_pixels(torch.arange(len(inside), device=inside.device))
    weights, style_weights = mask.flatten()[inside[mine]], style_mask.flatten()[theirs]
    colours = content.flatten(1)[:, inside].double()
    style_colours = style.flatten(1)[:, theirs].double()
    for rotation in _rotations(iterations, seed):
        turn = rotation.to(colours)
        axes = zip(turn @ colours, turn @ style_colours, strict=True)
        matched = [_matched(axis, axis[mine], weights, wanted, style_weights) for axis, wanted in axes]
        colours = turn.T @ torch.stack(matched)
    return content.flatten(1).index_copy(1, inside, colours.to(content)).reshape_as(content)


def _rotations(number: int, seed: int) -> Iterator[Tensor]:
    """Orthogonal matrices (3, 3), float64, of the uniform distribution."""
    random = torch.Generator().manual_seed(seed)
    for _ in range(number):
        basis, triangle = torch.linalg.qr(torch.randn(3, 3, generator=random, dtype=torch.float64))
        yield basis * triangle.diagonal().sign()


def _matched(values: Tensor, sample: Tensor, weights: Tensor, wanted: Tensor, wanted_weights: Tensor) -> Tensor:
    """Values (N,) by the curve that takes the distribution of a weighted sample to that of wanted values."""
    x, y = quantiles(sample, weights, _LEVELS), quantiles(wanted, wanted_weights, _LEVELS)
    # Many pixels of one value, as clipped ones, are several quantiles; a function gives them one new value, the mean.
    group = torch.cat([x.new_zeros(1, dtype=torch.long), (x.diff() > _SAME).cumsum(0)])
    count = torch.bincount(group)
    x, y = (torch.zeros_like(count, dtype=x.dtype).index_add_(0, group, levels) / count for levels in (x, y))
    one = x.new_ones(1)
    return interpolated(values, torch.cat([x[:1] - one, x, x[-1:] + one]), torch.cat([y[:1] - one, y, y[-1:] + one]))


def regrain(content: Tensor, mapped: Tensor, smoothness: float = 1.0) -> Tensor:
    """The mapped photo with the content's own grain: its gradients where they matter, the new colours elsewhere.

    The result J minimises the sum over pixels of phi |grad J - grad I|^2 + psi |J - t|^2, I the content and t the
    mapped photo, with phi = 30 smoothness / (1 + 10 g) and psi = min(g / 5, 1), g = |grad I| in levels of 0 to 255
    (Pitie, Kokaram and Dahyot 2007). So flat areas stay flat, and edges may take on another contrast. psi is at least
    0.01 here, else a content of one colour would leave J undetermined. The paper relaxes the system from coarse to
    fine; here conjugate gradients solve it, and each coarse solution is the start of the next.

    content, mapped: (3, H, W), in [0, 1]. smoothness: above 0; 1 as published.

    Returns (3, H, W), clamped to [0, 1].
    """
    original = content.detach().double().cpu()
    slope = _gradient(255 * original)
    keep = 30 * smoothness / (1 + 10 * slope)
    trust = (slope / 5).clamp(_LEAST_TRUST, 1)
    change = _smoothed(mapped.detach().double().cpu() - original, keep, trust)
    return (original + change).to(content).clamp_(0, 1)


def _gradient(image: Tensor) -> Tensor:
    """The norm (H, W) of all channels' central differences."""
    slopes = torch.gradient(image, dim=(1, 2))
    return sum(slope.square().sum(0) for slope in slopes).sqrt()


def _smoothed(change: Tensor, keep: Tensor, trust: Tensor) -> Tensor:
    """d (3, H, W) that minimises the sum of keep |grad d|^2 + trust |d - change|^2, weights (H, W).

    With d = J - I, this is what `regrain` minimises.
    """
    height, width = trust.shape
    if min(height, width) > _COARSEST:
        half = [
            F.interpolate(x[None], ((height + 1) // 2, (width + 1) // 2), mode="area")[0]
            for x in (change, keep[None], trust[None])
        ]
        # A coarse pixel stands for four fine ones, while the sum of squared differences is the same on both grids.
        coarse = _smoothed(half[0], half[1][0], 4 * half[2][0])
        start = F.interpolate(coarse[None], (height, width), mode="bilinear")[0]
    else:
        start = change
    down, right = (keep[1:] + keep[:-1]) / 2, (keep[:, 1:] + keep[:, :-1]) / 2

    def product(d: Tensor) -> Tensor:
        result = trust * d
        flow = down * d.diff(dim=1)
        result[:, 1:] += flow
        result[:, :-1] -= flow
        flow = right * d.diff(dim=2)
        result[:, :, 1:] += flow
        result[:, :, :-1] -= flow
        return result

    diagonal = trust.clone()
    diagonal[1:] += down
    diagonal[:-1] += down
    diagonal[:, 1:] += right
    diagonal[:, :-1] += right
    return conjugate_gradients(product, trust * change, start, diagonal.expand_as(change), _TOLERANCE)
