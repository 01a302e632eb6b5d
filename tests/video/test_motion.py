"""Motion between frames, against pans whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_clips import panned

from fastphoto.video.motion import Track, luma_values, moved, tracks_between


def lumas(step: int, frames: int = 3) -> list[np.ndarray]:
    return [luma_values(torch.from_numpy(each).permute(2, 0, 1)) for each in panned("day", frames, step)]


def inner(values: np.ndarray, margin: int = 12) -> np.ndarray:
    return values[margin:-margin, margin:-margin]


@pytest.mark.parametrize("step", [0, 1, 3])
def test_tracks_follow_a_pan(step):
    first, second, _ = lumas(step)
    there, back = tracks_between(first, second)
    # The search is exact to about a tenth of a pixel where there is detail.
    assert np.abs(np.median(inner(there.shift), (0, 1)) - [-step, 0]).max() < 0.2
    assert np.abs(np.median(inner(back.shift), (0, 1)) - [step, 0]).max() < 0.2
    assert inner(there.trust).mean() > 0.8


def test_what_has_left_the_frame_is_not_trusted():
    first, second, _ = lumas(3)
    there, _ = tracks_between(first, second)
    assert there.trust[:, 0].max() == 0, "the leftmost column has left the frame"


def test_tracks_join():
    first, second, third = lumas(2)
    joined = tracks_between(first, second)[0].then(tracks_between(second, third)[0])
    assert np.abs(np.median(inner(joined.shift), (0, 1)) - [-4, 0]).max() < 0.3


def test_values_are_moved_to_their_place():
    values = np.arange(40, dtype=np.float32).reshape(5, 8)
    shift = np.zeros((5, 8, 2), np.float32)
    shift[..., 0] = 2
    expected = np.concatenate([values[:, 2:], values[:, -1:], values[:, -1:]], 1)
    np.testing.assert_allclose(moved(values, Track(shift, np.ones((5, 8), np.float32))), expected)


def test_a_frame_of_few_pixels_has_motion_too():
    small = np.random.default_rng(0).integers(0, 255, (16, 18), dtype=np.uint8)
    there, back = tracks_between(small, small)
    assert there.trust.shape == back.trust.shape == (16, 18) and np.abs(there.shift).max() < 0.5
