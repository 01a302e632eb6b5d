"""Local affine maps put to use: what smoothing leaves alone, what it removes, and maps at other sizes."""

from __future__ import annotations

import math

import pytest
import torch
from rendered_photos import day
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.affine_maps import LocalAffineProjection, apply_affine_maps, fit_affine_maps
from fastphoto.colour.guided import guided_filter

MATRIX = torch.tensor([[0.7, 0.2, -0.1], [0.1, 0.6, 0.1], [-0.2, 0.1, 0.8]])
OFFSET = torch.tensor([0.1, 0.05, 0.2])


def recoloured(content: Tensor) -> Tensor:
    return torch.einsum("oc,chw->ohw", MATRIX.to(content), content) + OFFSET.to(content)[:, None, None]


@pytest.mark.parametrize(
    "smoothing",
    [
        {},
        {"radius": 2, "smooth_radius": 2},
        {"smooth_radius": 0},
        {"smooth_radius": 15, "smooth_colour": 0.01},
    ],
    ids=str,
)
def test_recolouring_stays_as_it_is(smoothing):
    content = day().pixels.double()
    result = recoloured(content)
    left = LocalAffineProjection(content, epsilon=1e-7, **smoothing)(result)
    assert (left - result).abs().max() < 1e-3


@pytest.mark.parametrize("smoothing", [{}, {"smooth_radius": 15, "smooth_colour": 0.01}], ids=str)
def test_texture_that_the_content_lacks_is_removed(smoothing):
    content = F.interpolate(day(12, 16).pixels[None], (48, 64), mode="bilinear")[0]
    noise = 0.1 * torch.randn(content.shape, generator=torch.Generator().manual_seed(1))
    left = LocalAffineProjection(content, epsilon=1e-2, **smoothing)(recoloured(content) + noise)
    kept = left - LocalAffineProjection(content, epsilon=1e-2, **smoothing)(recoloured(content))
    assert kept.std() < 0.5 * noise.std()


@pytest.mark.parametrize("smoothing", [{}, {"smooth_radius": 5, "smooth_colour": 0.1}], ids=str)
def test_projection_is_linear_with_an_exact_gradient(smoothing):
    content = day(20, 24).pixels.double()
    projection = LocalAffineProjection(content, **smoothing)
    a, b = (torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(s)).double() for s in (1, 2))
    assert torch.allclose(projection(2 * a - 3 * b), 2 * projection(a) - 3 * projection(b), atol=1e-9)
    probe = torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(3)).double()
    x = a.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((projection(x) * probe).sum(), x)
    # Linear: the gradient is the adjoint, <P b, probe> = <b, P^T probe>.
    assert float((gradient * b).sum()) == pytest.approx(float((projection(b) * probe).sum()), rel=1e-9)


def test_published_smoothing():
    """smooth_colour averages the fitted maps with weights of distance and content colour, sigma radius / 3."""
    content = day(16, 18).pixels.double()
    result = torch.rand(3, 16, 18, generator=torch.Generator().manual_seed(1)).double()
    radius, colour = 4, 0.05
    fitted = fit_affine_maps(content, result, smooth_radius=0)
    got = fit_affine_maps(content, result, smooth_radius=radius, smooth_colour=colour)
    for y, x in ((0, 0), (7, 9), (15, 3), (10, 17)):
        total, weights = torch.zeros(3, 4, dtype=torch.float64), 0.0
        for v in range(max(0, y - radius), min(16, y + radius + 1)):
            for u in range(max(0, x - radius), min(18, x + radius + 1)):
                near = math.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * (radius / 3) ** 2))
                apart = float((content[:, v, u] - content[:, y, x]).square().sum()) / 3
                weight = near * math.exp(-apart / (2 * colour**2))
                total += weight * fitted[v, u]
                weights += weight
        assert torch.allclose(got[y, x], total / weights, rtol=1e-6, atol=1e-9), (y, x)


def test_plain_smoothing_is_the_mean_of_the_window():
    content = day(16, 18).pixels.double()
    result = torch.rand(3, 16, 18, generator=torch.Generator().manual_seed(1)).double()
    fitted, got = fit_affine_maps(content, result, smooth_radius=0), fit_affine_maps(content, result, smooth_radius=2)
    assert torch.allclose(got[8, 9], fitted[6:11, 7:12].mean((0, 1)))
    assert torch.allclose(got[0, 17], fitted[:3, 15:].mean((0, 1))), "cropped at the border"


def test_recolouring_is_exact_at_other_sizes():
    """Maps fitted small, applied large: what the content has of detail at full size is all there."""
    large = day(96, 128).pixels.double()
    small = F.interpolate(large[None], (48, 64), mode="area")[0]
    maps = fit_affine_maps(small, recoloured(small), epsilon=1e-9)
    assert (apply_affine_maps(maps, large) - recoloured(large)).abs().max() < 2e-3
    constant = torch.cat([MATRIX, OFFSET[:, None]], 1).double().expand(48, 64, 3, 4)
    for content in (large, small, large[:, :55, :31]):
        assert torch.allclose(apply_affine_maps(constant, content), recoloured(content), atol=1e-7)


def test_projection_by_stencil_is_what_the_smoothing_leaves():
    """The same two pixels off the border as maps smoothed and applied, and there a mean over whole windows."""
    content = day(16, 18).pixels.double()
    image = torch.rand(3, 16, 18, generator=torch.Generator().manual_seed(1)).double()
    projection = LocalAffineProjection(content, epsilon=3e-3)
    assert projection.by_stencil and not LocalAffineProjection(content, smooth_radius=2).by_stencil
    got, wanted = projection(image), apply_affine_maps(fit_affine_maps(content, image, epsilon=3e-3), content)
    torch.testing.assert_close(got[:, 2:-2, 2:-2], wanted[:, 2:-2, 2:-2])
    window = LocalAffineProjection(content[:, :3, :3], epsilon=3e-3)(image[:, :3, :3])
    torch.testing.assert_close(got[:, 0, 0], window[:, 0, 0], msg="a corner is in one window only")
    fitted = fit_affine_maps(content[:, :3, :3], image[:, :3, :3], epsilon=3e-3, smooth_radius=0)[1, 1]
    torch.testing.assert_close(window, (fitted[:, :3] @ content[:, :3, :3].flatten(1) + fitted[:, 3:]).view(3, 3, 3))


def test_masks_follow_the_contents_edges():
    content = torch.full((3, 32, 40), 0.2)
    content[:, :, 20:] = 0.8
    content += 0.01 * torch.randn(content.shape, generator=torch.Generator().manual_seed(1))
    drawn = torch.zeros(2, 32, 40)
    drawn[0, :, :18], drawn[1, :, 18:] = 1, 1  # two pixels beside the edge
    followed = guided_filter(drawn, content, radius=6)
    assert followed.shape == (2, 32, 40) and followed.min() >= 0 and followed.max() <= 1
    profile = followed[0].mean(0)
    assert int((profile[:-1] - profile[1:]).argmax()) == 19, "the steepest place is the content's edge"
    assert profile[19] > 0.5 > profile[20]
    assert (followed.sum(0) - 1).abs().max() < 1e-4, "masks that sum to one still do"
    assert followed[0, :, :8].min() > 0.9 and followed[0, :, -8:].max() < 0.1


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_masks_are_followed_one_by_one(count):
    """Masks go through a filter of three channels; their number, and their neighbours there, must not matter."""
    content = day(20, 24).pixels
    masks = torch.rand(count, 20, 24, generator=torch.Generator().manual_seed(count)).round()
    followed = guided_filter(masks, content, radius=3)
    assert followed.shape == masks.shape
    for r in range(count):
        assert torch.allclose(followed[r], guided_filter(masks[r : r + 1], content, radius=3)[0], atol=1e-6)
