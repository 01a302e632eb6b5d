"""Pitié's colour grading: the style's whole distribution of colours, then the content's grain."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.statistics import blend_regions, interpolate, quantiles, sample_pixels
from fastphoto.ops.linear_solver import conjugate_gradients

_LEVELS = 300  # quantiles that a curve goes through, as many as the paper has bins
_SAME = 1e-6  # difference below which values of a channel are mapped to one value
_COARSEST = 16  # pixels on the short side of the coarsest photo that regrain solves for
_LEAST_PSI = 0.01  # weight of the mapped colours where the content is perfectly flat, and only they fix its level
_TOLERANCE = 1e-6  # of conjugate gradients


def pitie_transfer(
    content: Tensor,  # (3, H, W), [0, 1]
    style: Tensor,  # (3, h, w), [0, 1]
    content_masks: Tensor,  # (R, H, W), [0, 1]
    style_masks: Tensor,  # (R, h, w), [0, 1]
) -> Tensor:
    """Give each region the style's distribution of colours, and the result the content's grain.

    The two stages of Pitié, Kokaram and Dahyot (2007): `iterative_distribution_transfer`, then `regrain`.

    Args:
        content: photo (3, H, W), sRGB in [0, 1].
        style: photo (3, h, w), sRGB in [0, 1].
        content_masks: masks (R, H, W), [0, 1], none of them empty; one mask of ones for the global method.
        style_masks: masks (R, h, w), [0, 1], in the same order, none of them empty.

    Returns:
        The result (3, H, W), clamped to [0, 1].

    Example:
        >>> dark, light = torch.full((3, 4, 4), 0.2), torch.full((3, 2, 2), 0.8)
        >>> result = pitie_transfer(dark, light, torch.ones(1, 4, 4), torch.ones(1, 2, 2))
        >>> result.allclose(torch.tensor(0.8))
        True
    """
    return regrain(content, iterative_distribution_transfer(content, style, content_masks, style_masks))


def iterative_distribution_transfer(
    content: Tensor,  # (3, H, W), [0, 1]
    style: Tensor,  # (3, h, w), [0, 1]
    content_masks: Tensor,  # (R, H, W), [0, 1]
    style_masks: Tensor,  # (R, h, w), [0, 1]
    iterations: int = 20,
    seed: int = 0,
) -> Tensor:
    """Move each region's colours until their distribution is the style's, whatever its shape.

    Each iteration turns the colours of both regions by one random orthogonal matrix R, and moves those of the content
    along each axis by the increasing curve that makes the distribution there the style's: c -> R^T t(R c), with
    t = F_s^-1 F_c for each axis (Pitié, Kokaram and Dahyot 2005, "N-dimensional probability density function transfer";
    2007, "Automated colour grading using colour distribution transfer"). The curves go through 300 quantiles; equal
    colours stay equal; beyond the outer quantiles values are only shifted. Regions blend where masks overlap; pixels
    outside all regions keep their colour. Weak contrast that is stretched comes out grainy; `regrain` repairs that.

    Args:
        content: photo (3, H, W), sRGB in [0, 1].
        style: photo (3, h, w), sRGB in [0, 1].
        content_masks: masks (R, H, W), [0, 1], none of them empty; the quantiles are weighted by them.
        style_masks: masks (R, h, w), [0, 1], in the same order, none of them empty.
        iterations: number of random matrices; the paper uses 10 to 30.
        seed: seed of the random matrices.

    Returns:
        The result (3, H, W), clamped to [0, 1].
    """
    regions = zip(content_masks, style_masks, strict=True)
    moved = ((_transferred(content, m, style, s, iterations, seed), m) for m, s in regions)
    return blend_regions(content, content_masks, moved)


def _transferred(
    content: Tensor, mask: Tensor, style: Tensor, style_mask: Tensor, iterations: int, seed: int
) -> Tensor:
    """Return the content (3, H, W) with the pixels of one region moved to the style's distribution."""
    inside, style_sample = mask.flatten().nonzero()[:, 0], sample_pixels(style_mask.flatten().nonzero()[:, 0])
    sample = sample_pixels(torch.arange(len(inside), device=inside.device))
    weights, style_weights = mask.flatten()[inside[sample]], style_mask.flatten()[style_sample]
    colours = content.flatten(1)[:, inside].double()
    style_colours = style.flatten(1)[:, style_sample].double()
    for rotation in _rotations(iterations, seed):
        turn = rotation.to(colours)
        axes = zip(turn @ colours, turn @ style_colours, strict=True)
        matched = [_matched(axis, axis[sample], weights, style_axis, style_weights) for axis, style_axis in axes]
        colours = turn.T @ torch.stack(matched)
    return content.flatten(1).index_copy(1, inside, colours.to(content)).reshape_as(content)


def _rotations(number: int, seed: int) -> Iterator[Tensor]:
    """Yield uniformly distributed orthogonal matrices (3, 3), float64."""
    random = torch.Generator().manual_seed(seed)
    for _ in range(number):
        basis, triangle = torch.linalg.qr(torch.randn(3, 3, generator=random, dtype=torch.float64))
        yield basis * triangle.diagonal().sign()


def _matched(values: Tensor, sample: Tensor, weights: Tensor, style: Tensor, style_weights: Tensor) -> Tensor:
    """Map values (N,) by the curve that takes the distribution of a weighted sample to that of the style's values."""
    x, y = quantiles(sample, weights, _LEVELS), quantiles(style, style_weights, _LEVELS)
    # Many pixels of one value, such as clipped ones, fill several quantiles. The curve gives them one value, the mean.
    group = torch.cat([x.new_zeros(1, dtype=torch.long), (x.diff() > _SAME).cumsum(0)])
    count = torch.bincount(group)
    x, y = (torch.zeros_like(count, dtype=x.dtype).index_add_(0, group, levels) / count for levels in (x, y))
    one = x.new_ones(1)
    return interpolate(values, torch.cat([x[:1] - one, x, x[-1:] + one]), torch.cat([y[:1] - one, y, y[-1:] + one]))


def regrain(
    content: Tensor,  # (3, H, W), [0, 1]
    mapped: Tensor,  # (3, H, W), [0, 1]
    smoothness: float = 1.0,
) -> Tensor:
    """Give a recoloured photo the content's own grain: its gradients where it is smooth, the new colours elsewhere.

    The result J minimises the sum over pixels of phi |grad J - grad I|^2 + psi |J - t|^2, where I is the content and t
    the mapped photo, with phi = 30 smoothness / (1 + 10 g) and psi = min(g / 5, 1), g = |grad I| in levels of 0 to 255
    (Pitié, Kokaram and Dahyot 2007). So flat areas stay flat, and edges may take on another contrast. psi is at least
    0.01 here, or a content of one colour would leave J undetermined. The paper relaxes the system from coarse to
    fine; here conjugate gradients solve it, and each coarse solution is the start of the next.

    Args:
        content: photo (3, H, W), sRGB in [0, 1].
        mapped: the content with other colours, (3, H, W), sRGB in [0, 1].
        smoothness: factor of phi, above 0; 1 as published.

    Returns:
        The result (3, H, W), clamped to [0, 1].
    """
    original = content.detach().double().cpu()
    slope = _gradient_norm(255 * original)
    phi = 30 * smoothness / (1 + 10 * slope)
    psi = (slope / 5).clamp(_LEAST_PSI, 1)
    change = _smoothed(mapped.detach().double().cpu() - original, phi, psi)
    return (original + change).to(content).clamp_(0, 1)


def _gradient_norm(image: Tensor) -> Tensor:
    """Return the norm (H, W) of all channels' central differences."""
    down, right = torch.gradient(image, dim=(1, 2))
    return (down.square().sum(0) + right.square().sum(0)).sqrt()


def _smoothed(change: Tensor, phi: Tensor, psi: Tensor) -> Tensor:
    """Return d (3, H, W) that minimises the sum of phi |grad d|^2 + psi |d - change|^2, with weights (H, W).

    With d = J - I, this is what `regrain` minimises.
    """
    start = _coarse_solution(change, phi, psi) if min(psi.shape) > _COARSEST else change
    down, right = (phi[1:] + phi[:-1]) / 2, (phi[:, 1:] + phi[:, :-1]) / 2  # weights of neighbours

    def product(d: Tensor) -> Tensor:
        result = psi * d
        flow = down * d.diff(dim=1)
        result[:, 1:] += flow
        result[:, :-1] -= flow
        flow = right * d.diff(dim=2)
        result[:, :, 1:] += flow
        result[:, :, :-1] -= flow
        return result

    diagonal = psi.clone()
    diagonal[1:] += down
    diagonal[:-1] += down
    diagonal[:, 1:] += right
    diagonal[:, :-1] += right
    return conjugate_gradients(product, psi * change, start, diagonal.expand_as(change), _TOLERANCE)


def _coarse_solution(change: Tensor, phi: Tensor, psi: Tensor) -> Tensor:
    """Return the solution of `_smoothed` at half the size, enlarged."""
    height, width = psi.shape
    half = ((height + 1) // 2, (width + 1) // 2)
    change, phi, psi = (F.interpolate(x[None], half, mode="area")[0] for x in (change, phi[None], psi[None]))
    # A coarse pixel stands for four fine ones, while the sum of squared differences is the same on both grids.
    coarse = _smoothed(change, phi[0], 4 * psi[0])
    return F.interpolate(coarse[None], (height, width), mode="bilinear")[0]
