"""Local affine maps: recolourings they preserve, texture they remove, other sizes, and the projection."""

from __future__ import annotations

import math

import torch
from rendered_photos import day
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps

MATRIX = torch.tensor([[0.7, 0.2, -0.1], [0.1, 0.6, 0.1], [-0.2, 0.1, 0.8]])
OFFSET = torch.tensor([0.1, 0.05, 0.2])


def recoloured(content: Tensor) -> Tensor:
    return torch.einsum("oc,chw->ohw", MATRIX.to(content), content) + OFFSET.to(content)[:, None, None]


def test_edge_aware_smoothing_is_that_of_its_definition():
    """Weights fall with distance (sigma radius / 3) and with the difference in content colour."""
    content = day(16, 18).pixels.double()
    result = torch.rand(3, 16, 18, generator=torch.Generator().manual_seed(1)).double()
    radius, colour = 4, 0.05
    fitted = fit_affine_maps(content, result, smooth_radius=0)
    got = fit_affine_maps(content, result, smooth_radius=radius, smooth_colour=colour)
    for y, x in ((0, 0), (7, 9), (15, 3), (10, 17)):
        total, weights = torch.zeros(3, 4, dtype=torch.float64), 0.0
        for v in range(max(0, y - radius), min(16, y + radius + 1)):
            for u in range(max(0, x - radius), min(18, x + radius + 1)):
                distance_weight = math.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * (radius / 3) ** 2))
                difference = float((content[:, v, u] - content[:, y, x]).square().sum()) / 3
                weight = distance_weight * math.exp(-difference / (2 * colour**2))
                total += weight * fitted[v, u]
                weights += weight
        assert torch.allclose(got[y, x], total / weights, rtol=1e-6, atol=1e-9), (y, x)


def test_box_smoothing_is_the_mean_over_the_window():
    content = day(16, 18).pixels.double()
    result = torch.rand(3, 16, 18, generator=torch.Generator().manual_seed(1)).double()
    fitted, got = fit_affine_maps(content, result, smooth_radius=0), fit_affine_maps(content, result, smooth_radius=2)
    assert torch.allclose(got[8, 9], fitted[6:11, 7:12].mean((0, 1)))
    assert torch.allclose(got[0, 17], fitted[:3, 15:].mean((0, 1))), "windows are not cropped at the border"


def test_recolouring_is_exact_at_other_sizes():
    """Maps fitted on a small content recolour the large one with all its detail."""
    large = day(96, 128).pixels.double()
    small = F.interpolate(large[None], (48, 64), mode="area")[0]
    maps = fit_affine_maps(small, recoloured(small), epsilon=1e-9)
    assert (apply_affine_maps(maps, large) - recoloured(large)).abs().max() < 2e-3
    constant = torch.cat([MATRIX, OFFSET[:, None]], 1).double().expand(48, 64, 3, 4)
    for content in (large, small, large[:, :55, :31]):
        assert torch.allclose(apply_affine_maps(constant, content), recoloured(content), atol=1e-7)
