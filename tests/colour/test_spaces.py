"""Colour spaces: CIELAB against published values, and the axes of the opponent space."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastphoto.colour.spaces import LUMA, OPPONENT, srgb_to_lab

# Well-known values of sRGB's greys and corners under D65.
COLOURS = {
    "black": ((0, 0, 0), (0, 0, 0)),
    "white": ((1, 1, 1), (100, 0, 0)),
    "grey": ((0.5, 0.5, 0.5), (53.389, 0, 0)),
    "red": ((1, 0, 0), (53.241, 80.092, 67.203)),
    "green": ((0, 1, 0), (87.735, -86.183, 83.179)),
    "blue": ((0, 0, 1), (32.297, 79.188, -107.860)),
    "yellow": ((1, 1, 0), (97.139, -21.554, 94.478)),
}


@pytest.mark.parametrize(("rgb", "lab"), COLOURS.values(), ids=COLOURS)
def test_cielab_of_known_colours(rgb, lab):
    planes = np.array(rgb, float)[:, None, None] * np.ones((3, 2, 4))
    converted = srgb_to_lab(planes)
    assert converted.shape == (3, 2, 4)
    np.testing.assert_allclose(converted, np.array(lab)[:, None, None] * np.ones((3, 2, 4)), atol=0.02)


def test_lightness_grows_with_grey_across_the_bends_of_both_curves():
    greys = np.linspace(0, 1, 1001)
    lightness = srgb_to_lab(np.broadcast_to(greys, (3, 1, 1001)))[0, 0]
    steps = np.diff(lightness)
    assert (steps > 0).all()
    assert np.abs(np.diff(steps)).max() < 0.01, "L* jumps or bends sharply"


def test_opponent_axes_are_luma_and_two_colour_differences():
    luma, *differences = OPPONENT
    assert torch.equal(luma, torch.tensor([4 * weight for weight in LUMA]))
    assert sum(LUMA) == pytest.approx(1)
    for difference in differences:
        assert float(difference.sum()) == pytest.approx(0, abs=1e-6), "greys have a colour"
        assert float(difference.norm()) == pytest.approx(1)
