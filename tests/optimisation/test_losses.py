"""The losses, each against its formula in float64."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day
from torch import Tensor
from torch.nn import functional as F
from window_energy import window_energy

from fastphoto import ops
from fastphoto.optimisation.losses import ContentLoss, GamutLoss, PhotorealismLoss, TotalVariationLoss, WideWindowLoss
from fastphoto.optimisation.style_losses import GramDistance, StyleLoss


def random(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_derivative(loss, x: Tensor) -> None:
    """The gradient of a scalar in x, float64, against central differences along random directions."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x)
    for seed in (11, 12):
        direction = random(*x.shape, seed=seed)
        with torch.no_grad():
            slope = (loss(x + 1e-5 * direction) - loss(x - 1e-5 * direction)) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-5)


def test_content_loss():
    target, features = random(4, 5, 6), random(4, 5, 6, seed=1)
    total = sum(float(a - b) ** 2 for a, b in zip(features.flatten(), target.flatten(), strict=True))
    loss = ContentLoss(target)
    assert float(loss(features)) == pytest.approx(total / 120)
    assert float(loss(target)) == 0
    assert_derivative(loss, features)


def soft_masks(regions: int, height: int, width: int) -> Tensor:
    masks = torch.rand(regions, height, width, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    return (masks - 0.3).clamp_min(0)


@pytest.mark.parametrize("regions", [1, 9])
def test_style_loss(regions):
    masks, features = soft_masks(regions, 7, 9), random(5, 7, 9, seed=2)
    target, scale = random(regions, 5, 5, seed=3), random(regions, seed=4).abs()
    weight = random(regions, seed=5).abs()
    expected = 0.0
    for r in range(regions):
        masked = (features * masks[r]).flatten(1)
        distance = masked @ masked.T * scale[r] - target[r]
        expected += float(weight[r] * (distance**2).sum())
    loss = StyleLoss(GramDistance(ops.list_pixels(masks), target, scale), weight)
    assert float(loss(features)) == pytest.approx(expected)
    assert_derivative(loss, features)


def test_nine_disjoint_regions_of_one_style_add_up_to_one():
    """Regions that split the photo have Gram matrices that sum to the whole's."""

    def gram_loss(masks: Tensor) -> StyleLoss:
        ones = torch.ones(len(masks))
        return StyleLoss(GramDistance(ops.list_pixels(masks), torch.zeros(len(masks), 5, 5).double(), ones), ones)

    features = random(5, 6, 9, seed=2)
    stripes = F.one_hot(torch.arange(9), 9).double()[:, None, :].expand(9, 6, 9)
    parts = [gram_loss(stripes[r : r + 1].contiguous()) for r in range(9)]
    together = gram_loss(stripes.contiguous())
    assert float(together(features)) == pytest.approx(sum(float(part(features)) for part in parts))
    whole = ops.masked_gram(features, torch.ones(1, 6, 9).double())[0]
    split = ops.masked_gram(features, stripes.contiguous()).sum(0)
    assert torch.allclose(whole, split)


def test_photorealism_loss():
    content = day(12, 14).pixels.double()
    stencil = ops.matting_laplacian_stencil(content.permute(1, 2, 0), 1e-5)
    image = random(3, 12, 14, seed=6)
    flat = image.flatten(1).T.reshape(12, 14, 3)
    product = ops.matting_laplacian(content.permute(1, 2, 0), flat, 1e-5)
    loss = PhotorealismLoss(stencil, 0.25)
    assert float(loss(image)) == pytest.approx(0.25 * float((flat * product).sum()), rel=1e-8)
    assert_derivative(loss, image)
    recoloured = torch.einsum("oc,chw->ohw", random(3, 3, seed=7), content) + 0.2
    assert float(loss(recoloured)) < 1e-4 * float(loss(image)), "an affine recolouring is not free"


@pytest.mark.parametrize(("radius", "size"), [(1, (7, 9)), (2, (7, 9)), (3, (9, 8)), (3, (5, 11))])
@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_wide_window_loss(radius, size, epsilon):
    content, image = day(24, 24).pixels.double()[:, 8 : 8 + size[0], 5 : 5 + size[1]], random(3, *size, seed=6)
    loss = WideWindowLoss(content, radius, epsilon, 0.25)
    assert float(loss(image)) == pytest.approx(0.25 * window_energy(content, image, radius, epsilon), rel=1e-8)
    assert torch.autograd.gradcheck(loss, image.requires_grad_(), atol=1e-4)


def test_wide_window_loss_of_radius_one_is_the_photorealism_loss_and_the_cropped_windows():
    content, image = day(24, 24).pixels.double()[:, 8:17, 5:15], random(3, 9, 10, seed=6)
    stencil = ops.matting_laplacian_stencil(content.permute(1, 2, 0), 1e-4)
    whole = float(PhotorealismLoss(stencil, 1.0)(image))
    assert whole == pytest.approx(window_energy(content, image, 1, 1e-4, cropped=False), rel=1e-8)
    both = float(WideWindowLoss(content, 1, 1e-4, 1.0)(image))
    cropped = window_energy(content, image, 1, 1e-4) - whole
    assert both == pytest.approx(whole + cropped, rel=1e-8) and cropped > 0.1 * both
    # What deviates from the content away from the border is in whole windows only.
    image = content.clone()
    image[:, 2:-2, 2:-2] += random(3, 5, 6, seed=7)
    near = float(WideWindowLoss(content, 1, 1e-4, 1.0)(image))
    assert near == pytest.approx(float(PhotorealismLoss(stencil, 1.0)(image)), rel=1e-3)


@pytest.mark.parametrize("radius", [2, 4])
def test_wide_windows_let_affine_recolourings_pass_up_to_epsilon(radius):
    content = day(20, 24).pixels.double()
    recoloured = torch.einsum("oc,chw->ohw", random(3, 3, seed=7), content) + 0.2
    prices = [float(WideWindowLoss(content, radius, epsilon, 1.0)(recoloured)) for epsilon in (1e-3, 1e-5)]
    other = float(WideWindowLoss(content, radius, 1e-5, 1.0)(recoloured.flip(2)))
    assert 0 < prices[1] < 0.02 * prices[0] and prices[1] < 1e-3 * other


def test_wide_windows_penalise_a_slow_drift_that_small_ones_miss():
    """Colours that drift slowly over one flat area are almost affine in every 3x3 window."""
    content = day(32, 40).pixels.double()
    drift = 0.1 * torch.linspace(-1, 1, 40).double().expand(3, 32, 40)
    per_window = [
        float(WideWindowLoss(content, radius, 1e-4, 1.0)(content + drift)) / (2 * radius + 1) ** 2
        for radius in (1, 2, 4)
    ]
    assert per_window[2] > 2 * per_window[1] > 3 * per_window[0]


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 3.0])
def test_total_variation_loss(power):
    image = random(3, 5, 6)
    total = 0.0
    for c in range(3):
        for i in range(4):
            for j in range(5):
                right, below = image[c, i, j] - image[c, i, j + 1], image[c, i, j] - image[c, i + 1, j]
                total += (float(right) ** 2 + float(below) ** 2) ** (power / 2)
    loss = TotalVariationLoss(0.25, power)
    assert float(loss(image)) == pytest.approx(total * 0.25)
    assert_derivative(loss, image)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_total_variation_of_a_constant_image_has_a_gradient(power):
    flat = torch.full((3, 6, 7), 0.4).requires_grad_()
    value = TotalVariationLoss(1.0, power)(flat)
    (gradient,) = torch.autograd.grad(value, flat)
    assert float(value.detach()) < 0.01 and float(gradient.abs().max()) == 0
    step = flat.detach().clone()
    step[:, 3, 3] += 0.1
    (gradient,) = torch.autograd.grad(TotalVariationLoss(1.0, power)(step.requires_grad_()), step)
    assert torch.isfinite(gradient).all() and (gradient[:, 3, 3] > 0).all()


def test_the_power_of_total_variation_sets_the_price_of_an_edge_against_a_ramp():
    edge = (torch.arange(9) >= 5).double().expand(3, 6, 9)
    ramp = torch.linspace(0, 1, 9).double().expand(3, 6, 9)
    dearer = {
        beta: float(TotalVariationLoss(1.0, beta)(edge) / TotalVariationLoss(1.0, beta)(ramp)) for beta in (1, 2, 3)
    }
    assert dearer == pytest.approx({1: 1, 2: 8, 3: 64}, rel=0.01)


def test_gamut_loss():
    image = torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.25], dtype=torch.float64).reshape(1, 1, 5).expand(3, 1, 5)
    assert float(GamutLoss(2.0)(image)) == pytest.approx(2 * 3 * (0.25 + 0.0625))
    assert_derivative(GamutLoss(2.0), random(3, 4, 5))
