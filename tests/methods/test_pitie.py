"""Pitié's two stages: the style's distribution along every direction, and the content's grain by a direct solution."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.methods.pitie import iterative_distribution_transfer, pitie_transfer, regrain


def directions(number: int) -> Tensor:
    normal = torch.randn(number, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return normal / normal.norm(dim=1, keepdim=True)


def quantile_distance(image: Tensor, mask: Tensor, style: Tensor, style_mask: Tensor) -> float:
    """The largest distance of any decile along any of 20 directions, for hard masks."""
    levels = torch.arange(0.1, 0.95, 0.1, dtype=torch.float64)
    projected = [directions(20) @ x.double()[:, m > 0] for x, m in ((image, mask), (style, style_mask))]
    ours, theirs = (p.quantile(levels, dim=1) for p in projected)
    return float((ours - theirs).abs().max())


@pytest.mark.parametrize("by_region", [False, True], ids=["global", "by region"])
def test_distribution_is_the_styles_along_every_direction(by_region):
    content, style = day(), dusk()
    masks = (content.masks, style.masks) if by_region else (torch.ones(1, 48, 64), torch.ones(1, 56, 48))
    mapped = iterative_distribution_transfer(content.muted, style.muted, *masks)
    assert mapped.shape == content.pixels.shape and mapped.dtype == torch.float32
    for mask, style_mask in zip(*masks, strict=True):
        before = quantile_distance(content.muted, mask, style.muted, style_mask)
        assert before > 0.05, "the example would hide that nothing moved"
        assert quantile_distance(mapped, mask, style.muted, style_mask) < 0.1 * before


def test_weights_of_soft_masks_count_as_repeated_pixels():
    """A style of two colours, of which one weighs three times as much."""
    content, mask = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(1)), torch.ones(1, 40, 40)
    style, style_mask = torch.full((3, 10, 10), 0.2), torch.full((1, 10, 10), 0.25)
    style[:, 5:], style_mask[:, :5] = 0.8, 0.75
    mapped = iterative_distribution_transfer(content, style, mask, style_mask)
    assert float((mapped > 0.5).float().mean()) == pytest.approx(0.25, abs=0.02)
    half = torch.where(content.mean(0) > 0.5, 0.25, 0.75)[None]
    change = iterative_distribution_transfer(content, content, half, mask) - content
    assert (change / half).mean() > 0.05, "the photo is no lighter, although dark pixels weigh more"


@pytest.mark.parametrize(
    "transfer", [iterative_distribution_transfer, pitie_transfer], ids=["first stage", "both stages"]
)
def test_style_that_is_the_content_changes_nothing(transfer):
    photo = day()
    mapped = transfer(photo.pixels, photo.pixels, photo.masks, photo.masks)
    assert (mapped - photo.pixels).abs().max() < 1e-4


def posterised() -> Tensor:
    """A content of few colours, with many black pixels."""
    content = (day().pixels * 8).round() / 8
    content[:, :20, :20] = 0.0
    return content


def test_equal_colours_stay_equal():
    content = posterised()
    mapped = iterative_distribution_transfer(content, dusk().pixels, torch.ones(1, 48, 64), torch.ones(1, 56, 48))
    colours, index = content.flatten(1).unique(dim=1, return_inverse=True)
    for number in range(colours.shape[1]):
        same = mapped.flatten(1)[:, index == number]
        assert (same - same[:, :1]).abs().max() < 1e-6


def test_the_seed_decides():
    first, again, other = (
        iterative_distribution_transfer(
            posterised(), dusk().pixels, torch.ones(1, 48, 64), torch.ones(1, 56, 48), seed=seed
        )
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again), "the same call gave other bits"
    assert not torch.equal(first, other)


def test_pixels_outside_all_regions_keep_their_colour_and_do_not_count():
    content, style = day(), dusk()
    masks = content.masks.clone()
    masks[:, 10:30, 5:40] = 0
    free = masks.sum(0) == 0
    spoiled = content.muted
    spoiled[:, free] = 0.99
    first, second = (
        iterative_distribution_transfer(c, style.muted, masks, style.masks) for c in (content.muted, spoiled)
    )
    assert torch.equal(first[:, free], content.muted[:, free]), "a pixel outside all regions changed"
    assert torch.allclose(first[:, ~free], second[:, ~free], rtol=0, atol=1e-6)


LEVELS = pytest.mark.parametrize("level", [0.0, 0.5, 1.0], ids=["black", "grey", "white"])


def one_pixel(height: int, width: int) -> Tensor:
    """The mask (1, H, W) of the pixel at (3, 4)."""
    mask = torch.zeros(1, height, width)
    mask[0, 3, 4] = 1
    return mask


@LEVELS
def test_a_style_of_one_colour_gives_it_to_a_photo_and_to_a_single_pixel(level):
    flat, textured, small = torch.full((3, 3, 3), level), day(20, 24).muted, torch.ones(1, 3, 3)
    mapped = iterative_distribution_transfer(textured, flat, torch.ones(1, 20, 24), small)
    assert (mapped - level).abs().max() < 1e-5
    mapped = iterative_distribution_transfer(textured, flat, one_pixel(20, 24), small)
    assert (mapped[:, 3, 4] - level).abs().max() < 1e-5


@LEVELS
@pytest.mark.parametrize(
    "transfer", [iterative_distribution_transfer, pitie_transfer], ids=["first stage", "both stages"]
)
def test_a_content_of_one_colour_takes_on_the_styles_mean(level, transfer):
    flat, textured, small = torch.full((3, 3, 3), level), day(20, 24).muted, torch.ones(1, 3, 3)
    mapped = transfer(flat, textured, small, torch.ones(1, 20, 24))
    assert (mapped - mapped[:, :1, :1]).abs().max() < 1e-5, "one colour became several"
    assert (mapped.mean((1, 2)) - textured.mean((1, 2))).abs().max() < 0.02
    mapped = transfer(flat, textured, small, one_pixel(20, 24))
    assert (mapped - textured[:, 3:4, 4:5]).abs().max() < 1e-4


def regrained(content: Tensor, mapped: Tensor, smoothness: float) -> Tensor:
    """J by a dense solution of its normal equations: phi |grad J - grad I|^2 between neighbours, psi |J - t|^2."""
    height, width = content.shape[1:]
    image = 255 * content.double()
    slope = torch.zeros(height, width).double()
    for y in range(height):
        for x in range(width):
            up, down, left, right = max(y - 1, 0), min(y + 1, height - 1), max(x - 1, 0), min(x + 1, width - 1)
            vertical = (image[:, down, x] - image[:, up, x]) / (down - up)
            horizontal = (image[:, y, right] - image[:, y, left]) / (right - left)
            slope[y, x] = (vertical.square().sum() + horizontal.square().sum()).sqrt()
    phi, psi = 30 * smoothness / (1 + 10 * slope), (slope / 5).clamp(0.01, 1)
    matrix = torch.diag(psi.flatten())
    vector = psi.flatten()[:, None] * mapped.double().flatten(1).T
    for y in range(height):
        for x in range(width):
            for v, u in ((y + 1, x), (y, x + 1)):
                if v < height and u < width:
                    weight = (phi[y, x] + phi[v, u]) / 2
                    one, two = y * width + x, v * width + u
                    contrast = (content[:, v, u] - content[:, y, x]).double()
                    for mine, other, sign in ((one, two, -1), (two, one, 1)):
                        matrix[mine, mine] += weight
                        matrix[mine, other] -= weight
                        vector[mine] += sign * weight * contrast
    return torch.linalg.solve(matrix, vector).T.reshape(content.shape).clamp(0, 1)


@pytest.mark.parametrize(
    ("size", "smoothness"),
    [((21, 26), 1.0), ((21, 26), 0.05), ((3, 3), 1.0), ((2, 40), 4.0)],
    ids=["from coarse to fine", "less smooth", "tiny", "a strip"],
)
def test_regrain_solves_its_normal_equations(size, smoothness):
    content, random = day(*size).pixels, torch.Generator().manual_seed(2)
    content[:, :5, :5] = 0.4
    mapped = (0.5 * content.flip(0) + 0.4 * torch.rand(3, *size, generator=random)).clamp(0, 1)
    expected = regrained(content, mapped, smoothness)
    assert (regrain(content, mapped, smoothness) - expected).abs().max() < 1e-4
    assert (mapped - expected).abs().mean() > 0.005, "the example would hide that nothing is solved"


def test_flat_areas_stay_flat_and_take_on_the_new_colour():
    content = day(40, 60).pixels
    content[:, 5:25, 10:40] = torch.tensor([0.5, 0.6, 0.7])[:, None, None]
    noise = 0.1 * torch.randn(3, 40, 60, generator=torch.Generator().manual_seed(0))
    mapped = (content * 0.6 + noise).clamp(0, 1)
    result = regrain(content, mapped)
    inner = (slice(None), slice(9, 21), slice(14, 36))
    assert result[inner].std((1, 2)).max() < 0.1 * mapped[inner].std((1, 2)).min()
    assert (result[inner].mean((1, 2)) - 0.6 * content[inner].mean((1, 2))).abs().max() < 0.03


def test_pitie_is_both_stages():
    content, style = day(), dusk()
    masks = content.masks, style.masks
    mapped = iterative_distribution_transfer(content.pixels, style.pixels, *masks)
    expected = regrain(content.pixels, mapped)
    result = pitie_transfer(content.pixels, style.pixels, *masks)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)  # float64, rounded to float32
