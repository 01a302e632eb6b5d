"""Colour transfer by region: Monge-Kantorovich maps, the curves after them, and blending at borders."""

from __future__ import annotations

import math

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.colour.match import match_colours, monge_kantorovich, recolour_regions
from fastphoto.colour.spaces import OPPONENT


def moments(pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    values = pixels.double()[:, mask > 0]
    return values.mean(1), torch.cov(values, correction=0)


def linear_map(before: Tensor, after: Tensor, inside: Tensor) -> Tensor:
    """The matrix (3, 3) of the affine map between the colours of two images, by least squares inside a mask."""
    colours = before[:, inside].double()
    colours = torch.cat([colours, torch.ones(1, colours.shape[1])])
    return torch.linalg.lstsq(colours.T, after[:, inside].double().T).solution.T[:, :3]


CONSTANT_PAIRS = ("flat content", "flat style", "both flat")


def constant_pair(pair: str, level: float) -> tuple[Tensor, Tensor]:
    """Content and style (3, 20, 24), one of them or both of one colour."""
    flat, textured = torch.full((3, 20, 24), level), day(20, 24).muted
    return {"flat content": (flat, textured), "flat style": (textured, flat), "both flat": (flat, 1 - flat)}[pair]


# ---- the linear map


def test_mapped_regions_have_the_styles_mean_and_covariance():
    content, style = day(), dusk()
    mapped = monge_kantorovich(content.muted, style.muted, content.masks, style.masks, gain=100.0)
    assert mapped.shape == content.pixels.shape and mapped.dtype == torch.float32
    assert mapped.min() > 0.05 and mapped.max() < 0.95, "colours were clamped, which spoils the comparison"
    for mine, theirs in zip(content.masks, style.masks, strict=True):
        mean, covariance = moments(mapped, mine)
        expected_mean, expected_covariance = moments(style.muted, theirs)
        assert (mean - expected_mean).abs().max() < 1e-5
        assert (covariance - expected_covariance).abs().max() < 1e-3 * expected_covariance.abs().max()


def test_the_map_moves_colours_least():
    """In the opponent space the optimal matrix is symmetric and positive definite; other maps turn colours around."""
    content, style = day(), dusk()
    everywhere = torch.ones(1, 48, 64), torch.ones(1, 56, 48)
    mapped = monge_kantorovich(content.muted, style.muted, *everywhere, gain=100.0)
    space = OPPONENT.double()
    matrix = space @ linear_map(content.muted, mapped, everywhere[0][0] > 0) @ torch.linalg.inv(space)
    assert (matrix - matrix.T).abs().max() < 1e-3 * matrix.abs().max()
    assert (torch.linalg.eigvalsh(matrix) > 0).all()


def test_published_map_in_rgb_has_the_styles_moments_and_is_symmetric():
    """With an infinite gain in RGB each region's moments are exactly the style's."""
    content, style = day(), dusk()
    mapped = monge_kantorovich(content.muted, style.muted, content.masks, style.masks, math.inf, torch.eye(3))
    assert mapped.min() > 0.05 and mapped.max() < 0.95, "colours were clamped, which spoils the comparison"
    for mine, theirs in zip(content.masks, style.masks, strict=True):
        for got, expected in zip(moments(mapped, mine), moments(style.muted, theirs), strict=True):
            assert (got - expected).abs().max() < 1e-4 * expected.abs().max()
        matrix = linear_map(content.muted, mapped, mine > 0)
        assert (matrix - matrix.T).abs().max() < 1e-3 * matrix.abs().max()
        assert (torch.linalg.eigvalsh(matrix) > 0).all()
    default = monge_kantorovich(content.muted, style.muted, content.masks, style.masks, math.inf)
    assert (default - mapped).abs().max() > 0.003, "the opponent space gives the map of RGB"


@pytest.mark.parametrize("gain", [1.5, 100.0])
def test_a_style_equal_to_the_content_changes_nothing(gain):
    photo = day()
    mapped = monge_kantorovich(photo.pixels, photo.pixels, photo.masks, photo.masks, gain)
    assert (mapped - photo.pixels).abs().max() < 1e-4
    half = photo.muted[:, ::2, ::2]
    mapped = monge_kantorovich(half, half, photo.masks[:, ::2, ::2], photo.masks[:, ::2, ::2], gain)
    assert (mapped - half).abs().max() < 1e-4


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("pair", CONSTANT_PAIRS)
def test_maps_of_constant_photos(level, pair):
    content, style = constant_pair(pair, level)
    mask = torch.ones(1, 20, 24)
    mapped = monge_kantorovich(content, style, mask, mask)
    assert torch.isfinite(mapped).all() and mapped.min() >= 0 and mapped.max() <= 1
    assert (mapped.mean((1, 2)) - style.mean((1, 2))).abs().max() < 0.02, "clamping changed the mean too much"


def test_gain_limits_how_much_contrast_is_amplified():
    """The noise of a nearly constant content is not blown up to the contrast of the style."""
    noise = 0.5 + 0.001 * torch.randn(3, 30, 30, generator=torch.Generator().manual_seed(1))
    style, mask = day(30, 30).muted, torch.ones(1, 30, 30)
    spread = [float(monge_kantorovich(noise, style, mask, mask, gain).std((1, 2)).max()) for gain in (1e6, 4.0)]
    assert spread[0] == pytest.approx(float(style.std((1, 2)).max()), rel=0.05)
    assert 3 * 0.001 < spread[1] < 5 * 0.001
    grey = noise.mean(0).expand(3, -1, -1)
    assert torch.isfinite(monge_kantorovich(grey, style, mask, mask, 1e6)).all()


def test_light_stays_light_if_a_channel_has_no_contrast():
    """A yellow ramp whose red hardly varies becomes a red ramp in the same order, not amplified red noise."""
    ramp = torch.linspace(0.2, 0.8, 60).expand(30, 60)
    noise = 0.03 * torch.randn(30, 60, generator=torch.Generator().manual_seed(1))
    yellow = torch.stack([0.85 + noise, 0.8 + 0.1 * ramp, 0.3 + 0.1 * ramp])
    red = torch.stack([ramp, 0.05 + 0.1 * ramp, 0.05 + 0.1 * ramp])
    mask = torch.ones(1, 30, 60)
    mapped = monge_kantorovich(yellow, red, mask, mask, 100.0)[0]
    assert torch.corrcoef(torch.stack([mapped.flatten(), ramp.flatten()]))[0, 1] > 0.5


def test_grey_style_leaves_no_colour():
    style = day(30, 30).pixels.mean(0).expand(3, -1, -1)
    content, mask = dusk(30, 30).muted, torch.ones(1, 30, 30)
    mapped = monge_kantorovich(content, style, mask, mask)
    assert (mapped - mapped.mean(0)).abs().max() < 1e-4


# ---- regions


@pytest.mark.parametrize("transfer", [monge_kantorovich, match_colours])
def test_pixels_outside_all_masks_keep_their_colour_and_do_not_count(transfer):
    content, style = day(), dusk()
    masks = content.masks.clone()
    masks[:, 10:30, 5:40] = 0
    free = masks.sum(0) == 0
    spoiled = content.muted.clone()
    spoiled[:, free] = 0.99
    mapped, again = (transfer(c, style.muted, masks, style.masks) for c in (content.muted, spoiled))
    assert torch.equal(mapped[:, free], content.muted[:, free]), "pixels outside all masks were changed"
    assert (mapped - content.muted).abs().amax(0)[~free].mean() > 0.02
    assert torch.allclose(again[:, ~free], mapped[:, ~free], atol=1e-6), "pixels outside all masks count"


def test_regions_blend_at_soft_borders():
    content, style = day(), dusk()
    ramp = torch.linspace(0, 1, 64).expand(48, 64)
    masks = torch.stack([ramp, 1 - ramp])
    both = monge_kantorovich(content.muted, style.muted, masks, style.masks)
    alone = [monge_kantorovich(content.muted, style.muted, masks[r : r + 1], style.masks[r : r + 1]) for r in (0, 1)]
    # One region alone blends with the content by the rest of its mask.
    assert torch.allclose(both, alone[0] + alone[1] - content.muted, atol=1e-5)


def test_overlapping_regions_are_averaged():
    content, style = day(), dusk()
    mask, theirs = torch.ones(1, 48, 64), style.masks
    each = [monge_kantorovich(content.muted, style.muted, mask, theirs[r : r + 1]) for r in (0, 1)]
    both = monge_kantorovich(content.muted, style.muted, mask.repeat(2, 1, 1), theirs)
    assert torch.allclose(both, (each[0] + each[1]) / 2, atol=1e-6)


def test_the_result_is_clamped_and_the_inputs_stay_unchanged():
    content, style = day(), dusk()
    before = [t.clone() for t in (content.pixels, style.pixels)]
    mapped = monge_kantorovich(content.pixels, style.pixels, content.masks, style.masks)
    assert mapped.min() >= 0 and mapped.max() <= 1
    assert torch.equal(before[0], content.pixels) and torch.equal(before[1], style.pixels), "an input was changed"


# ---- the image of each region


def test_images_of_regions_are_those_that_are_blended():
    content, style = day(), dusk()
    ramp = torch.linspace(0, 1, 64).expand(48, 64)
    masks = torch.stack([ramp, 1 - ramp])
    images = recolour_regions(content.muted, style.muted, masks, style.masks)
    assert images.shape == (2, 3, 48, 64) and images.min() > 0 and images.max() < 1
    blended = match_colours(content.muted, style.muted, masks, style.masks)
    # Steep curves of tones amplify the rounding of float32.
    torch.testing.assert_close((images * masks[:, None]).sum(0), blended, atol=1e-5, rtol=0)


def test_the_image_of_a_region_does_not_depend_on_the_others():
    content, style = day(), dusk()
    together = recolour_regions(content.pixels, style.pixels, content.masks, style.masks)
    for r in (0, 1):
        alone = recolour_regions(content.pixels, style.pixels, content.masks[r : r + 1], style.masks[r : r + 1])
        # Steep curves of tones amplify the rounding of float32.
        torch.testing.assert_close(alone[0], together[r], atol=1e-5, rtol=0)
    assert together.min() >= 0 and together.max() <= 1


def test_outside_of_its_region_an_image_follows_the_linear_map():
    content, style = day(), dusk()
    image = recolour_regions(content.muted, style.muted, content.masks, style.masks, 100.0, 3.0)[0]
    everywhere = monge_kantorovich(content.muted, style.muted, content.masks[:1], style.masks[:1], 100.0)
    inside = content.masks[0] > 0
    matrix = linear_map(content.muted, everywhere, inside)
    colours = content.muted.flatten(1).double()
    mean = colours[:, inside.flatten()].mean(1, keepdim=True)
    target = everywhere[:, inside].double().mean(1, keepdim=True)
    expected = (matrix @ (colours - mean) + target).reshape(3, 48, 64).clamp(0, 1).float()
    torch.testing.assert_close(image[:, ~inside], expected[:, ~inside], atol=1e-3, rtol=0)
    assert (image - expected)[:, inside].abs().max() > 5e-3, "the curves did nothing"


# ---- curves


def lights(size: int, share: float, seed: int) -> Tensor:
    """A dark grey photo with some lights, which cover the given share of it."""
    random = torch.Generator().manual_seed(seed)
    grey = 0.1 + 0.1 * torch.rand(size, size, generator=random)
    grey = torch.where(torch.rand(size, size, generator=random) < share, grey + 0.6, grey)
    return grey.expand(3, -1, -1)


def distance(a: Tensor, b: Tensor) -> float:
    """Mean distance of the quantiles of two channels of equally many pixels."""
    return float((a.flatten().sort()[0] - b.flatten().sort()[0]).abs().mean())


def test_curves_match_distributions_beyond_mean_and_covariance():
    """An evenly grey photo becomes dark with lights."""
    content, style = day(60, 60).muted, lights(60, 0.1, seed=1)
    mask = torch.ones(1, 60, 60)
    linear, curved = (match_colours(content, style, mask, mask, 100.0, slope)[0] for slope in (1.0, 100.0))
    assert (linear - monge_kantorovich(content, style, mask, mask, 100.0)[0]).abs().max() < 1e-6
    assert distance(curved, style[0]) < 0.3 * distance(linear, style[0])
    ranks = torch.stack([x.flatten().argsort().argsort().float() for x in (linear, curved)])
    assert torch.corrcoef(ranks)[0, 1] > 0.95, "the curves changed the order of light and dark"


def test_curves_do_nothing_for_a_style_equal_to_the_content():
    photo = day()
    mapped = match_colours(photo.pixels, photo.pixels, photo.masks, photo.masks)
    assert (mapped - photo.pixels).abs().max() < 1e-4


@pytest.mark.parametrize("slope", [1.5, 3.0])
def test_curves_are_neither_steeper_nor_flatter_than_allowed(slope):
    ramp = torch.linspace(0.3, 0.7, 3000).reshape(1, 30, 100).expand(3, -1, -1)
    mask = torch.ones(1, 30, 100)
    style = lights(60, 0.3, seed=2)
    linear = monge_kantorovich(ramp, style, mask, torch.ones(1, 60, 60), 100.0)[0].flatten()
    curved = match_colours(ramp, style, mask, torch.ones(1, 60, 60), 100.0, slope)[0].flatten()
    inside = (linear > 0.01) & (linear < 0.99) & (curved > 0.01) & (curved < 0.99)
    slopes = curved.diff()[inside[1:] & inside[:-1]] / linear.diff()[inside[1:] & inside[:-1]]
    assert slopes.max() < slope * 1.05 and slopes.min() > 0.95 / slope
    assert slopes.max() > slope * 0.95, "the limit was not reached, so this test proves nothing"


@pytest.mark.parametrize("masks", ["whole", "content pixel", "style pixel"])
@pytest.mark.parametrize("pair", CONSTANT_PAIRS)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_curves_of_constant_photos_and_single_pixels(level, pair, masks):
    whole, pixel = torch.ones(1, 20, 24), torch.zeros(1, 20, 24)
    pixel[0, 3, 4] = 1
    mine, theirs = {"whole": (whole, whole), "content pixel": (pixel, whole), "style pixel": (whole, pixel)}[masks]
    mapped = match_colours(*constant_pair(pair, level), mine, theirs)
    assert torch.isfinite(mapped).all() and mapped.min() >= 0 and mapped.max() <= 1


@pytest.mark.parametrize("shift", [0, 10])
def test_curves_are_drawn_through_all_columns(shift):
    """Stripes in step with the image's width: pixels taken at a fixed step would all have one colour."""
    content = torch.rand(3, 400, 700, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    stripes = (torch.arange(700) % 20 < 3).float().expand(3, 400, 700) * 0.8 + 0.1
    mask = torch.ones(1, 400, 700)
    mapped = match_colours(content, stripes.roll(shift, 2), mask, mask, 100.0, 100.0)
    assert float(mapped.mean()) == pytest.approx(float(stripes.mean()), abs=0.02)


def test_curves_let_gradients_through():
    content = day().pixels.clone().requires_grad_()
    match_colours(content, dusk().pixels, day().masks, dusk().masks).sum().backward()
    assert torch.isfinite(content.grad).all() and content.grad.abs().sum() > 0
