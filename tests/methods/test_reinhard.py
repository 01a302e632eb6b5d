"""Reinhard's transfer: against its definition pixel by pixel, the style's moments in l alpha beta, and dull photos."""

from __future__ import annotations

import math

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.methods.reinhard import reinhard_transfer

LMS = ((0.3811, 0.5783, 0.0402), (0.1967, 0.7244, 0.0782), (0.0241, 0.1288, 0.8444))


def l_alpha_beta(colour: list[float]) -> tuple[float, float, float]:
    """Ruderman's axes, written out, of one pixel; 1 / 255 is added to L, M and S as ours does."""
    long, medium, short = (math.log10(sum(a * c for a, c in zip(row, colour, strict=True)) + 1 / 255) for row in LMS)
    return (
        (long + medium + short) / math.sqrt(3),
        (long + medium - 2 * short) / math.sqrt(6),
        (long - medium) / math.sqrt(2),
    )


def colour_of(axes: list[float]) -> list[float]:
    """The inverse of `l_alpha_beta`, by Cramer's rule for the last step."""
    luma, alpha, beta = axes[0] / math.sqrt(3), axes[1] / math.sqrt(6), axes[2] / math.sqrt(2)
    lms = [10**x - 1 / 255 for x in (luma + alpha + beta, luma + alpha - beta, luma - 2 * alpha)]
    matrix = torch.tensor(LMS, dtype=torch.float64)
    colour = []
    for channel in range(3):
        replaced = matrix.clone()
        replaced[:, channel] = torch.tensor(lms, dtype=torch.float64)
        colour.append(float(torch.linalg.det(replaced) / torch.linalg.det(matrix)))
    return colour


def pixel_list(image: Tensor) -> list[list[float]]:
    return image.double().flatten(1).T.tolist()


def spread(axes: list[tuple[float, ...]], weights: list[float]) -> list[tuple[float, float]]:
    """Weighted mean and standard deviation along each axis."""
    along_axes = []
    for values in zip(*axes, strict=True):
        mean = sum(w * x for w, x in zip(weights, values, strict=True)) / sum(weights)
        variance = sum(w * (x - mean) ** 2 for w, x in zip(weights, values, strict=True)) / sum(weights)
        along_axes.append((mean, math.sqrt(variance)))
    return along_axes


def defined(content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor) -> Tensor:
    """Reinhard's transfer by region, one pixel at a time, for masks that sum to 1 at most."""
    mine, theirs = ([l_alpha_beta(c) for c in pixel_list(x)] for x in (content, style))
    masks = content_masks.double().flatten(1).tolist()
    moments = [
        (spread(mine, mask), spread(theirs, style_mask))
        for mask, style_mask in zip(masks, style_masks.double().flatten(1).tolist(), strict=True)
    ]
    result = []
    for number, (colour, axes) in enumerate(zip(pixel_list(content), mine, strict=True)):
        mixed = [(1 - sum(mask[number] for mask in masks)) * c for c in colour]
        for mask, (ours, expected) in zip(masks, moments, strict=True):
            moved = [
                (x - mean) * (style_deviation / deviation) + style_mean
                for x, (mean, deviation), (style_mean, style_deviation) in zip(axes, ours, expected, strict=True)
            ]
            mixed = [m + mask[number] * c for m, c in zip(mixed, colour_of(moved), strict=True)]
        result.append([min(max(c, 0.0), 1.0) for c in mixed])
    return torch.tensor(result, dtype=torch.float64).T.reshape(content.shape)


@pytest.mark.parametrize("masks", ["global", "soft"])
def test_definition_pixel_by_pixel(masks):
    """Of photos with black, white and clipped colours; soft masks leave some pixels to the content."""
    random = torch.Generator().manual_seed(4)
    content = (1.4 * torch.rand(3, 8, 11, generator=random) - 0.2).clamp(0, 1)
    style = torch.rand(3, 9, 7, generator=random) * torch.tensor([0.9, 0.5, 0.3])[:, None, None]
    content[:, 0, 0], content[:, 7, 10] = 0, 1
    if masks == "global":
        regions = torch.ones(1, 8, 11), torch.ones(1, 9, 7)
    else:
        regions = torch.rand(2, 8, 11, generator=random) / 2, torch.rand(2, 9, 7, generator=random)
        regions[0][:, 3] = 0
    mapped = reinhard_transfer(content, style, *regions)
    expected = defined(content, style, *regions)
    assert mapped.dtype == torch.float32
    assert (mapped - expected).abs().max() < 1e-5
    assert (mapped - content).abs().mean() > 0.1, "the example would hide that nothing moved"
    assert expected.max() == 1, "the example clamps no colour"


def axes_moments(pixels: Tensor, mask: Tensor) -> Tensor:
    inside = pixels.double()[:, mask > 0].T.tolist()
    return torch.tensor(spread([l_alpha_beta(c) for c in inside], [1.0] * len(inside)))


@pytest.mark.parametrize("by_region", [False, True], ids=["global", "by region"])
def test_moments_become_those_of_the_style(by_region):
    content, style = day(), dusk()
    masks = (content.masks, style.masks) if by_region else (torch.ones(1, 48, 64), torch.ones(1, 56, 48))
    mapped = reinhard_transfer(content.muted, style.muted, *masks)
    assert mapped.min() > 0.05 and mapped.max() < 0.95, "the example is clamped"
    for mask, style_mask in zip(*masks, strict=True):
        expected = axes_moments(style.muted, style_mask)
        assert (axes_moments(mapped, mask) - expected).abs().max() < 1e-5
        assert (axes_moments(content.muted, mask) - expected).abs().max() > 0.05, "the example would hide a copy"


def test_style_that_is_the_content_changes_nothing():
    photo = day()
    mapped = reinhard_transfer(photo.pixels, photo.pixels, photo.masks, photo.masks)
    assert (mapped - photo.pixels).abs().max() < 1e-5


def test_pixels_outside_all_regions_keep_their_colour_and_do_not_count():
    content, style = day(), dusk()
    masks = content.masks.clone()
    masks[:, 10:30, 5:40] = 0
    free = masks.sum(0) == 0
    spoiled = content.muted
    spoiled[:, free] = 0.0
    first, second = (reinhard_transfer(c, style.muted, masks, style.masks) for c in (content.muted, spoiled))
    assert torch.equal(first[:, free], content.muted[:, free]), "a pixel outside all regions changed"
    assert torch.allclose(first[:, ~free], second[:, ~free], atol=1e-6)


LEVELS = pytest.mark.parametrize("level", [0.0, 0.5, 1.0], ids=["black", "grey", "white"])


@LEVELS
def test_a_content_of_one_colour_takes_on_the_styles_mean(level):
    flat, textured, whole = torch.full((3, 3, 3), level), dusk(20, 24).muted, torch.ones(1, 20, 24)
    mapped = reinhard_transfer(flat, textured, torch.ones(1, 3, 3), whole)
    expected = torch.tensor(colour_of(axes_moments(textured, whole[0])[:, 0].tolist()))
    assert (mapped - expected[:, None, None]).abs().max() < 1e-5


@LEVELS
def test_a_style_of_one_colour_gives_it_to_the_content(level):
    flat, textured = torch.full((3, 3, 3), level), dusk(20, 24).muted
    mapped = reinhard_transfer(textured, flat, torch.ones(1, 20, 24), torch.ones(1, 3, 3))
    assert (mapped - level).abs().max() < 1e-5


@pytest.mark.parametrize("content", ["black", "grey", "white", "textured", "single pixel"])
def test_a_style_of_a_single_pixel_gives_its_colour_to_the_content(content):
    textured, pixel = dusk(20, 24).muted, torch.zeros(1, 20, 24)
    pixel[0, 3, 4] = 1
    photo, masks = {
        "black": (torch.zeros(3, 3, 3), torch.ones(1, 3, 3)),
        "grey": (torch.full((3, 3, 3), 0.5), torch.ones(1, 3, 3)),
        "white": (torch.ones(3, 3, 3), torch.ones(1, 3, 3)),
        "textured": (textured, torch.ones(1, 20, 24)),
        "single pixel": (textured, pixel),
    }[content]
    mapped = reinhard_transfer(photo, textured, masks, pixel)
    assert (mapped - textured[:, 3:4, 4:5]).abs()[:, masks[0] > 0].max() < 1e-5


def test_contrast_that_is_stretched_without_bound_stays_finite():
    """A content of almost one colour: what little deviates is moved beyond what a logarithm can hold."""
    content, mask = torch.full((3, 40, 40), 0.2), torch.ones(1, 40, 40)
    content[:, 20, 30] = 1.0
    style = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0)).round()
    mask[0, 20, 30] = 1e-7
    mapped = reinhard_transfer(content, style, mask, torch.ones(1, 40, 40))
    assert torch.isfinite(mapped).all()
