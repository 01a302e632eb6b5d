"""Dense correspondence: positions of known answers, positions inside regions, and frames warped by them."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.methods.patch_search import correspondence, warp


def own_positions(height: int, width: int) -> Tensor:
    return torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1).float()


@pytest.mark.parametrize("content", ["noise", "flat"])
@pytest.mark.parametrize(
    "size", [(48, 64), (90, 130), (3, 3), (2, 120)], ids=["two levels", "three levels", "tiny", "a strip"]
)
def test_equal_photos_have_each_pixel_at_its_own_position(size, content):
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    photo = noise if content == "noise" else torch.full((3, *size), 0.5)
    positions = correspondence(photo, photo)
    assert positions.dtype == torch.float32
    assert torch.allclose(positions, own_positions(*size), atol=1e-3)


@pytest.mark.parametrize(
    ("size", "shift"), [((40, 48), (3, -5)), ((100, 120), (-6, 9))], ids=["one level", "from coarse to fine"]
)
def test_a_shifted_photo_is_found_where_it_went(size, shift):
    height, width = size
    noise = torch.rand(1, 3, height // 4 + 10, width // 4 + 10, generator=torch.Generator().manual_seed(5))
    scene = torch.nn.functional.interpolate(noise, scale_factor=4, mode="bilinear")[0]
    content = scene[:, 20 : 20 + height, 20 : 20 + width]
    top, left = 20 - shift[0], 20 - shift[1]
    matched = scene[:, top : top + height, left : left + width]
    displacements = correspondence(content, matched) - own_positions(*size)
    inner = displacements[12:-12, 12:-12]
    right = (inner - torch.tensor(shift, dtype=torch.float32)).abs().amax(-1) < 0.5
    assert right.float().mean() > 0.9
    warped = warp(matched, displacements + own_positions(*size))
    assert (warped - content)[:, 12:-12, 12:-12].abs().mean() < 0.005


def test_positions_lie_in_the_region_of_the_pixel():
    """Although the look alone would send the content's dark half to the dark half of the frame."""
    content = torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(2)) * 0.1
    content[:, :, 40:] += 0.8
    matched = content.flip(2)[:, :50, :70]
    left = (torch.arange(80) < 40).float().expand(60, 80)
    content_masks = torch.stack([left, 1 - left])
    matched_masks = content_masks[:, :50, :70].clone()
    matched_masks[:, :20] = 0  # in no region
    positions = correspondence(content, matched, content_masks, matched_masks).round().long()
    inside = matched_masks[:, positions[..., 0], positions[..., 1]]
    assert torch.equal(inside.argmax(0), content_masks.argmax(0)) and (inside.amax(0) == 1).all()
    free = correspondence(content, matched).round().long()
    outside = matched_masks.argmax(0)[free[..., 0], free[..., 1]] != content_masks.argmax(0)
    assert outside.float().mean() > 0.2, "the example would hide that masks are ignored"


def test_the_best_position_of_a_region_is_found_and_not_the_nearest():
    """Dark content; the frame is dark where it may not look, bright beside that, and grey farther away."""
    content = torch.full((3, 24, 40), 0.1)
    matched = torch.full((3, 24, 40), 0.1)
    matched[:, :, :20], matched[:, :, :6] = 0.9, 0.3
    allowed = (torch.arange(40) < 20).float().expand(1, 24, 40)
    positions = correspondence(content, matched, torch.ones(1, 24, 40), allowed)
    # Interpolation between equal colours rounds.
    assert ((warp(matched, positions) - 0.3).abs() < 1e-6).float().mean() > 0.9


def test_a_region_of_one_pixel_is_the_position_of_all_pixels():
    content, matched = day(30, 40).pixels, dusk(25, 35).pixels
    pixel = torch.zeros(25, 35)
    pixel[7, 11] = 1
    positions = correspondence(content, matched, torch.ones(1, 30, 40), pixel[None])
    assert torch.equal(positions.round(), torch.tensor([7.0, 11.0]).expand(30, 40, 2))


def test_a_region_that_the_frame_lacks_is_searched_for_everywhere():
    content, matched = day(30, 40).pixels, dusk(25, 35).pixels
    positions = correspondence(content, matched, torch.ones(1, 30, 40), torch.zeros(1, 25, 35))
    # Costs that are equal up to rounding may be those of another position.
    assert (positions == correspondence(content, matched)).float().mean() > 0.99


@pytest.mark.parametrize(
    ("content_masks", "matched_masks"),
    [(torch.ones(1, 8, 9), None), (None, torch.ones(1, 8, 9)), (torch.ones(1, 8, 9), torch.ones(2, 8, 9))],
    ids=["content only", "frame only", "another number"],
)
def test_masks_that_do_not_correspond_are_refused(content_masks, matched_masks):
    photo = torch.zeros(3, 8, 9)
    with pytest.raises(InputError, match="content_masks and matched_masks must be as many"):
        correspondence(photo, photo, content_masks, matched_masks)


def test_warp_takes_colours_at_positions_and_between_them():
    frame = torch.rand(3, 7, 9, generator=torch.Generator().manual_seed(3))
    positions = torch.tensor([[[0.0, 0.0], [6.0, 8.0], [2.0, 5.0]], [[3.0, 4.5], [2.25, 1.0], [-3.0, 20.0]]])
    warped = warp(frame, positions)
    expected = [
        [frame[:, 0, 0], frame[:, 6, 8], frame[:, 2, 5]],
        [(frame[:, 3, 4] + frame[:, 3, 5]) / 2, 0.75 * frame[:, 2, 1] + 0.25 * frame[:, 3, 1], frame[:, 0, 8]],
    ]
    expected = torch.stack([torch.stack(row, 1) for row in expected], 1)
    assert torch.allclose(warped, expected, atol=1e-5)
    assert torch.allclose(warp(frame, own_positions(7, 9)), frame, atol=1e-5)
