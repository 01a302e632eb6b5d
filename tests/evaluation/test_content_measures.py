"""Stains and invented structure: what a recolouring may do to a photo, and what it may not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rendered_photos import day

from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.evaluation.content_measures import ContentReference

HEIGHT, WIDTH = 64, 96
CONTENT = day(HEIGHT, WIDTH).pixels.double().numpy()
LAB = srgb_to_lab(CONTENT)
PHOTO = ContentReference(CONTENT)
FLAT = ContentReference(np.full((3, HEIGHT, WIDTH), 0.5))
FLAT_LAB = srgb_to_lab(np.full((3, HEIGHT, WIDTH), 0.5))
MAP = np.array([[0.7, 0.1, -0.2], [0.1, 0.8, 0.3], [-0.2, 0.3, 0.6]])  # of L*, a*, b*


def bump(sigma: float, y: float = 0.35 * HEIGHT, x: float = 0.5 * WIDTH) -> np.ndarray:
    """(H, W): a Gaussian of height 1."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))


def blotched(lab: np.ndarray, strength: float, sigma: float = 6, channel: int = 1) -> np.ndarray:
    """Return CIELAB with a bump of that many delta E in one channel."""
    changed = lab.copy()
    changed[channel] += strength * bump(sigma)
    return changed


def mapped(lab: np.ndarray) -> np.ndarray:
    return np.tensordot(MAP, lab, 1) + np.array([5, 20, -15])[:, None, None]


# ---- stains --------------------------------------------------------------------------------------------------


def test_one_affine_map_of_all_colours_leaves_only_what_the_epsilon_leaves():
    """The ridge term leaves at most epsilon times the squared length of each channel's map."""
    floor = math.sqrt(np.square(MAP[1:]).sum())
    assert PHOTO.stains(mapped(LAB)) <= floor
    assert PHOTO.stains(blotched(mapped(LAB), 60)) > 2 * floor


def test_the_unchanged_content_has_at_most_the_square_root_of_two():
    assert 0 < PHOTO.stains(LAB) <= math.sqrt(2)


@pytest.mark.parametrize("channel", [1, 2], ids=["a*", "b*"])
@pytest.mark.parametrize("sigma", [2, 6, 12])
def test_stains_of_every_size_are_seen_and_stronger_ones_more(sigma, channel):
    amounts = [FLAT.stains(blotched(FLAT_LAB, strength, sigma, channel)) for strength in (0, 5, 10, 20)]
    assert amounts[0] == pytest.approx(0, abs=1e-6)  # of the root of float64 sums of squares up to 1e4
    # A flat content explains nothing, so that stains are proportional to their strength.
    assert amounts[1] > 0.05
    assert amounts[2:] == pytest.approx([2 * amounts[1], 4 * amounts[1]], rel=1e-6)


def test_stains_do_not_see_lightness_nor_a_cast_of_one_colour():
    result = blotched(LAB, 20)
    expected = PHOTO.stains(result)
    assert PHOTO.stains(blotched(result, 40, channel=0)) == pytest.approx(expected, rel=1e-6)
    cast = result + np.array([0, 8, -12])[:, None, None]
    assert PHOTO.stains(cast) == pytest.approx(expected, rel=1e-6)


def test_colour_that_follows_an_object_is_no_stain_and_colour_beside_it_is():
    content = np.full((3, HEIGHT, WIDTH), 0.4)
    content[:, 20:40, 30:50] = 0.7
    lab = srgb_to_lab(content)
    on, beside = lab.copy(), lab.copy()
    on[1, 20:40, 30:50] += 30
    beside[1, 26:46, 36:56] += 30
    photo = ContentReference(content)
    assert photo.stains(beside) > 5 * photo.stains(on)


# ---- invented structure --------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.3, 1.0, 1.4, 3.0])
def test_a_gain_of_the_whole_photo_invents_nothing(gain):
    means = LAB.mean((1, 2))[:, None, None]
    assert PHOTO.invented(means + gain * (LAB - means)) == 0


def test_a_cast_of_one_colour_invents_nothing():
    assert PHOTO.invented(LAB + np.array([-10, 8, -12])[:, None, None]) == 0


@pytest.mark.parametrize("channel", [0, 1, 2], ids=["L*", "a*", "b*"])
@pytest.mark.parametrize("sigma", [2, 6, 12])
def test_blobs_in_a_flat_photo_are_invented(sigma, channel):
    amounts = [FLAT.invented(blotched(FLAT_LAB, strength, sigma, channel)) for strength in (0, 0.5, 10, 20)]
    assert amounts[:2] == [0, 0], "structure below half a delta E counts"
    assert 0.01 < amounts[2] < amounts[3] / 2


def test_blobs_in_the_sky_are_invented_and_hide_in_texture():
    """The content is flat on the left, and rough on the right."""
    noise = np.random.default_rng(0).uniform(-0.25, 0.25, (HEIGHT, WIDTH))
    content = np.repeat(0.5 + noise[None] * (np.arange(WIDTH) >= WIDTH // 2), 3, 0)
    photo, lab = ContentReference(content), srgb_to_lab(content)
    left, right = (20 * bump(2, HEIGHT / 2, x) for x in (WIDTH / 6, WIDTH * 5 / 6))
    seen, hidden = (photo.invented(np.stack([lab[0] + blob, lab[1], lab[2]])) for blob in (left, right))
    assert seen > 0.05
    assert hidden < seen / 10


def test_the_map_shows_where_structure_is_invented():
    noise = np.random.default_rng(0).uniform(-0.25, 0.25, (HEIGHT, WIDTH))
    content = np.repeat(0.5 + noise[None] * (np.arange(WIDTH) >= WIDTH // 2), 3, 0)
    photo, lab = ContentReference(content), srgb_to_lab(content)
    lab[0] += 20 * bump(2, HEIGHT / 2, WIDTH / 6)
    seen = photo.invented_map(lab)
    assert seen.shape == (HEIGHT, WIDTH) and seen.mean() == pytest.approx(photo.invented(lab))
    row, column = np.unravel_index(seen.argmax(), seen.shape)
    assert abs(row - HEIGHT / 2) <= 4 and abs(column - WIDTH / 6) <= 4
