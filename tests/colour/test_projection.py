"""The projection onto local affine colour maps of a content: linear, exact on recolourings, and of little memory."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.colour.projection import LocalAffineProjection

MATRIX = torch.tensor([[0.7, 0.2, -0.1], [0.1, 0.6, 0.1], [-0.2, 0.1, 0.8]])
OFFSET = torch.tensor([0.1, 0.05, 0.2])


def recoloured(content: Tensor) -> Tensor:
    return torch.einsum("oc,chw->ohw", MATRIX.to(content), content) + OFFSET.to(content)[:, None, None]


SMOOTHINGS = {
    "default": {},
    "5x5": {"radius": 2, "smooth_radius": 2},
    "none": {"smooth_radius": 0},
    "edge-aware": {"smooth_radius": 15, "smooth_colour": 0.01},
}
smoothings = pytest.mark.parametrize("smoothing", SMOOTHINGS.values(), ids=SMOOTHINGS)
averages = pytest.mark.parametrize(
    "smoothing", [SMOOTHINGS["default"], SMOOTHINGS["edge-aware"]], ids=["default", "edge-aware"]
)


@smoothings
def test_a_recolouring_is_preserved(smoothing):
    content = day().pixels.double()
    result = recoloured(content)
    projected = LocalAffineProjection(content, epsilon=1e-7, **smoothing)(result)
    assert (projected - result).abs().max() < 1e-3


@averages
def test_texture_that_the_content_lacks_is_removed(smoothing):
    content = F.interpolate(day(12, 16).pixels[None], (48, 64), mode="bilinear")[0]
    noise = 0.1 * torch.randn(content.shape, generator=torch.Generator().manual_seed(1))
    projection = LocalAffineProjection(content, epsilon=1e-2, **smoothing)
    remaining = projection(recoloured(content) + noise) - projection(recoloured(content))
    assert remaining.std() < 0.5 * noise.std()


@pytest.mark.parametrize(
    "smoothing",
    [{}, {"radius": 3, "smooth_radius": 3}, {"smooth_radius": 5, "smooth_colour": 0.1}],
    ids=["default", "7x7", "edge-aware"],
)
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


def test_projection_by_stencil_equals_smoothed_maps_off_the_border():
    """Two pixels off the border it equals maps smoothed and applied; at the border it is a mean over whole windows."""
    content = day(16, 18).pixels.double()
    image = torch.rand(3, 16, 18, generator=torch.Generator().manual_seed(1)).double()
    projection = LocalAffineProjection(content, epsilon=3e-3)
    assert projection.by_stencil and not LocalAffineProjection(content, smooth_radius=2).by_stencil
    got, expected = projection(image), apply_affine_maps(fit_affine_maps(content, image, epsilon=3e-3), content)
    torch.testing.assert_close(got[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2])
    window = LocalAffineProjection(content[:, :3, :3], epsilon=3e-3)(image[:, :3, :3])
    torch.testing.assert_close(got[:, 0, 0], window[:, 0, 0], msg="a corner is not that of its only window")
    fitted = fit_affine_maps(content[:, :3, :3], image[:, :3, :3], epsilon=3e-3, smooth_radius=0)[1, 1]
    torch.testing.assert_close(window, (fitted[:, :3] @ content[:, :3, :3].flatten(1) + fitted[:, 3:]).view(3, 3, 3))


@smoothings
def test_the_projections_tensors_are_buffers(smoothing):
    """`.to()` and `state_dict()` see them."""
    content = day(20, 24).pixels
    projection = LocalAffineProjection(content, **smoothing)
    tensors = {name for name, value in vars(projection).items() if isinstance(value, Tensor)}
    assert not tensors, f"{tensors} are no buffers"
    image = torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(1))
    assert projection.double()(image.double()).dtype == torch.float64
    torch.testing.assert_close(projection(image.double()).float(), LocalAffineProjection(content, **smoothing)(image))


def test_the_content_is_not_copied():
    content = day(20, 24).pixels
    assert LocalAffineProjection(content, smooth_radius=2).content.data_ptr() == content.data_ptr()
