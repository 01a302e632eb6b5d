"""The run as a whole: its start, the size it is optimised at, and the strength of the result."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor
from watched_steps import steps_alone

import fastphoto
from fastphoto.colour.guided import guided_filter
from fastphoto.optimisation.levels import MINIMUM_LEVEL_SIDE, RECOLOURING_SIDE
from fastphoto.optimisation.presets import preset_settings
from fastphoto.optimisation.start import region_weights, start_image, start_recolouring
from fastphoto.regions.pair import PhotoPair

CONTENT, STYLE = day(60, 80), dusk(72, 60)
SHORT = {"fast": {"solver": "lbfgs", "steps": 10}, "painterly": {"steps": (4, 3, 3)}}
"""Few steps that change the image; L-BFGS never begins with a worse one, as Adam does."""


def transfer(preset: str = "fast", content: Tensor | None = None, **settings: Any) -> Tensor:
    """The result by region, from the content on, with muted colours that no map moves out of [0, 1]."""
    content = CONTENT.muted if content is None else content
    masks = CONTENT.mask_picture, STYLE.mask_picture
    settings = {"start": "content", **SHORT[preset], **settings}
    return fastphoto.transfer(content, STYLE.muted, *masks, preset=preset, size=80, **settings)


# ---- strength


@pytest.mark.parametrize("start", ["colour", "content"])
def test_strength_zero_is_the_start_image_alone(start):
    assert torch.equal(transfer(start=start, strength=0), transfer(start=start, steps=0))
    assert torch.equal(transfer(start=start, steps=0, strength=2), transfer(start=start, steps=0))


@pytest.mark.parametrize("preset", SHORT)
def test_strength_one_is_the_default(preset):
    assert torch.equal(transfer(preset, strength=1), transfer(preset))
    assert (transfer(preset, strength=1) - transfer(preset, strength=0)).abs().mean() > 0.02, "it hardly changes"


@pytest.mark.parametrize("result", ["affine", "image"])
@pytest.mark.parametrize("preset", SHORT)
def test_strengths_lie_on_a_line(preset, result):
    """As long as nothing is clamped; also beyond 1."""
    start, whole = (transfer(preset, strength=strength, result=result) for strength in (0, 1))
    for strength in (0.25, 0.5, 0.999, 1.001, 1.2):
        between = transfer(preset, strength=strength, result=result)
        assert between.min() > 0 and between.max() < 1, "colours were clamped, which spoils the comparison"
        torch.testing.assert_close(between, start + strength * (whole - start), atol=1e-5, rtol=0)


def test_a_great_strength_stays_in_range():
    result = transfer(strength=40)
    assert torch.isfinite(result).all() and result.min() == 0 and result.max() == 1


@pytest.mark.filterwarnings("ignore:content mask:fastphoto.FastPhotoWarning")
def test_strength_at_the_size_of_a_larger_photo():
    large = torch.nn.functional.interpolate(CONTENT.muted[None], (120, 160), mode="bilinear")[0]
    results = [transfer(content=large, strength=strength) for strength in (0, 0.5, 1)]
    assert results[1].shape == (3, 120, 160)
    torch.testing.assert_close(results[1], (results[0] + results[2]) / 2, atol=1e-5, rtol=0)


def test_strength_changes_no_step():
    """The optimisation is the same; how far to go is decided at its end."""
    losses: dict[float, list[dict[str, float]]] = {0.0: [], 0.5: [], 2.0: []}
    for strength, reports in losses.items():
        transfer(
            strength=strength,
            callback=steps_alone(lambda progress, reports=reports: reports.append(dict(progress.losses))),
        )
    assert losses[0.0] == losses[0.5] == losses[2.0] and len(losses[0.5]) == 10


# ---- start


def pair(**masks: Tensor) -> PhotoPair:
    return PhotoPair(CONTENT.muted, STYLE.muted, ("sky", "land"), CONTENT.masks, STYLE.masks, **masks)


def test_the_recolouring_begins_at_the_start_image():
    """They blend regions in CIELAB and in sRGB, which differs between colours of different lightness alone."""
    settings = preset_settings("fast")
    recolouring, start = start_recolouring(pair(), settings), start_image(pair(), settings)
    image = recolouring(recolouring.zeros())
    assert (image - start).abs().mean() < 1e-3 and (image - start).abs().max() < 0.05
    one = region_weights(pair(), settings).amax(0) == 1
    assert (image - start)[:, one].abs().max() < 5e-4


def test_a_recolouring_can_begin_at_the_content():
    settings = preset_settings("fast", start="content")
    recolouring = start_recolouring(pair(), settings)
    assert (recolouring(recolouring.zeros()) - CONTENT.muted).abs().max() < 5e-4
    unchanged = transfer(steps=0, affine_epsilon=1e-7)
    assert (unchanged - CONTENT.muted).abs().max() < 5e-3


def test_weights_of_regions_follow_the_content_if_asked_to():
    shifted = PhotoPair(CONTENT.pixels, STYLE.pixels, ("sky", "land"), CONTENT.masks.roll(4, 1), STYLE.masks)
    none, matted, filtered = (
        region_weights(shifted, preset_settings("fast", matte_radius=matte, border_radius=border))
        for matte, border in ((0, 0), (6, 0), (0, 6))
    )
    assert torch.equal(none, shifted.content_masks)
    inside = slice(6, -6)  # the shift pushes a few rows out at one end
    wrong = [(weights - CONTENT.masks)[:, inside].abs().mean() for weights in (matted, none)]
    assert wrong[0] < 0.7 * wrong[1]
    assert torch.equal(filtered, guided_filter(shifted.content_masks, CONTENT.pixels, 6))
    one = PhotoPair(CONTENT.pixels, STYLE.pixels, ("all",), CONTENT.masks[:1], STYLE.masks[:1])
    assert region_weights(one, preset_settings("fast")) is one.content_masks


def test_pixels_outside_of_all_regions_keep_the_content():
    """Away from the border, over which the smoothing at the end reaches; it also flattens faint texture a little."""
    names = ("sky", "land")
    ours = dict(zip(names, CONTENT.masks.clone().numpy(), strict=True))
    theirs = dict(zip(names, STYLE.masks.numpy(), strict=True))
    for mask in ours.values():
        mask[:, 50:] = 0
    settings: dict[str, Any] = {"size": 80, "affine_epsilon": 1e-6, **SHORT["fast"]}
    result = fastphoto.transfer(CONTENT.muted, STYLE.muted, ours, theirs, **settings)
    change = (result - CONTENT.muted).abs().amax(0)
    assert change[:, 64:].max() < 0.01
    assert change[:, :44].mean() > 0.05


# ---- size


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (60, 80, 80, (60, 80)),
        (192, 256, 256, (144, 192)),
        (300, 150, 300, (192, 96)),
        (300, 150, 120, (120, 60)),
        (40, 400, 400, (32, 320)),
    ],
    ids=["small", "wide", "tall", "size below", "panorama"],
)
def test_a_recolouring_is_optimised_small(height, width, size, expected):
    """At a long side of 192, or as large as the encoder's deepest layer needs; the size decides all the rest."""
    assert (RECOLOURING_SIDE, MINIMUM_LEVEL_SIDE) == (192, 32)
    sizes = []
    result = fastphoto.transfer(
        day(height, width).pixels,
        STYLE.pixels,
        size=size,
        steps=1,
        callback=steps_alone(lambda report: sizes.append(report.scale)),
    )
    assert sizes == [expected] and result.shape == (3, height, width)


def test_results_at_two_sizes_agree():
    """The unknowns are found at the same size; only what they are applied to is smaller."""
    content, style = day(300, 400), dusk(280, 240)
    masks = content.mask_picture, style.mask_picture
    small, large = (
        fastphoto.transfer(content.pixels, style.pixels, *masks, size=size, **SHORT["fast"]) for size in (200, 400)
    )
    assert (small - large).abs().mean() < 0.01
    assert (small - content.pixels).abs().mean() > 0.1


def test_more_steps_go_on_from_level_to_level():
    """The unknowns of one scale are those that the next begins with."""
    totals: dict[tuple[int, int], list[float]] = {}

    def watch(progress: fastphoto.Progress) -> None:
        totals.setdefault(progress.scale, []).append(sum(progress.losses.values()))

    transfer(scales=(0.6, 1.0), steps=(12, 4), callback=steps_alone(watch))
    coarse, fine = totals.values()
    alone = []
    transfer(steps=1, callback=steps_alone(lambda progress: alone.append(sum(progress.losses.values()))))
    assert min(coarse) < 0.9 * coarse[0] and fine[0] < 0.95 * alone[0]


# ---- blend


@pytest.mark.parametrize("preset", SHORT)
def test_blends_lie_on_the_line_from_the_content_to_the_result(preset):
    """As long as nothing is clamped."""
    whole = transfer(preset)
    assert torch.equal(transfer(preset, blend=1), whole)
    for blend in (0, 0.3, 0.9):
        expected = CONTENT.muted + blend * (whole - CONTENT.muted)
        torch.testing.assert_close(transfer(preset, blend=blend), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("blend", [-0.1, 1.1])
def test_a_blend_beyond_its_range_is_refused(blend):
    with pytest.raises(fastphoto.InputError, match=r"^blend: must be from 0 to 1, got"):
        transfer(blend=blend)
