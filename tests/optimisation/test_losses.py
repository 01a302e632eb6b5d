"""The losses, each against its formula in float64, and the objective that adds them up."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor
from torch.nn import functional as F

from fastphoto import ops
from fastphoto.colour.affine_maps import LocalAffineProjection
from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.optimisation.losses import ContentLoss, GamutLoss, PhotorealismLoss, TotalVariationLoss, WideWindowLoss
from fastphoto.optimisation.objective import Objective, stage_objective
from fastphoto.optimisation.presets import preset_settings
from fastphoto.optimisation.style_losses import StyleLoss, style_loss
from fastphoto.pipeline import _Run
from fastphoto.regions.resizing import layer_masks, resize_masks


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
    loss = StyleLoss(ops.list_pixels(masks), target, scale, weight)
    assert float(loss(features)) == pytest.approx(wanted)
    assert_derivative(loss, features)


def test_nine_disjoint_regions_of_one_style_add_up_to_one():
    """Regions that split the photo have Gram matrices that sum to the whole's."""
    features = random(5, 6, 9, seed=2)
    stripes = F.one_hot(torch.arange(9), 9).double()[:, None, :].expand(9, 6, 9)
    parts = [
        StyleLoss(
            ops.list_pixels(stripes[r : r + 1].contiguous()),
            torch.zeros(1, 5, 5).double(),
            torch.ones(1),
            torch.ones(1),
        )
        for r in range(9)
    ]
    together = StyleLoss(
        ops.list_pixels(stripes.contiguous()), torch.zeros(9, 5, 5).double(), torch.ones(9), torch.ones(9)
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


def window_energy(content: Tensor, image: Tensor, radius: int, epsilon: float, cropped: bool = True) -> float:
    """sum over windows of what is left of the image's colours after their ridge regression on the content's.

    The matting Laplacian's energy (Levin, Lischinski and Weiss 2008); without cropped windows, of whole ones only.
    """
    _, height, width = content.shape
    rim = 0 if cropped else radius
    total = 0.0
    for y in range(rim, height - rim):
        for x in range(rim, width - rim):
            rows, columns = slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)
            colours, values = content[:, rows, columns].flatten(1).T, image[:, rows, columns].flatten(1).T
            colours, values = colours - colours.mean(0), values - values.mean(0)
            slope = torch.linalg.solve(colours.T @ colours + epsilon * torch.eye(3).double(), colours.T @ values)
            total += float((values - colours @ slope).square().sum() + epsilon * slope.square().sum())
    return total


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


def test_wide_windows_see_what_small_ones_do_not():
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


def test_total_variation_prefers_one_edge_below_two_and_a_ramp_above():
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
    loss = style_loss(activation, ramp, torch.ones(1, 20, 24), normalisation="relative")
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


def test_wide_windows_have_the_small_ones_price_and_regularisation(encoder):
    """A pixel is in 25 / 9 times more windows; each has its epsilon for every pixel in it."""
    content, style = day(20, 24), dusk()
    x = torch.rand(content.pixels.shape, generator=torch.Generator().manual_seed(4))
    objective = built(encoder, content, style, photorealism_radius=2, epsilon=0.3, photorealism_weight=0.7)
    weight, loss = objective.image_losses["photorealism"]
    energy = window_energy(content.pixels.double(), x.double(), 2, 0.3 * 25 / 9) / (25 / 9)
    windows = content.pixels.unfold(1, 3, 1).unfold(2, 3, 1).flatten(3)
    contrast = float(windows.var(-1, correction=0).mean()) + 1e-3
    assert weight == 0.7 and float(loss(x)) == pytest.approx(energy / (20 * 24 * contrast), rel=1e-3)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_total_variation_is_of_values_to_256_as_published_and_a_mean_where_relative(encoder, power):
    content, style = day(), dusk()
    image = torch.rand(content.pixels.shape, generator=torch.Generator().manual_seed(4))
    settings = {"total_variation_weight": 3.0, "total_variation_power": power, "projection": False}
    for normalisation in ("relative", "published", "gatys"):
        objective = built(encoder, content, style, normalisation=normalisation, **settings)
        got = float(objective.value_and_gradient(image)[2]["total variation"])
        shown = image.double() * (1 if normalisation == "relative" else 256)
        wanted = float(TotalVariationLoss(1.5, power)(shown)) / (48 * 64 if normalisation == "relative" else 1)
        assert got == pytest.approx(wanted, rel=1e-4), normalisation


# ---- as Gatys et al. 2016 weigh them -----------------------------------------------------------------------

VGG19_CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu4_2": 512, "relu5_1": 512}


@pytest.mark.parametrize("regions", [1, 2])
def test_gatys_scale(encoder, regions):
    """Content 1/2 sum (F - P)^2, style 1/(4 N^2 M^2) sum (G - A)^2, activations of mean 100, in float64."""
    content, style, result = day(), dusk(), day(48, 64).pixels.flip(2) * 0.9 + 0.05
    settings = preset_settings("gatys")
    masks = [photo.regions if regions == 2 else torch.ones_like(photo.regions[:1]) for photo in (content, style)]
    objective = stage_objective(settings, encoder, "style", content.pixels, style.pixels, *masks, content.pixels)
    _, _, parts = objective.value_and_gradient(result)

    layers = (*settings.content_layers, *settings.style_layers)
    ours, theirs, found = (encoder(x, layers) for x in (content.pixels, style.pixels, result))
    unit = {i: float(ours[i].double().mean() + theirs[i].double().mean()) / 200 for i in layers}
    far = (found["relu4_2"].double() - ours["relu4_2"].double()) / unit["relu4_2"]
    wanted = 1e-3 * 0.5 * float(far.square().sum()) * VGG19_CHANNELS["relu4_2"] / len(far)
    assert settings.content_layers == ("relu4_2",) and settings.content_weight == 1e-3
    assert float(parts["content"]) == pytest.approx(wanted, rel=1e-4)

    total = 0.0
    for layer in settings.style_layers:
        channels = len(ours[layer])
        shrunk = [
            resize_masks(m, tuple(f[layer].shape[1:])).double() for m, f in zip(masks, (found, theirs), strict=True)
        ]
        for r in range(regions):
            mean = []
            for features, mask in zip((found[layer], theirs[layer]), shrunk, strict=True):
                masked = (features.double() / unit[layer] * mask[r]).flatten(1)
                mean.append(masked @ masked.T / float(mask[r].square().sum()))
            total += float(shrunk[0][r].mean() * (mean[0] - mean[1]).square().sum()) / (4 * channels**2)
    assert float(parts["style"]) == pytest.approx(0.2 * total, rel=1e-3)
    assert set(parts) == {"content", "style"}


def test_content_loss_alone_does_not_see_the_style(encoder):
    """Where no style layers are, not even its activations' size."""
    content = day()
    values = []
    for style in (dusk().pixels, 0.1 * dusk(48, 64).pixels):
        whole = torch.ones(1, *content.pixels.shape[1:]), torch.ones(1, *style.shape[1:])
        photos = content.pixels, style, *whole, content.pixels
        objective = stage_objective(preset_settings("inversion"), encoder, "style", *photos)
        values.append(float(objective.value_and_gradient(content.pixels.flip(2))[0]))
    assert values[0] == values[1] > 0


def test_bilateral_grid_is_what_is_optimised(encoder):
    content, style = day(), dusk()
    objective = built(encoder, content, style, unknowns="bilateral_grid", pixel_scale=256.0)
    x = objective.unknowns(content.pixels) * 256
    value, gradient, _ = objective.value_and_gradient(x)
    assert x.shape == gradient.shape == objective.grid.shape and gradient.abs().max() > 0
    torch.testing.assert_close(objective.image(x), content.pixels, atol=1e-3, rtol=0)
    plain = built(encoder, content, style)
    assert float(value) == pytest.approx(float(plain.value_and_gradient(content.pixels)[0]), rel=0.05)
