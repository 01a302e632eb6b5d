"""The flicker measure: 1 for a mere recolouring, more for pumping and for noise of its own."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_clips import panned, write_clip

import fastphoto
from fastphoto.video import flicker


def measured(folder, change, frames: int = 8):
    contents = list(panned("day", frames))
    results = [np.clip(change(frame, number), 0, 1) for number, frame in enumerate(contents)]
    paths = [
        write_clip(folder / name, each, codec="ffv1", pixel_format="yuv444p")
        for name, each in (("content.mkv", contents), ("result.mkv", results))
    ]
    return flicker(*paths)


@pytest.mark.parametrize("gain", [0.8, 1.0, 1.3])
def test_a_gain_of_contrast_is_no_flicker(gain, tmp_path):
    found = measured(tmp_path, lambda frame, _: 0.5 + gain * (frame - 0.5) * 0.7)
    # Rounding to 8 bits adds noise of its own, more where the gain is small.
    assert found.fine == pytest.approx(1, abs=0.1) and found.coarse == pytest.approx(1, abs=0.25)


def test_pumping_is_coarse_flicker(tmp_path):
    found = measured(tmp_path, lambda frame, number: frame * 0.8 + 0.05 * (number % 2))
    assert found.coarse > 5 and found.fine > 1.5


def test_noise_is_fine_flicker(tmp_path):
    """Noise is a gradient too, but a gain that fits the edges leaves most of it over."""
    rng = np.random.default_rng(0)
    found = measured(tmp_path, lambda frame, _: frame + rng.normal(0, 0.04, (8, 12, 1)).repeat(8, 0).repeat(8, 1))
    assert found.fine > 1.5


def test_clips_of_different_lengths_are_refused(tmp_path):
    one = write_clip(tmp_path / "one.mp4", panned("day", 4))
    other = write_clip(tmp_path / "other.mp4", panned("day", 5))
    with pytest.raises(fastphoto.InputError, match="as many frames"):
        flicker(one, other)
