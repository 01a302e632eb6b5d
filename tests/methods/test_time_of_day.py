"""Hallucination of another time of day against a dense solution of its definition, and the places it looks at."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.methods.patch_search import correspondence, warp
from fastphoto.methods.time_of_day import frames_of_style, time_of_day_transfer


def random_photos(number: int, height: int, width: int, seed: int = 0) -> list[Tensor]:
    """Muted, so that no result leaves [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    return [0.4 + 0.2 * torch.rand(3, height, width, generator=random) for _ in range(number)]


def minimum(
    content: Tensor, matched: Tensor, target: Tensor, radius: int = 2, epsilon: float = 0.01, gamma: float = 1.0
) -> Tensor:
    """The result by least squares over pixels and the maps of all patches at once, none of them eliminated.

    One channel of the result is a problem of its own: H W pixels, then four numbers for each patch.
    """
    height, width = content.shape[1:]
    number = height * width
    inputs, frame, output = (255 * x.double().flatten(1).T for x in (content, matched, target))
    inputs, frame = (torch.cat([x, torch.ones(number, 1).double()], 1) for x in (inputs, frame))
    everywhere = torch.linalg.solve(frame.T @ frame, frame.T @ output)  # (4, 3), from M to T
    rows, right = [], []
    for patch in range(number):
        centre_y, centre_x = divmod(patch, width)
        of_map = slice(number + 4 * patch, number + 4 * patch + 4)
        for y in range(max(0, centre_y - radius), min(height, centre_y + radius + 1)):
            for x in range(max(0, centre_x - radius), min(width, centre_x + radius + 1)):
                pixel = y * width + x
                row = torch.zeros(5 * number).double()
                row[pixel], row[of_map] = 1, -inputs[pixel]
                rows.append(row)
                right.append(torch.zeros(3).double())
                row = torch.zeros(5 * number).double()
                row[of_map] = epsilon**0.5 * frame[pixel]
                rows.append(row)
                right.append(epsilon**0.5 * output[pixel])
        for k in range(4):
            row = torch.zeros(5 * number).double()
            row[number + 4 * patch + k] = gamma**0.5
            rows.append(row)
            right.append(gamma**0.5 * everywhere[k])
    solution = torch.linalg.lstsq(torch.stack(rows), torch.stack(right)).solution
    return (solution[:number].T / 255).reshape(content.shape)


@pytest.mark.parametrize(
    ("size", "changed"),
    [
        ((7, 9), {}),
        ((7, 6), {"radius": 1}),
        ((6, 7), {"epsilon": 0.3}),
        ((6, 7), {"gamma": 2000.0}),
        ((3, 3), {}),
        ((3, 8), {"radius": 3}),
    ],
)
def test_result_is_the_minimum_of_its_definition(size, changed):
    content, matched, target = random_photos(3, *size)
    target[0] *= 0.7
    wanted = minimum(content, matched, target, **changed)
    assert wanted.min() > 0.05 and wanted.max() < 0.95, "nothing was clamped"
    result = time_of_day_transfer(content, matched, target, **changed)
    assert result.shape == content.shape and result.dtype == torch.float32
    assert (result - wanted).abs().max() < 0.05 / 255
    if changed:
        assert (wanted - minimum(content, matched, target)).abs().max() > 1 / 255, "the argument matters"


def test_equal_frames_change_nothing():
    content = day(24, 30).pixels
    frame = dusk(24, 30).pixels
    assert (time_of_day_transfer(content, frame, frame) - content).abs().max() < 0.2 / 255


def test_one_change_of_all_colours_is_applied_to_the_content():
    """Also to colours that the frames lack."""
    matrix = torch.tensor([[0.7, 0.1, 0.0], [0.05, 0.6, 0.1], [0.0, 0.2, 0.5]])
    shift = torch.tensor([0.05, 0.1, 0.2])[:, None, None]
    content, frame = day(24, 30).pixels, 0.3 + 0.3 * dusk(24, 30).pixels
    changed = [torch.tensordot(matrix, x, 1) + shift for x in (content, frame)]
    assert (time_of_day_transfer(content, frame, changed[1]) - changed[0]).abs().max() < 0.2 / 255


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_constant_photos_stay_finite(level):
    flat, textured = torch.full((3, 9, 11), level), day(9, 11).pixels
    for photos in (
        (flat, textured, 1 - flat),
        (textured, flat, flat),
        (flat, flat, 1 - flat),
        (textured, flat, 1 - flat),
    ):
        result = time_of_day_transfer(*photos)
        assert torch.isfinite(result).all() and result.min() >= 0 and result.max() <= 1
    assert (time_of_day_transfer(flat, flat, 1 - flat) - (1 - flat)).abs().max() < 0.5 / 255


def test_frames_of_another_size_are_refused():
    content, frame = torch.zeros(3, 8, 9), torch.zeros(3, 9, 8)
    with pytest.raises(InputError, match="matched"):
        time_of_day_transfer(content, frame, content)
    with pytest.raises(InputError, match="target"):
        time_of_day_transfer(content, content, frame)


def test_frames_of_a_style_are_the_style_and_the_style_in_the_contents_colours():
    content, style = day(), dusk()
    matched, target = frames_of_style(content.pixels, style.pixels, content.regions, style.regions)
    assert torch.equal(target, style.pixels)
    assert matched.shape == style.pixels.shape
    assert (style.mean_colours(matched) - content.mean_colours()).abs().max() < 0.02
    assert (style.mean_colours() - content.mean_colours()).abs().max() > 0.3


def own_places(height: int, width: int) -> Tensor:
    return torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1).float()


@pytest.mark.parametrize("size", [(48, 64), (90, 130), (3, 3), (2, 120)])
def test_equal_photos_have_each_pixel_in_its_own_place(size):
    content = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    places = correspondence(content, content)
    assert places.dtype == torch.float32
    assert torch.allclose(places, own_places(*size), atol=1e-3)
    flat = torch.full((3, *size), 0.5)
    assert torch.allclose(correspondence(flat, flat), own_places(*size), atol=1e-3)


@pytest.mark.parametrize(("size", "shift"), [((40, 48), (3, -5)), ((100, 120), (-6, 9))])
def test_a_shifted_photo_is_found_where_it_went(size, shift):
    """The larger one from coarse to fine."""
    height, width = size
    noise = torch.rand(1, 3, height // 4 + 10, width // 4 + 10, generator=torch.Generator().manual_seed(5))
    scene = torch.nn.functional.interpolate(noise, scale_factor=4, mode="bilinear")[0]
    content = scene[:, 20 : 20 + height, 20 : 20 + width]
    top, left = 20 - shift[0], 20 - shift[1]
    matched = scene[:, top : top + height, left : left + width]
    moves = correspondence(content, matched) - own_places(*size)
    inner = moves[12:-12, 12:-12]
    found = ((inner - torch.tensor(shift, dtype=torch.float32)).abs().amax(-1) < 0.5).float().mean()
    assert found > 0.9
    warped = warp(matched, moves + own_places(*size))
    assert (warped - content)[:, 12:-12, 12:-12].abs().mean() < 0.005


def test_places_lie_in_the_region_of_the_pixel():
    """Although the look alone would send the content's dark half to the dark half of the frame."""
    content = torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(2)) * 0.1
    content[:, :, 40:] += 0.8
    matched = content.flip(2)[:, :50, :70]
    left = (torch.arange(80) < 40).float().expand(60, 80)
    content_masks = torch.stack([left, 1 - left])
    matched_masks = content_masks[:, :50, :70].clone()
    matched_masks[:, :20] = 0  # of no region
    places = correspondence(content, matched, content_masks, matched_masks).round().long()
    inside = matched_masks[:, places[..., 0], places[..., 1]]
    assert torch.equal(inside.argmax(0), content_masks.argmax(0)) and (inside.amax(0) == 1).all()
    free = correspondence(content, matched).round().long()
    assert (matched_masks.argmax(0)[free[..., 0], free[..., 1]] != content_masks.argmax(0)).float().mean() > 0.2


def test_the_best_place_of_a_region_is_found_and_not_that_nearest_to_it():
    """Dark content; the frame is dark where it may not look, bright beside that, and grey farther away."""
    content = torch.full((3, 24, 40), 0.1)
    matched = torch.full((3, 24, 40), 0.1)
    matched[:, :, :20], matched[:, :, :6] = 0.9, 0.3
    allowed = (torch.arange(40) < 20).float().expand(1, 24, 40)
    places = correspondence(content, matched, torch.ones(1, 24, 40), allowed)
    assert (warp(matched, places) == 0.3).float().mean() > 0.9


def test_a_single_pixel_and_a_region_that_the_frame_lacks():
    content, matched = day(30, 40).pixels, dusk(25, 35).pixels
    pixel = torch.zeros(25, 35)
    pixel[7, 11] = 1
    places = correspondence(content, matched, torch.ones(1, 30, 40), pixel[None])
    assert torch.equal(places.round(), torch.tensor([7.0, 11.0]).expand(30, 40, 2))
    lacking = correspondence(content, matched, torch.ones(1, 30, 40), torch.zeros(1, 25, 35))
    assert torch.equal(lacking, correspondence(content, matched))


def test_masks_of_one_side_only_are_refused():
    photo, mask = torch.zeros(3, 8, 9), torch.ones(1, 8, 9)
    for masks in ((mask, None), (None, mask), (mask, mask.repeat(2, 1, 1))):
        with pytest.raises(InputError, match="masks"):
            correspondence(photo, photo, *masks)


def test_warp_takes_colours_at_places_and_between():
    frame = torch.rand(3, 7, 9, generator=torch.Generator().manual_seed(3))
    places = torch.tensor([[[0.0, 0.0], [6.0, 8.0], [2.0, 5.0]], [[3.0, 4.5], [2.25, 1.0], [-3.0, 20.0]]])
    warped = warp(frame, places)
    wanted = [
        [frame[:, 0, 0], frame[:, 6, 8], frame[:, 2, 5]],
        [(frame[:, 3, 4] + frame[:, 3, 5]) / 2, 0.75 * frame[:, 2, 1] + 0.25 * frame[:, 3, 1], frame[:, 0, 8]],
    ]
    wanted = torch.stack([torch.stack(row, 1) for row in wanted], 1)
    assert torch.allclose(warped, wanted, atol=1e-5)
    assert torch.allclose(warp(frame, own_places(7, 9)), frame, atol=1e-5)
