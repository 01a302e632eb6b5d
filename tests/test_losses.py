"""The losses, each against its formula in float64, and the objective that adds them up."""

from __future__ import annotations

import pytest
import torch
from photos import day, dusk
from torch import Tensor
from torch.nn import functional as F

from fastphoto import ops
from fastphoto.encoder import Encoder, load_encoder
from fastphoto.local_affine import LocalAffineProjection
from fastphoto.losses import (
    ContentLoss,
    GamutLoss,
    Objective,
    PhotorealismLoss,
    StyleLoss,
    TotalVariationLoss,
)
from fastphoto.regions import layer_masks
from fastphoto.settings import preset_settings
from fastphoto.transfer import _Run, _style_loss


def random(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_derivative(loss, x: Tensor) -> None:
    """The gradient of a scalar in x, float64, against central differences along random directions."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x)
    for seed in (11, 12):
        way = random(*x.shape, seed=seed)
        with torch.no_grad():
            slope = (loss(x + 1e-5 * way) - loss(x - 1e-5 * way)) / 2e-5
        assert float((gradient * way).sum()) == pytest.approx(float(slope), rel=1e-5)


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
    wanted = 0.0
    for r in range(regions):
        masked = (features * masks[r]).flatten(1)
        distance = masked @ masked.T * scale[r] - target[r]
        wanted += float(weight[r] * (distance**2).sum())
    loss = StyleLoss(ops.plan_regions(masks), target, scale, weight)
    assert float(loss(features)) == pytest.approx(wanted)
    assert_derivative(loss, features)


def test_nine_disjoint_regions_of_one_style_add_up_to_one():
    """Regions that split the photo have Gram matrices that sum to the whole's."""
    features = random(5, 6, 9, seed=2)
    stripes = F.one_hot(torch.arange(9), 9).double()[:, None, :].expand(9, 6, 9)
    parts = [
        StyleLoss(
            ops.plan_regions(stripes[r : r + 1].contiguous()),
            torch.zeros(1, 5, 5).double(),
            torch.ones(1),
            torch.ones(1),
        )
        for r in range(9)
    ]
    together = StyleLoss(
        ops.plan_regions(stripes.contiguous()), torch.zeros(9, 5, 5).double(), torch.ones(9), torch.ones(9)
    )
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
    assert float(loss(recoloured)) < 1e-4 * float(loss(image)), "an affine recolouring is free"


def test_total_variation_loss():
    image = random(3, 5, 6)
    total = 0.0
    for c in range(3):
        for i in range(4):
            for j in range(5):
                total += float(image[c, i, j] - image[c, i, j + 1]) ** 2
                total += float(image[c, i, j] - image[c, i + 1, j]) ** 2
    loss = TotalVariationLoss(0.5)
    assert float(loss(image)) == pytest.approx(total * 0.25)
    assert_derivative(loss, image)


def test_gamut_loss():
    image = torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.25], dtype=torch.float64).reshape(1, 1, 5).expand(3, 1, 5)
    assert float(GamutLoss(2.0)(image)) == pytest.approx(2 * 3 * (0.25 + 0.0625))
    assert_derivative(GamutLoss(2.0), random(3, 4, 5))


# ---- the objective -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("embedded")


class Named(torch.nn.Module):
    """A mean of squares, which counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.square().mean()


def test_objective_is_the_weighted_sum(encoder):
    image = day().pixels
    content, style, smooth = ContentLoss(torch.zeros(())), Named(), TotalVariationLoss(1.0)
    objective = Objective(
        encoder,
        {"content": {"relu2_1": (0.5, content)}, "style": {"relu1_1": (2.0, style), "relu2_1": (3.0, style)}},
        {"total variation": (4.0, smooth)},
    )
    features = encoder(image, ("relu1_1", "relu2_1"))
    wanted = {
        "content": 0.5 * features["relu2_1"].square().mean(),
        "style": 2 * features["relu1_1"].square().mean() + 3 * features["relu2_1"].square().mean(),
        "total variation": 4 * smooth(image),
    }
    total, gradient, parts = objective.value_and_gradient(image)
    assert {name: float(p) for name, p in parts.items()} == pytest.approx({n: float(p) for n, p in wanted.items()})
    assert float(total) == pytest.approx(sum(map(float, wanted.values())))
    assert not total.requires_grad and not gradient.requires_grad and not image.requires_grad
    assert gradient.shape == image.shape and gradient.norm() > 0


def test_pixel_scale_is_only_another_unit(encoder):
    losses = {"style": {"relu1_1": (1.0, ContentLoss(torch.zeros(())))}}
    plain = Objective(encoder, losses, {"gamut": (1.0, GamutLoss(1.0))})
    scaled = Objective(encoder, losses, {"gamut": (1.0, GamutLoss(1.0))}, pixel_scale=256.0)
    image = dusk().pixels * 1.5
    value, gradient, _ = plain.value_and_gradient(image)
    other, other_gradient, _ = scaled.value_and_gradient(image * 256)
    assert float(value) == pytest.approx(float(other), rel=1e-6)
    assert torch.allclose(gradient, other_gradient * 256, rtol=1e-4, atol=1e-6 * float(gradient.abs().max()))


def test_weight_of_zero_leaves_a_loss_out(encoder):
    unused, used = Named(), Named()
    objective = Objective(
        encoder,
        {"content": {"relu5_1": (0.0, unused)}, "style": {"relu1_1": (1.0, used), "relu4_1": (0.0, unused)}},
        {"gamut": (0.0, unused)},
    )
    _, _, parts = objective.value_and_gradient(day().pixels)
    assert set(parts) == {"style"} and unused.calls == 0 and used.calls == 1
    assert objective.layers == ("relu1_1",), "activations that nothing needs are not computed"


def test_nothing_to_minimise(encoder):
    value, gradient, parts = Objective(encoder, {}, {}).value_and_gradient(day().pixels)
    assert float(value) == 0 and float(gradient.abs().sum()) == 0 and parts == {}


def test_losses_are_of_the_projected_image_and_activations_of_what_smoothing_leaves_of_it(encoder):
    content = day().pixels
    projection = LocalAffineProjection(content)
    seen = Named()
    objective = Objective(encoder, {"style": {"relu1_1": (1.0, seen)}}, {"gamut": (1.0, GamutLoss(1.0))}, projection)
    image = torch.rand(content.shape, generator=torch.Generator().manual_seed(5)) * 1.4 - 0.2
    _, _, parts = objective.value_and_gradient(image)
    once, twice = projection(image), projection(projection(image))
    assert torch.equal(objective.image(image), once)
    assert float(parts["style"]) == pytest.approx(float(encoder(twice, ("relu1_1",))["relu1_1"].square().mean()))
    assert float(parts["style"]) != pytest.approx(float(encoder(once, ("relu1_1",))["relu1_1"].square().mean()))
    assert float(parts["gamut"]) == pytest.approx(float(GamutLoss(1.0)(once)))
    assert float(parts["gamut"]) != pytest.approx(float(GamutLoss(1.0)(image)))


# ---- as transfer() builds it -------------------------------------------------------------------------------


def built(encoder: Encoder, content, style, **settings) -> Objective:
    run = _Run(
        preset_settings("fast", **settings),
        encoder,
        content.pixels,
        style.pixels,
        content.regions,
        style.regions,
        0,
        None,
    )
    return run._objective("photorealism", content.pixels, content.pixels)


def test_relative_style_loss_of_nothing_learned_is_one(encoder):
    """Relative losses: a black result is at distance 1 from every style, times the regions' shares and the weights."""
    content, style = day(), dusk()
    weights = (1.0, 0.5)
    objective = built(
        encoder,
        content,
        style,
        normalisation="relative",
        style_layers=("relu1_1", "relu3_1"),
        style_weights=weights,
    )
    masks = layer_masks(content.regions, ("relu1_1", "relu3_1"), {})
    for (layer, (weight, loss)), wanted in zip(objective.feature_losses["style"].items(), weights, strict=True):
        features = encoder(content.pixels, (layer,))[layer]
        share = float(masks[layer].mean((1, 2)).sum())
        assert weight == wanted
        assert float(loss(torch.zeros_like(features))) == pytest.approx(share, rel=1e-4)


def test_relative_style_loss_vanishes_on_the_style_itself(encoder):
    style = dusk()
    objective = built(encoder, style, style, normalisation="relative", photorealism_weight=0, projection=False)
    _, _, parts = objective.value_and_gradient(style.pixels)
    assert float(parts["style"]) < 1e-6
    _, _, parts = objective.value_and_gradient(style.pixels.flip(1))
    assert float(parts["style"]) > 1e-2


@pytest.mark.parametrize("softness", [1.0, 0.5, 0.1])
def test_relative_style_loss_does_not_see_how_soft_masks_are(softness):
    """Gram matrices are means over a region: the same activations everywhere have the same one under any mask."""
    activation = torch.rand(6, 1, 1, generator=torch.Generator().manual_seed(1)).expand(6, 20, 24).contiguous()
    ramp = torch.linspace(1 - softness, 1, 24).expand(1, 20, 24).contiguous()
    loss = _style_loss(activation, ramp, torch.ones(1, 20, 24), published=False)
    assert float(loss(activation)) < 1e-9
    assert float(loss(2 * activation)) == pytest.approx(9 * float(ramp.mean()), rel=1e-4)


def test_region_that_vanishes_in_deep_layers_is_left_out_there(encoder):
    """One pixel has no Gram matrix to speak of four poolings down; the other region goes on."""
    content, style = day(), dusk()
    content.labels[:] = 1
    content.labels[20, 20] = 0
    objective = built(encoder, content, style, normalisation="relative")
    weights = {layer: loss.weight for layer, (_, loss) in objective.feature_losses["style"].items()}
    deepest = list(weights)[-1]
    assert float(weights[deepest][0]) == 0 and float(weights[deepest][1]) > 0
    value, gradient, _ = objective.value_and_gradient(content.pixels)
    assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_relative_photorealism_is_a_share_of_the_start_images_contrast(encoder):
    """Half the contrast in the start image, four times the price of what no affine map explains; noise has a floor."""
    content, style = day(), dusk()
    x = torch.rand(content.pixels.shape, generator=torch.Generator().manual_seed(4))
    run = _Run(preset_settings("fast"), encoder, content.pixels, style.pixels, content.regions, style.regions, 0, None)
    price = {}
    for contrast in (1.0, 0.5, 0.0):
        objective = run._objective("photorealism", content.pixels, 0.5 + contrast * (content.pixels - 0.5))
        weight, loss = objective.image_losses["photorealism"]
        assert weight == preset_settings("fast").photorealism_weight
        price[contrast] = float(loss(x))
    windows = content.pixels.unfold(1, 3, 1).unfold(2, 3, 1).flatten(3)
    variance = float(windows.var(-1, correction=0).mean())
    assert price[0.0] / price[1.0] == pytest.approx((variance + 1e-3) / 1e-3, rel=1e-3)
    assert price[0.5] / price[1.0] == pytest.approx((variance + 1e-3) / (variance / 4 + 1e-3), rel=1e-3)
    laplacian = ops.matting_laplacian_stencil(content.pixels.permute(1, 2, 0), preset_settings("fast").epsilon)
    energy = float(PhotorealismLoss(laplacian, 1.0)(x))
    assert price[0.0] == pytest.approx(energy / (1e-3 * content.pixels[0].numel()), rel=1e-4)
