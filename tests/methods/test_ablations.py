"""The variants that answer open questions: regions redrawn by their definition, and one thing changed in each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.methods.ablations import QUESTIONS, coarsen_regions, shift_regions
from fastphoto.methods.registry import METHODS, Method, apply_method
from fastphoto.optimisation.presets import PRESETS, preset_settings
from fastphoto.regions.pair import PhotoPair

# ---- regions redrawn -----------------------------------------------------------------------------------------


def random_masks(height: int, width: int, number: int, seed: int = 0) -> Tensor:
    """(R, height, width) that add up to one, in soft blobs of a few pixels."""
    noise = torch.randn(number, height // 5 + 2, width // 5 + 2, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(4 * noise[None], (height, width), mode="bicubic")[0].softmax(0)


def masked(content_masks: Tensor, style_masks: Tensor) -> PhotoPair:
    photos = [torch.rand(3, *masks.shape[1:]) for masks in (content_masks, style_masks)]
    return PhotoPair(*photos, tuple("abcdefg"[: len(content_masks)]), content_masks, style_masks)


@pytest.mark.parametrize(
    ("share", "size", "pixels"),
    [(0.1, (30, 40), 4), (0.1, (60, 40), 6), (0.03, (50, 40), 2), (0, (30, 40), 0)],
    ids=["10 % of the width", "10 % of the height", "3 %, rounded", "nothing"],
)
def test_shifted_regions_by_definition(share, size, pixels):
    pair = masked(random_masks(*size, 3), random_masks(33, 41, 3, seed=1))
    shifted = shift_regions(pair, share)
    columns = [max(0, x - pixels) for x in range(size[1])]
    assert torch.equal(shifted.content_masks, pair.content_masks[:, :, columns])
    assert torch.equal(shifted.style_masks, pair.style_masks) and shifted.names == pair.names
    assert torch.equal(shifted.content, pair.content) and torch.equal(shifted.style, pair.style)


def in_squares(masks: Tensor, squares: int) -> Tensor:
    """Masks (R, H, W) in squares of whole pixels, each of the region, or none, that covers most of it."""
    height, width = masks.shape[1:]
    rows, columns = (max(1, round(squares * n / max(height, width))) for n in (height, width))
    result = torch.zeros_like(masks)

    def overlaps(count: int, total: int) -> np.ndarray:
        """(count, total): how much of each pixel lies in each square."""
        edges = np.arange(count + 1) * total / count
        pixel = np.arange(total)
        return (np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)).clip(0)

    area = np.einsum("ih,rhw,jw->rij", overlaps(rows, height), masks.double().numpy(), overlaps(columns, width))
    for y in range(height):
        for x in range(width):
            inside = area[:, y * rows // height, x * columns // width]
            uncovered = height * width / rows / columns - inside.sum()
            if inside.max() > uncovered:
                result[inside.argmax(), y, x] = 1
    return result


@pytest.mark.parametrize(
    ("size", "squares"),
    [((48, 64), 16), ((64, 48), 8), ((45, 70), 16), ((20, 90), 7), ((24, 30), 1)],
    ids=["wide", "tall", "fractions of pixels", "panorama", "one square"],
)
def test_coarse_regions_by_definition(size, squares):
    content, style = random_masks(*size, 3), random_masks(50, 41, 3, seed=1)
    content[:, :12, :18] = 0  # in no region
    coarse = coarsen_regions(masked(content, style), squares)
    for masks, before in ((coarse.content_masks, content), (coarse.style_masks, style)):
        expected = in_squares(before, squares)
        lost = expected.sum((1, 2)) == 0
        assert torch.equal(masks[~lost], expected[~lost])
        assert torch.equal(masks[lost], before[lost]), "a region that covers most of no square was changed"


def test_squares_that_regions_leave_empty_are_in_no_region():
    masks = torch.zeros(2, 40, 40)
    masks[0, 10:, 10:] = masks[1, :10, 30:] = 1
    coarse = coarsen_regions(masked(masks, masks), 4)
    assert torch.equal(coarse.content_masks, masks) and torch.equal(coarse.style_masks, masks)


@pytest.mark.parametrize(
    "redraw", [lambda pair: shift_regions(pair, 0.1), lambda pair: coarsen_regions(pair, 4)], ids=["shifted", "coarse"]
)
def test_no_region_is_lost(redraw):
    """One two pixels wide at the right edge is pushed out of the photo, and never covers most of a square."""
    thin = torch.zeros(30, 40)
    thin[:, 38:] = 1
    masks = torch.stack([1 - thin, thin])
    redrawn = redraw(masked(masks, masks))
    assert torch.equal(redrawn.content_masks[1], thin)
    assert torch.equal(redrawn.content_masks[0], torch.ones(30, 40))


# ---- variants ------------------------------------------------------------------------------------------------


PIXELS = replace(METHODS["fastphoto"], preset="painterly")  # the questions are about free pixels
CHANGED = [(question, name) for question in QUESTIONS for name in list(QUESTIONS[question].variants)[1:]]


@pytest.mark.parametrize("question", QUESTIONS)
def test_first_variant_is_the_preset_itself(question):
    variants = list(QUESTIONS[question].variants.values())
    assert replace(variants[0], title=PIXELS.title) == PIXELS
    assert len({variant.title for variant in variants}) == len(variants) > 1


@pytest.mark.parametrize(("question", "name"), CHANGED)
def test_other_variants_differ_from_the_preset_in_one_thing(question, name):
    variant = QUESTIONS[question].variants[name]
    assert (variant.preset, variant.source, variant.recolour) == (PIXELS.preset, PIXELS.source, None)
    changes = [bool(variant.settings), variant.redraw is not None, variant.by_region != PIXELS.by_region]
    assert changes.count(True) == 1
    chosen, usual = preset_settings("painterly", **variant.settings), PRESETS["painterly"]
    unchanged = [name for name in variant.settings if getattr(chosen, name) == getattr(usual, name)]
    assert not unchanged, "a variant sets what the preset sets already"


def in_few_steps(method: Method) -> Tensor:
    """The result of a variant on a small pair, in four steps unless it takes none."""
    content, style = day(36, 44), dusk(40, 60)
    pair = PhotoPair(content.pixels, style.pixels, ("sky", "land"), content.masks, style.masks)
    return apply_method(replace(method, settings={"steps": (1, 1, 2)} | method.settings), pair)


@pytest.fixture(scope="module")
def usual_result() -> Tensor:
    return in_few_steps(PIXELS)


@pytest.mark.parametrize(("question", "name"), CHANGED)
def test_other_variants_run_and_give_another_result(usual_result, question, name):
    result = in_few_steps(QUESTIONS[question].variants[name])
    assert result.shape == (3, 36, 44)
    assert result.min() >= 0 and result.max() <= 1
    assert not torch.equal(result, usual_result)
