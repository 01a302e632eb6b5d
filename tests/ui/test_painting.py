"""Strokes over regions: what they take along, what they leave alone, and the masks of the outcome."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastphoto.photos.read import read_photo
from fastphoto.regions.reading import read_masks
from fastphoto.ui.painting import NOTHING, UNMARKED, Strokes, encode_mask, painted_map, runs_of

HEIGHT, WIDTH = 60, 80


def photo() -> torch.Tensor:
    """A bright disc on a dark ground, both with a little noise."""
    noise = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    return 0.2 + 0.6 * disc().float()[None] + 0.02 * noise


def disc() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return (x - 40) ** 2 + (y - 30) ** 2 < 64


def stroke(label: int, rows: slice, columns: slice) -> Strokes:
    labels = np.full((HEIGHT, WIDTH), UNMARKED, np.uint8)
    labels[rows, columns] = label
    return Strokes(labels)


def base() -> np.ndarray:
    """Two regions, left and right of the middle of the left half."""
    regions = np.zeros((HEIGHT, WIDTH), np.int16)
    regions[:, :10] = 1
    return regions


def test_a_stroke_takes_the_object_under_it():
    got = painted_map(photo(), base(), {}, stroke(2, slice(29, 32), slice(37, 44)), follow=True)
    inside = disc().numpy()
    assert (got[inside] == 2).mean() > 0.9 and (got[~inside] == 2).mean() < 0.05
    assert (got[:, :9] == 1).all(), "regions out of reach have changed"


def test_without_following_only_the_stroke_changes():
    painted = stroke(2, slice(29, 32), slice(37, 44))
    got = painted_map(photo(), base(), {}, painted, follow=False)
    assert np.array_equal(got == 2, painted.labels == 2)
    assert np.array_equal(got[painted.labels == UNMARKED], base()[painted.labels == UNMARKED])


def test_a_stroke_of_the_region_that_is_there_changes_nothing():
    got = painted_map(photo(), base(), {}, stroke(0, slice(29, 32), slice(37, 44)), follow=True)
    assert np.array_equal(got, base())


@pytest.mark.parametrize("follow", [True, False])
def test_a_stroke_takes_pixels_out_of_all_regions(follow):
    got = painted_map(photo(), base(), {}, stroke(NOTHING, slice(25, 36), slice(35, 46)), follow)
    assert (got[25:36, 35:46] == -1).all() and (got[:, :9] == 1).all()


def test_a_stroke_over_everything_leaves_one_region():
    got = painted_map(photo(), base(), {}, stroke(1, slice(None), slice(None)), follow=True)
    assert (got == 1).all()


def test_joined_regions_are_one_before_anything_is_painted():
    got = painted_map(photo(), base(), {1: 0}, None, follow=True)
    assert (got == 0).all()


def test_runs_and_back():
    labels = np.random.default_rng(0).integers(0, 3, (7, 9)).astype(np.int16)
    runs = runs_of(labels)
    assert np.array_equal(np.repeat(runs[::2], runs[1::2]).reshape(7, 9), labels)
    got = Strokes.of_runs(runs, (7, 9), 3)
    assert got is not None and np.array_equal(got.labels, labels)
    assert Strokes.of_runs([UNMARKED, 63], (7, 9), 3) is None


def test_a_mask_is_read_back_at_the_photos_size():
    regions = base()
    regions[:5] = -1
    data = encode_mask(regions, ("sky", "land"), (3 * HEIGHT, 3 * WIDTH))
    got = read_masks(data, (3 * HEIGHT, 3 * WIDTH))
    assert got.names == ("blue", "green")
    expected = np.kron(regions, np.ones((3, 3), np.int16))
    for number in (0, 1):
        assert np.array_equal(got.masks[number].numpy() == 1, expected == number)
    assert read_photo(data).size == (3 * HEIGHT, 3 * WIDTH)
