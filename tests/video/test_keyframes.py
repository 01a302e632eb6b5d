"""Keyframes: regions that stay those of the shot, and looks that agree with the keyframe before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_clips import PlainFrame

import fastphoto
from fastphoto.photos.resize import resize
from fastphoto.video.keyframes import Keyframe, Keyframes
from fastphoto.video.maps import sliced
from fastphoto.video.motion import Track

SIZE = (108, 192)
OPTIONS = {"steps": 1, "scales": 1.0, "device": "cpu"}


class Still:
    """A clip of frames of one size."""

    name, size, quarter_turns, expected_frames = "still", SIZE, 0, None

    def frames(self):
        return iter(())


def demo_frame(left: int = 0) -> PlainFrame:
    """Return a window on the demo photo of a lake, `left` pixels from its left."""
    photo = fastphoto.read_photo(fastphoto.demo_pairs()[0] / "content.jpg").pixels
    small = resize(photo, (126, 224))[:, 9:117, left : left + 192]
    return PlainFrame(small.permute(1, 2, 0).numpy())


def keyframes(regions: str) -> Keyframes:
    style = fastphoto.read_photo(fastphoto.demo_pairs()[0] / "style.jpg")
    return Keyframes(Still(), style, regions, 192, None, OPTIONS)


def pan(shift: float, trust: float = 1.0) -> Track:
    shifts = np.zeros((*SIZE, 2), np.float32)
    shifts[..., 0] = shift
    return Track(shifts, np.full(SIZE, trust, np.float32))


def agreement(later: Keyframe, before: Keyframe) -> float:
    """Return the share of pixels whose region is that of their place 24 pixels to the right before."""
    return float((later.regions.argmax(0)[:, :-24] == before.regions.argmax(0)[:, 24:]).float().mean())


def test_regions_stay_and_move():
    clip = keyframes("auto")
    first = clip.open_shot(demo_frame(0))
    assert first.regions is not None, "the network finds regions in this photo"
    second = clip.follow(first, demo_frame(24), pan(24))
    assert agreement(second, first) > 0.95


def test_regions_that_are_not_found_again_come_with_the_motion():
    clip = keyframes("auto")
    first = clip.open_shot(demo_frame(0))
    grey = PlainFrame(demo_frame(24).values.mean(-1, keepdim=True).expand(-1, -1, 3).numpy() * 0.2)
    second = clip.follow(first, grey, pan(24))
    assert agreement(second, first) > 0.95


def test_a_region_changes_once_it_is_found_in_three_keyframes():
    """The network cannot be asked to change its mind about one photo, so what it found before is changed instead."""
    clip = keyframes("auto")
    first = clip.open_shot(demo_frame(0))
    swapped = type(first)(first.grid, first.regions.flip(0))
    changed = [swapped]
    for _ in range(3):
        changed.append(clip.follow(changed[-1], demo_frame(0), pan(0)))
    found = first.regions.argmax(0)
    shares = [float((each.regions.argmax(0) == found).float().mean()) for each in changed]
    assert max(shares[:3]) < 0.4 and shares[3] > 0.9


@pytest.mark.parametrize(("trust", "share"), [(1.0, 0.75), (0.0, 0.0)])
def test_a_keyframe_keeps_the_look_of_the_one_before_where_it_is_seen(trust, share):
    """The target is a mean of the look before and of the frame's own; the grid fits both alike."""
    frame = demo_frame()
    content = frame.shrunk(SIZE)
    alone = keyframes("none").open_shot(frame)
    clip = keyframes("none")
    before = clip.open_shot(frame)
    darker = type(before)(before.grid * 0.5, None)
    after = clip.follow(darker, frame, pan(0, trust))
    expected = (1 - 0.5 * share) * sliced(alone.grid, content)
    assert (sliced(after.grid, content) - expected).abs().mean() < 0.01


def test_the_look_before_gives_way_without_a_seam():
    """Half of the frame is new: neighbouring columns, which have one content, differ little."""
    grey = PlainFrame(np.linspace(0.2, 0.8, SIZE[0])[:, None, None].repeat(SIZE[1], 1).repeat(3, 2))
    clip = keyframes("none")
    before = clip.open_shot(grey)
    track = pan(0)
    track.trust[:, SIZE[1] // 2 :] = 0
    after = clip.follow(type(before)(before.grid * 0.5, None), grey, track)
    rows = sliced(after.grid, grey.shrunk(SIZE)).mean(0)
    whole = float((rows[:, 0] - rows[:, -1]).abs().max())
    assert whole > 0.1 and float((rows[:, 1:] - rows[:, :-1]).abs().max()) < 0.1 * whole


def test_a_flat_frame_opens_a_shot_unchanged():
    black = PlainFrame(np.zeros((*SIZE, 3)))
    keyframe = keyframes("none").open_shot(black)
    assert float(sliced(keyframe.grid, black.shrunk(SIZE)).abs().max()) < 1e-4


def test_a_flat_frame_keeps_the_look_of_its_shot():
    clip = keyframes("none")
    before = clip.open_shot(demo_frame())
    after = clip.follow(before, PlainFrame(np.zeros((*SIZE, 3))), pan(0))
    torch.testing.assert_close(after.grid, before.grid)
