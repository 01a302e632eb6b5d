"""Sizes and pixels shrunk and enlarged: aspect, antialiasing, range, and Keys's bicubic kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastphoto.errors import InputError
from fastphoto.photos.resize import enlarge, fit_size, resize, same_aspect, shrunk_size


@pytest.mark.parametrize(
    ("height", "width", "long_side", "expected"),
    [
        pytest.param(466, 700, 350, (233, 350), id="half"),
        pytest.param(3000, 4000, 1000, (750, 1000), id="a quarter"),
        pytest.param(300, 200, 1000, (300, 200), id="smaller already"),
        pytest.param(100, 4000, 640, (16, 640), id="as low as it may be"),
    ],
)
def test_fit_size_shrinks_and_keeps_the_aspect(height, width, long_side, expected):
    assert fit_size(height, width, long_side) == expected


def test_fit_size_refuses_a_sliver_and_says_which_size_is_enough():
    with pytest.raises(InputError, match="at least 640"):
        fit_size(100, 4000, 500)


def test_shrunk_size_has_a_least_side():
    assert shrunk_size((10, 1000), 100) == (1, 100)
    assert shrunk_size((10, 1000), 10, minimum=4) == (4, 10)
    assert shrunk_size((10, 20), 100) == (10, 20)


@pytest.mark.parametrize(
    ("other", "expected"),
    [((300, 450), True), ((300, 455), True), ((300, 460), False), ((450, 300), False)],
    ids=["half", "1 % wider", "2.2 % wider", "upright"],
)
def test_same_aspect_within_2_percent(other, expected):
    assert same_aspect((600, 900), other) == expected


def test_resize_is_antialiased():
    checks = torch.from_numpy((np.indices((64, 96)).sum(0) % 2).astype(np.float32)).expand(3, -1, -1)
    small = resize(checks, (16, 24))
    assert small.shape == (3, 16, 24) and (small - 0.5).abs()[:, 2:-2, 2:-2].max() < 0.02


def test_resize_stays_in_range_and_never_enlarges():
    edge = torch.zeros(3, 64, 64)
    edge[:, :, 30:] = 1
    small = resize(edge, (20, 20))
    assert small.min() == 0 and small.max() == 1
    assert resize(edge, (64, 64)) is edge
    with pytest.raises(InputError, match="enlarges"):
        resize(edge, (65, 64))


def keys_kernel(distance: float) -> float:
    """Return Keys's cubic kernel with a = -3/4."""
    x = abs(distance)
    if x <= 1:
        return 1.25 * x**3 - 2.25 * x**2 + 1
    return -0.75 * x**3 + 3.75 * x**2 - 6 * x + 3 if x < 2 else 0.0


def interpolated(plane: torch.Tensor, y: float, x: float) -> float:
    """Return a bicubic sample of a plane, whose edge pixels go on beyond it."""
    height, width = plane.shape
    return sum(
        keys_kernel(y - i) * keys_kernel(x - j) * float(plane[min(max(i, 0), height - 1), min(max(j, 0), width - 1)])
        for i in range(int(y // 1) - 1, int(y // 1) + 3)
        for j in range(int(x // 1) - 1, int(x // 1) + 3)
    )


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize(("y", "x"), [(0, 0), (11, 17), (5, 9), (7, 2), (3, 16)])
def test_enlarge_is_bicubic(y, x, channel):
    small = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    small[0, 0, 0], small[1, 4, 6] = -3, 4  # so wide a range that hardly anything is clamped
    large = enlarge(small, (12, 18))
    assert large.shape == (2, 12, 18)
    expected = interpolated(small[channel], (y + 0.5) * 5 / 12 - 0.5, (x + 0.5) * 7 / 18 - 0.5)
    assert float(large[channel, y, x]) == pytest.approx(min(max(expected, -3), 4), abs=1e-9)


def test_enlarge_stays_in_range():
    edge = torch.full((3, 8, 10), 0.25)
    edge[:, :, 5:] = 0.75
    large = enlarge(edge, (24, 30))
    assert float(large.min()) == 0.25 and float(large.max()) == 0.75, "a halo beside an edge"
    # Positions up to 10 pixels round by 1e-6 in float32, at both ends of a slope of up to 0.75 a pixel.
    torch.testing.assert_close(large.flip(2), 1 - large, atol=3e-6, rtol=0)


def test_enlarge_does_not_move_the_picture():
    pixels = torch.rand(3, 9, 11, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(enlarge(pixels.flip(1, 2), (20, 33)), enlarge(pixels, (20, 33)).flip(1, 2))


@pytest.mark.parametrize("size", [(20, 15), (40, 29), (17, 30)], ids=str)
def test_enlarge_to_a_smaller_size_is_resize(size):
    pixels = torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(enlarge(pixels, size), resize(pixels, size), atol=1e-6, rtol=0)


def test_enlarge_may_shrink_one_side():
    pixels = torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(1))
    assert enlarge(pixels, (40, 30)) is pixels
    assert enlarge(pixels, (41, 30)).shape == (3, 41, 30) and enlarge(pixels, (80, 29)).shape == (3, 80, 29)
