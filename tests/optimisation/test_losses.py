"""The losses, each against its formula in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from rendered_photos import day
from torch import Tensor
from torch.nn import functional as F
from window_energy import window_energy

from fastphoto import ops
from fastphoto.colour.projection import LocalAffineProjection
from fastphoto.colour.spaces import lab_to_srgb, srgb_to_lab
from fastphoto.optimisation import losses
from fastphoto.optimisation.losses import (
    ContentLoss,
    GamutLoss,
    InventedLoss,
    PhotorealismLoss,
    StainsLoss,
    TotalVariationLoss,
    WideWindowLoss,
)
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


# ---- stains


def photo_like(height: int, width: int, seed: int = 0) -> Tensor:
    """(3, H, W) float64 inside the range of sRGB."""
    return 0.3 + 0.4 * day(height, width).pixels.double() + 0.03 * random(3, height, width, seed=seed)


def window_of(y: int, x: int, radius: int) -> tuple[slice, slice, slice]:
    return slice(None), slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)


def unexplained_chroma(content: Tensor, image: Tensor, radius: int, epsilon: float) -> float:
    """The definition of the loss, window by window."""
    _, height, width = content.shape
    chroma, explained = srgb_to_lab(image)[1:], torch.zeros(2, height, width).double()
    slopes = torch.zeros(6, height, width).double()
    offsets = torch.zeros(2, height, width).double()
    for y in range(height):
        for x in range(width):
            colours, values = (planes[window_of(y, x, radius)].flatten(1).T for planes in (content, chroma))
            away = colours - colours.mean(0)
            slope = torch.linalg.solve(away.T @ away + epsilon * torch.eye(3).double(), away.T @ values)
            slopes[:, y, x], offsets[:, y, x] = slope.T.flatten(), values.mean(0) - colours.mean(0) @ slope
    for y in range(height):
        for x in range(width):
            slope, offset = (planes[window_of(y, x, radius)].mean((1, 2)) for planes in (slopes, offsets))
            explained[:, y, x] = slope.view(2, 3) @ content[:, y, x] + offset
    return float((chroma - explained).square().mean()) / 100


def stains_loss(content: Tensor, radius: int, epsilon: float) -> StainsLoss:
    return StainsLoss(LocalAffineProjection(content, radius=radius, epsilon=epsilon, smooth_radius=radius))


@pytest.mark.parametrize(("radius", "epsilon"), [(2, 0.025), (3, 1e-3)])
def test_stains_are_what_local_maps_leave_of_the_chroma(radius, epsilon):
    content, image = photo_like(11, 13), photo_like(13, 11, seed=5).transpose(1, 2).contiguous()
    loss = stains_loss(content, radius, epsilon)
    assert float(loss(image)) == pytest.approx(unexplained_chroma(content, image, radius, epsilon), rel=1e-6)
    assert_derivative(loss, image)


def test_what_maps_of_the_content_explain_is_no_stain():
    """Recoloured everywhere alike; a blob of colour that ignores the content is one, in lightness it is not."""
    content = photo_like(40, 48)
    loss = stains_loss(content, 4, 1e-6)
    spot = torch.exp(-((torch.arange(48) - 24) ** 2 + (torch.arange(40)[:, None] - 20) ** 2) / 4.5).double()
    lab = srgb_to_lab(content)
    red, bright = (lab_to_srgb(lab + 20 * spot * torch.tensor(axis)[:, None, None]) for axis in ((0, 1, 0), (1, 0, 0)))
    assert float(loss(torch.full_like(content, 0.4))) < 1e-12
    assert float(loss(content)) < 1e-3
    assert float(loss(red)) > 20 * float(loss(content))
    assert float(loss(bright)) < 0.05 * float(loss(red))


# ---- invented structure


def over_pixels(
    plane: Tensor, size: tuple[int, int], window: Callable[[int, int], tuple[slice, slice, slice]]
) -> Tensor:
    """Means of a plane over a window for each pixel of a size."""
    height, width = size
    means = [plane[None][window(y, x)].mean() for y in range(height) for x in range(width)]
    return torch.stack(means).view(height, width)


def halved(plane: Tensor) -> Tensor:
    """Means of 2 x 2 pixels; of what there is at odd ends."""
    size = (plane.shape[0] + 1) // 2, (plane.shape[1] + 1) // 2
    return over_pixels(plane, size, lambda y, x: (slice(None), slice(2 * y, 2 * y + 2), slice(2 * x, 2 * x + 2)))


def averaged(plane: Tensor) -> Tensor:
    """Means over windows of 5 x 5 pixels."""
    return over_pixels(plane, (plane.shape[0], plane.shape[1]), lambda y, x: window_of(y, x, 2))


def enlarged(plane: Tensor, size: Sequence[int]) -> Tensor:
    """A plane at another size, its values linear between the centres of its pixels and constant beyond them."""
    matrices = []
    for n_in, n_out in zip(plane.shape, size, strict=True):
        at = ((torch.arange(n_out).double() + 0.5) * n_in / n_out - 0.5).clamp(0, n_in - 1)
        matrices.append((1 - (at[:, None] - torch.arange(n_in)).abs()).clamp_min(0))
    return matrices[0] @ plane @ matrices[1].T


def contrasts(image: Tensor) -> list[Tensor]:
    """Local contrast of four bands, from fine to coarse."""
    planes, found = list(srgb_to_lab(image)), []
    for _ in range(losses._BANDS):
        coarse = [halved(plane) for plane in planes]
        squares = [(plane - enlarged(low, plane.shape)) ** 2 for plane, low in zip(planes, coarse, strict=True)]
        found.append((averaged(sum(squares, torch.zeros(1))) + 1e-4).sqrt())
        planes = coarse
    return found


def invented_excess(content: Tensor, start: Tensor, image: Tensor, masks: Tensor) -> float:
    """The definition of the loss, for masks that add up to 1."""
    total, planes = 0.0, list(masks)
    for own, amplified, got in zip(contrasts(content), contrasts(start), contrasts(image), strict=True):
        ratios = (amplified / (own + losses._FAINT_BAND)).flatten().sort()[0]
        limit = losses._SLACK * max(1.0, float(ratios[(len(ratios) - 1) // 2])) * own + losses._VISIBLE
        others = 1 - torch.stack([averaged(plane) for plane in planes]).amax(0)
        on_border = (averaged(others) / losses._MIXED).clamp(max=1)
        limit = torch.where(amplified > limit, limit + on_border * (amplified - limit), limit)
        calm = 1 + losses._CALM / torch.exp(own)
        total += float((calm * (got - limit).clamp(min=0) ** 2).mean()) / 100
        planes = [halved(plane) for plane in planes]
    return total


@pytest.mark.parametrize("regions", ["one", "two"])
@pytest.mark.parametrize("size", [(26, 36), (19, 33)])
def test_invented_structure_is_contrast_beyond_the_contents(size, regions):
    content = photo_like(*size)
    masks = day(*size).masks.double() if regions == "two" else torch.ones(1, *size).double()
    start = (0.5 + 1.4 * (content - 0.5)).clamp(0, 1)
    if regions == "two":  # of so different looks that the border between them stands out
        start = start * (0.2 + 0.8 * masks[0])
    image = (content + 0.08 * random(3, *size, seed=3)).clamp(0, 1)
    loss = InventedLoss(content, start, masks)
    assert float(loss(srgb_to_lab(image))) > 0.01
    expected = invented_excess(content, start, image, masks)
    assert float(loss(srgb_to_lab(image))) == pytest.approx(expected, rel=1e-6)
    assert_derivative(lambda image: loss(srgb_to_lab(image)), image)


def test_the_borders_of_regions_may_stand_out_as_in_the_start_image():
    content, masks = photo_like(48, 64), day(48, 64).masks.double()
    start = content * (0.2 + 0.8 * masks[0])
    along, whole = InventedLoss(content, start, masks), InventedLoss(content, start, torch.ones(1, 48, 64).double())
    lab = srgb_to_lab(start)
    assert float(along(lab)) < 0.2 * float(whole(lab))


def test_the_contents_own_contrast_is_not_invented():
    """Nor is it if all contrast grows by a half, or as much as in the start image; added structure is."""
    content = photo_like(48, 64)
    everywhere = torch.ones(1, 48, 64).double()
    loss = InventedLoss(content, content, everywhere)
    lab = srgb_to_lab(content)
    grown = srgb_to_lab(lab_to_srgb(lab + 0.4 * (lab - lab.mean((1, 2), keepdim=True))))
    waves = srgb_to_lab(lab_to_srgb(lab + 8 * torch.sin(torch.arange(64) / 1.5).double()))
    assert float(loss(lab)) == 0 and float(loss(torch.full_like(lab, 50))) == 0
    assert float(loss(grown)) < 1e-3 * float(loss(waves))
    assert float(loss(waves)) > 1e-3
    much = lab_to_srgb(lab + 1.5 * (lab - lab.mean((1, 2), keepdim=True)))
    assert float(InventedLoss(content, much, everywhere)(srgb_to_lab(much))) < 0.05 * float(loss(srgb_to_lab(much)))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_losses_of_flat_photos_have_finite_gradients(value):
    flat = torch.full((3, 20, 24), value).requires_grad_()
    constant = flat.detach()
    invented = InventedLoss(constant, constant, torch.ones(1, 20, 24))
    for loss in (stains_loss(constant, 4, 0.02), lambda image: invented(srgb_to_lab(image))):
        total = loss(flat)
        (gradient,) = torch.autograd.grad(total, flat)
        assert float(total.detach()) < 1e-8 and torch.isfinite(gradient).all()


@pytest.mark.parametrize("size", [(16, 16), (2, 3), (5, 40)])
def test_invented_structure_of_small_images(size):
    """Bands that no image of that size has are left out."""
    content = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    loss = InventedLoss(content, content, torch.ones(1, *size))
    value = loss(content.flip(2).requires_grad_())
    assert torch.isfinite(value) and value.shape == ()
    value.backward()
