"""Colour transfer by region: the start image whose colours already are the style's."""

from __future__ import annotations

import torch
from torch import Tensor

from .ops import local_affine_apply

# Luma, counted four times, and two colour differences of unit length: what the least movement is measured in. In plain
# RGB a channel with hardly any contrast, such as red in a yellow flower, is stretched over the contrast of another.
OPPONENT = torch.tensor(
    [[4 * 0.299, 4 * 0.587, 4 * 0.114], [0.5**0.5, -(0.5**0.5), 0], [6**-0.5, 6**-0.5, -2 * 6**-0.5]]
)


def monge_kantorovich(
    content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor, gain: float = 6.0
) -> Tensor:
    """Each region's colours moved to the style's mean and covariance by the linear map that moves them least.

    In region r, c -> T (c - mean_c) + mean_s with T = C^-1/2 (C^1/2 S C^1/2)^1/2 C^-1/2, the closed-form optimal
    transport between two normal distributions of covariances C and S (Pitie and Kokaram 2007). Movement is measured in
    `OPPONENT`, which keeps light light and dark dark. Regions blend where masks overlap; pixels of no region keep their
    colour.

    content: (3, H, W), style: (3, h, w), in [0, 1]; content_masks (R, H, W), style_masks (R, h, w), in [0, 1], each
    with an area. gain: no direction of colour is spread by more than this factor; without a bound, the noise of colours
    that hardly vary would come out as colour.

    Returns (3, H, W), clamped to [0, 1].
    """
    mixed = torch.zeros_like(content)
    for content_mask, style_mask in zip(content_masks, style_masks, strict=True):
        matrix = _transport(*_moments(content, content_mask), *_moments(style, style_mask), gain)
        mapped = local_affine_apply(matrix.to(content)[None, None], content.permute(1, 2, 0)).permute(2, 0, 1)
        mixed += mapped * content_mask
    covered = content_masks.sum(0)
    mixed = torch.where(covered > 1, mixed / covered.clamp_min(1), mixed + content * (1 - covered))
    return mixed.clamp_(0, 1)


def _moments(pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3,) and covariance (3, 3) of the pixels under a mask, in double."""
    weights = mask.flatten().double() / mask.sum(dtype=torch.float64)
    values = pixels.flatten(1).double()
    mean = values @ weights
    centred = values - mean[:, None]
    return mean, (centred * weights) @ centred.T


def _transport(content_mean: Tensor, content_cov: Tensor, style_mean: Tensor, style_cov: Tensor, gain: float) -> Tensor:
    """The affine map (3, 4) between two normal distributions, its gains limited."""
    space = OPPONENT.to(content_cov)
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
