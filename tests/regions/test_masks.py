"""Region maps and masks turned into each other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastphoto.regions.masks import marked_map, masks_of_map, region_map


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_masks_of_a_map_have_that_map(count, height, width, seed):
    numbers = torch.randint(-1, count, (height, width), generator=torch.Generator().manual_seed(seed))
    masks = masks_of_map(numbers, count)
    assert masks.shape == (count, height, width) and masks.dtype == torch.float32
    for number in range(count):
        assert torch.equal(masks[number] == 1, numbers == number)
    assert torch.equal(region_map(masks), numbers)
    assert torch.equal(marked_map(masks), numbers)


@pytest.mark.parametrize(
    ("values", "most", "marked"),
    [
        pytest.param((0.4, 0.3), 0, -1, id="largest, below half"),
        pytest.param((0.2, 0.3), -1, -1, id="none is largest"),
        pytest.param((0.1, 0.6), 1, 1, id="more than half"),
        pytest.param((0.5, 0.2), 0, 0, id="half"),
        pytest.param((0.5, 0.5), 0, 0, id="equal halves"),
        pytest.param((0.5, 0.0), -1, 0, id="half, the rest none"),
    ],
)
def test_soft_masks(values, most, marked):
    masks = torch.tensor(values)[:, None, None]
    assert (int(region_map(masks)), int(marked_map(masks))) == (most, marked)


def test_overlapping_marks_take_the_largest_value():
    assert marked_map(torch.tensor([[[0.7, 1.0]], [[0.9, 1.0]]])).tolist() == [[1, 0]]
