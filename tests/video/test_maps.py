"""Grids of colour maps: fitted, carried along the motion, blended in time, applied to frames."""

from __future__ import annotations

import numpy as np
import torch
from rendered_photos import day, dusk
from tiny_clips import PlainFrame

from fastphoto.video.maps import blended, carried, fit_grid, recoloured, sliced
from fastphoto.video.motion import Track


def recolour(pixels: torch.Tensor) -> torch.Tensor:
    mixed = torch.tensor([[0.7, 0.2, 0.0], [0.1, 0.5, 0.1], [0.0, 0.3, 0.6]])
    return torch.einsum("dc,chw->dhw", mixed, pixels) + torch.tensor([0.1, 0.0, 0.05])[:, None, None]


def pan(shape: tuple[int, int], shift: float, trust: float = 1.0) -> Track:
    shifts = np.zeros((*shape, 2), np.float32)
    shifts[..., 0] = shift
    return Track(shifts, np.full(shape, trust, np.float32))


def test_a_grid_recolours_another_frame_like_its_keyframe():
    content, other = day(48, 64).pixels, dusk(48, 64).pixels
    grid = fit_grid(content, recolour(content))
    torch.testing.assert_close(sliced(grid, content), recolour(content), atol=0.01, rtol=0)
    # Colours that the keyframe lacks continue those that it has.
    assert (sliced(grid, other) - recolour(other)).abs().mean() < 0.03


def test_detail_of_the_whole_frame_is_kept():
    large = day(192, 256).pixels
    large = (large * 0.8 + 0.1 * torch.rand(large.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    small = torch.nn.functional.interpolate(large[None], (48, 64), mode="area")[0]
    grid = fit_grid(small, recolour(small))
    result = recoloured(grid, PlainFrame(large.permute(1, 2, 0).numpy()), (192, 256))
    error = (result.permute(2, 0, 1) - recolour(large).clamp(0, 1)).abs()
    assert error.mean() < 0.005 and error.max() < 0.06  # the small keyframe has less contrast to fit than the frame


def test_a_frame_that_is_the_keyframe_has_its_grid():
    grid = torch.randn(12, 8, 4, 6)
    assert carried(grid, None)[0] is grid
    other = torch.randn(12, 8, 4, 6)
    torch.testing.assert_close(blended(grid, other, None, pan((64, 96), 0), 0.0), grid)
    torch.testing.assert_close(blended(grid, other, pan((64, 96), 0), None, 1.0), other)


def test_grids_move_with_the_motion():
    """Cells are 95 / 5 = 19 pixels apart: a track of 19 pixels to the right reads the next cell."""
    grid = torch.randn(12, 8, 4, 6)
    moved, trust = carried(grid, pan((64, 96), 19))
    torch.testing.assert_close(moved[..., :-1], grid[..., 1:], atol=1e-4, rtol=1e-4)
    assert trust.shape == (4, 6) and float(trust.min()) == 1


def test_the_blend_is_linear_in_time_where_both_are_trusted():
    first, second = torch.zeros(12, 8, 4, 6), torch.ones(12, 8, 4, 6)
    still = pan((64, 96), 0)
    for time in (0.0, 0.25, 0.5, 1.0):
        torch.testing.assert_close(blended(first, second, still, still, time), torch.full_like(first, time))


def test_a_keyframe_that_shows_nothing_of_a_place_counts_little_there():
    first, second = torch.zeros(12, 8, 4, 6), torch.ones(12, 8, 4, 6)
    grid = blended(first, second, pan((64, 96), 0, trust=0), pan((64, 96), 0), 0.5)
    assert float(grid.min()) > 0.9


def test_weights_have_no_step_in_time():
    """A place that the keyframe before does not show must not jump at that keyframe."""
    first, second = torch.zeros(12, 8, 4, 6), torch.ones(12, 8, 4, 6)
    hidden = pan((64, 96), 0, trust=0)
    grids = [blended(first, second, hidden, hidden, number / 24) for number in range(25)]
    steps = [float((later - earlier).abs().max()) for earlier, later in zip(grids, grids[1:], strict=False)]
    assert max(steps) < 1.5 / 24
