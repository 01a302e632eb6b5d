"""Shots and spans: where keyframes are, and that no span crosses a cut."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_clips import PlainFrame, panned, two_shots

from fastphoto.video.shots import Span, spans


def spans_of(frames: list[np.ndarray], interval: int) -> tuple[list[PlainFrame], list[Span]]:
    clip = [PlainFrame(each) for each in frames]
    height, width = frames[0].shape[:2]
    return clip, list(spans(clip, (height, width), interval))


def test_a_cut_starts_a_shot():
    clip, found = spans_of(two_shots(12), interval=24)
    assert [len(span.frames) for span in found] == [6, 6]
    assert [span.opens_shot for span in found] == [True, True]
    assert found[1].frames[0].frame is clip[6] and found[1].frames[0].back is None


@pytest.mark.parametrize("interval", [1, 4, 5, 7])
def test_every_frame_belongs_to_one_span(interval):
    clip, found = spans_of(list(panned("day", 15)), interval)
    own = [seen.frame for span in found for seen in span.frames[: len(span.frames) - span.continues]]
    assert own == clip
    assert [span.opens_shot for span in found] == [True] + [False] * (len(found) - 1)
    assert all(span.ends_with_keyframe for span in found if span.continues)
    for before, after in zip(found, found[1:], strict=False):
        assert after.frames[0].frame is before.frames[-1].frame, "spans share their keyframe"


def test_no_more_frames_are_held_than_the_interval():
    _, found = spans_of(list(panned("day", 15)), interval=4)
    assert max(len(span.frames) for span in found) == 5


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda frame, n: np.clip(frame + 0.25 * (n == 4), 0, 1), id="flash"),
        pytest.param(lambda frame, n: frame * min(1, (n + 1) / 8), id="fade in"),
        pytest.param(
            lambda frame, n: (frame + np.random.default_rng(n).normal(0, 0.05, frame.shape)).clip(0, 1), id="noise"
        ),
    ],
)
def test_light_and_noise_are_no_cuts(change):
    frames = [change(frame, number) for number, frame in enumerate(panned("day", 10))]
    assert sum(span.opens_shot for span in spans_of(frames, 24)[1]) == 1


def test_black_before_a_scene_is_a_shot_of_its_own():
    frames = [np.zeros((64, 96, 3))] * 3 + list(panned("day", 4))
    assert [len(span.frames) for span in spans_of(frames, 24)[1]] == [3, 4]


def test_tracks_lead_to_the_last_frame():
    _, (span,) = spans_of(list(panned("day", 6, step=1)), 24)
    tracks = span.tracks_to_last()
    assert tracks[-1] is None
    for number, track in enumerate(tracks[:-1]):
        middle = np.median(track.shift[12:-12, 12:-12], (0, 1))
        assert np.abs(middle - [number - 5, 0]).max() < 0.5  # a tenth of a pixel for each frame
