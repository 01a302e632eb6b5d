"""The objective: losses weighted and added up, at the scale that each normalisation says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from prepared_pairs import full_size_objective, rendered_pair, whole_pair
from rendered_photos import Rendered, day, dusk
from torch import Tensor
from window_energy import window_energy

from fastphoto import ops
from fastphoto.colour.projection import LocalAffineProjection
from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.optimisation.losses import ContentLoss, GamutLoss, PhotorealismLoss, TotalVariationLoss
from fastphoto.optimisation.objective import Objective
from fastphoto.optimisation.presets import preset_settings
from fastphoto.optimisation.style_losses import style_loss
from fastphoto.optimisation.weighted import Weighted
from fastphoto.regions.resizing import layer_masks, resize_masks


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
        {
            "content": {"relu2_1": Weighted(0.5, content)},
            "style": {"relu1_1": Weighted(2.0, style), "relu2_1": Weighted(3.0, style)},
        },
        {"total variation": Weighted(4.0, smooth)},
    )
    features = encoder(image, ("relu1_1", "relu2_1"))
    expected = {
        "content": 0.5 * features["relu2_1"].square().mean(),
        "style": 2 * features["relu1_1"].square().mean() + 3 * features["relu2_1"].square().mean(),
        "total variation": 4 * smooth(image),
    }
    total, gradient, parts = objective.value_and_gradient(image)
    assert {name: float(p) for name, p in parts.items()} == pytest.approx({n: float(p) for n, p in expected.items()})
    assert float(total) == pytest.approx(sum(map(float, expected.values())))
    assert not total.requires_grad and not gradient.requires_grad and not image.requires_grad
    assert gradient.shape == image.shape and gradient.norm() > 0


def test_pixel_scale_does_not_change_the_losses(encoder):
    losses = {"style": {"relu1_1": Weighted(1.0, ContentLoss(torch.zeros(())))}}
    plain = Objective(encoder, losses, {"gamut": Weighted(1.0, GamutLoss(1.0))})
    scaled = Objective(encoder, losses, {"gamut": Weighted(1.0, GamutLoss(1.0))}, unit=256.0)
    image = dusk().pixels * 1.5
    value, gradient, _ = plain.value_and_gradient(image)
    other, other_gradient, _ = scaled.value_and_gradient(image * 256)
    assert float(value) == pytest.approx(float(other), rel=1e-6)
    assert torch.allclose(gradient, other_gradient * 256, rtol=1e-4, atol=1e-6 * float(gradient.abs().max()))


def test_weight_of_zero_leaves_a_loss_out(encoder):
    unused, used = Named(), Named()
    objective = Objective(
        encoder,
        {
            "content": {"relu5_1": Weighted(0.0, unused)},
            "style": {"relu1_1": Weighted(1.0, used), "relu4_1": Weighted(0.0, unused)},
        },
        {"gamut": Weighted(0.0, unused)},
    )
    _, _, parts = objective.value_and_gradient(day().pixels)
    assert set(parts) == {"style"} and unused.calls == 0 and used.calls == 1
    assert objective.layers == ("relu1_1",), "activations that nothing needs are computed"


def test_nothing_to_minimise(encoder):
    value, gradient, parts = Objective(encoder, {}, {}).value_and_gradient(day().pixels)
    assert float(value) == 0 and float(gradient.abs().sum()) == 0 and parts == {}


def test_image_losses_get_the_projected_image_and_feature_losses_the_image_projected_twice(encoder):
    content = day().pixels
    projection = LocalAffineProjection(content)
    style = Named()
    objective = Objective(
        encoder, {"style": {"relu1_1": Weighted(1.0, style)}}, {"gamut": Weighted(1.0, GamutLoss(1.0))}, projection
    )
    image = torch.rand(content.shape, generator=torch.Generator().manual_seed(5)) * 1.4 - 0.2
    _, _, parts = objective.value_and_gradient(image)
    once, twice = projection(image), projection(projection(image))
    assert torch.equal(objective.image(image), once)
    assert float(parts["style"]) == pytest.approx(float(encoder(twice, ("relu1_1",))["relu1_1"].square().mean()))
    assert float(parts["style"]) != pytest.approx(float(encoder(once, ("relu1_1",))["relu1_1"].square().mean()))
    assert float(parts["gamut"]) == pytest.approx(float(GamutLoss(1.0)(once)))
    assert float(parts["gamut"]) != pytest.approx(float(GamutLoss(1.0)(image)))


# ---- as transfer() builds it -------------------------------------------------------------------------------


def built(encoder: Encoder, content: Rendered, style: Rendered, **settings: Any) -> Objective:
    return full_size_objective(rendered_pair(content, style), encoder, **settings)


def test_relative_style_loss_of_zero_activations_is_the_share_of_the_regions(encoder):
    """Zero activations are at distance 1 from every style, which the regions' shares and the weights multiply."""
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
    masks = layer_masks(content.masks, ("relu1_1", "relu3_1"), {})
    for (layer, loss), expected in zip(objective.feature_losses["style"].items(), weights, strict=True):
        features = encoder(content.pixels, (layer,))[layer]
        share = float(masks[layer].mean((1, 2)).sum())
        assert loss.weight == expected
        assert float(loss.loss(torch.zeros_like(features))) == pytest.approx(share, rel=1e-4)


def test_relative_style_loss_vanishes_on_the_style_itself(encoder):
    style = dusk()
    objective = built(encoder, style, style, normalisation="relative", photorealism_weight=0, projection=False)
    _, _, parts = objective.value_and_gradient(style.pixels)
    assert float(parts["style"]) < 1e-6
    _, _, parts = objective.value_and_gradient(style.pixels.flip(1))
    assert float(parts["style"]) > 1e-2


@pytest.mark.parametrize("softness", [1.0, 0.5, 0.1])
def test_relative_style_loss_does_not_depend_on_how_soft_masks_are(softness):
    """Gram matrices are means over a region: the same activations everywhere have the same one under any mask."""
    activation = torch.rand(6, 1, 1, generator=torch.Generator().manual_seed(1)).expand(6, 20, 24).contiguous()
    ramp = torch.linspace(1 - softness, 1, 24).expand(1, 20, 24).contiguous()
    loss = style_loss(activation, ramp, torch.ones(1, 20, 24), normalisation="relative")
    assert float(loss(activation)) < 1e-9
    assert float(loss(2 * activation)) == pytest.approx(9 * float(ramp.mean()), rel=1e-4)


def test_region_that_vanishes_in_deep_layers_is_left_out_there(encoder):
    """One pixel has hardly a share of a pixel after four poolings; the other region stays."""
    content, style = day(), dusk()
    content.region_map[:] = 1
    content.region_map[20, 20] = 0
    objective = built(encoder, content, style, normalisation="relative")
    weights = {layer: loss.loss.weight for layer, loss in objective.feature_losses["style"].items()}
    deepest = list(weights)[-1]
    assert float(weights[deepest][0]) == 0 and float(weights[deepest][1]) > 0
    value, gradient, _ = objective.value_and_gradient(content.pixels)
    assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_relative_photorealism_is_a_share_of_the_start_images_contrast(encoder):
    """Half the contrast in the start image, four times the price of what no affine map explains; noise has a floor."""
    content, style = day(), dusk()
    x = torch.rand(content.pixels.shape, generator=torch.Generator().manual_seed(4))
    pair = rendered_pair(content, style)
    price = {}
    for contrast in (1.0, 0.5, 0.0):
        start = 0.5 + contrast * (content.pixels - 0.5)
        photorealism = full_size_objective(pair, encoder, start=start).image_losses["photorealism"]
        assert photorealism.weight == preset_settings("painterly").photorealism_weight
        price[contrast] = float(photorealism.loss(x))
    windows = content.pixels.unfold(1, 3, 1).unfold(2, 3, 1).flatten(3)
    variance = float(windows.var(-1, correction=0).mean())
    assert price[0.0] / price[1.0] == pytest.approx((variance + 1e-3) / 1e-3, rel=1e-3)
    assert price[0.5] / price[1.0] == pytest.approx((variance + 1e-3) / (variance / 4 + 1e-3), rel=1e-3)
    laplacian = ops.matting_laplacian_stencil(content.pixels.permute(1, 2, 0), preset_settings("painterly").epsilon)
    energy = float(PhotorealismLoss(laplacian, 1.0)(x))
    assert price[0.0] == pytest.approx(energy / (1e-3 * content.pixels[0].numel()), rel=1e-4)


def test_wide_windows_have_the_small_ones_price_and_regularisation(encoder):
    """A pixel is in 25 / 9 times more windows; each has its epsilon for every pixel in it."""
    content, style = day(20, 24), dusk()
    x = torch.rand(content.pixels.shape, generator=torch.Generator().manual_seed(4))
    objective = built(encoder, content, style, photorealism_radius=2, epsilon=0.3, photorealism_weight=0.7)
    photorealism = objective.image_losses["photorealism"]
    energy = window_energy(content.pixels.double(), x.double(), 2, 0.3 * 25 / 9) / (25 / 9)
    windows = content.pixels.unfold(1, 3, 1).unfold(2, 3, 1).flatten(3)
    contrast = float(windows.var(-1, correction=0).mean()) + 1e-3
    assert photorealism.weight == 0.7 and float(photorealism.loss(x)) == pytest.approx(
        energy / (20 * 24 * contrast), rel=1e-3
    )


@pytest.mark.parametrize(
    ("normalisation", "unit", "divisor"),
    [("relative", 1, 48 * 64), ("published", 256, 1), ("gatys", 256, 1)],
    ids=["relative", "published", "gatys"],
)
@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_total_variation_is_of_values_to_256_as_published_and_a_mean_where_relative(
    encoder, power, normalisation, unit, divisor
):
    content, style = day(), dusk()
    image = torch.rand(content.pixels.shape, generator=torch.Generator().manual_seed(4))
    settings = {"total_variation_weight": 3.0, "total_variation_power": power, "projection": False}
    objective = built(encoder, content, style, normalisation=normalisation, **settings)
    got = float(objective.value_and_gradient(image)[2]["total variation"])
    expected = float(TotalVariationLoss(1.5, power)(image.double() * unit)) / divisor
    assert got == pytest.approx(expected, rel=1e-4)


# ---- as Gatys et al. 2016 weigh them -----------------------------------------------------------------------

VGG19_CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu4_2": 512, "relu5_1": 512}


@pytest.mark.parametrize("regions", [1, 2])
def test_gatys_scale(encoder, regions):
    """Content 1/2 sum (F - P)^2, style 1/(4 N^2 M^2) sum (G - A)^2, activations of mean 100, in float64."""
    content, style, result = day(), dusk(), day(48, 64).pixels.flip(2) * 0.9 + 0.05
    settings = preset_settings("gatys")
    masks = [photo.masks if regions == 2 else torch.ones_like(photo.masks[:1]) for photo in (content, style)]
    pair = replace(rendered_pair(content, style), content_masks=masks[0], style_masks=masks[1])
    objective = full_size_objective(pair, encoder, settings, "style")
    _, _, parts = objective.value_and_gradient(result)

    layers = (*settings.content_layers, *settings.style_layers)
    ours, theirs, found = (encoder(x, layers) for x in (content.pixels, style.pixels, result))
    unit = {i: float(ours[i].double().mean() + theirs[i].double().mean()) / 200 for i in layers}
    far = (found["relu4_2"].double() - ours["relu4_2"].double()) / unit["relu4_2"]
    expected = 1e-3 * 0.5 * float(far.square().sum()) * VGG19_CHANNELS["relu4_2"] / len(far)
    assert settings.content_layers == ("relu4_2",) and settings.content_weight == 1e-3
    assert float(parts["content"]) == pytest.approx(expected, rel=1e-4)

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


def test_content_loss_alone_does_not_depend_on_the_style(encoder):
    """Without style layers not even the size of the style's activations counts."""
    content = day()
    values = []
    for style in (dusk().pixels, 0.1 * dusk(48, 64).pixels):
        pair = whole_pair(content.pixels, style)
        objective = full_size_objective(pair, encoder, preset_settings("inversion"), "style")
        values.append(float(objective.value_and_gradient(content.pixels.flip(2))[0]))
    assert values[0] == values[1] > 0


def test_bilateral_grid_is_what_is_optimised(encoder):
    content, style = day(), dusk()
    objective = built(encoder, content, style, unknowns="bilateral_grid", pixel_scale=256.0)
    x = objective.unknowns(content.pixels)
    value, gradient, _ = objective.value_and_gradient(x)
    assert x.shape == gradient.shape == objective.model.shape and gradient.abs().max() > 0
    torch.testing.assert_close(objective.image(x), content.pixels, atol=1e-3, rtol=0)
    plain = built(encoder, content, style)
    assert float(value) == pytest.approx(float(plain.value_and_gradient(content.pixels)[0]), rel=0.05)
