"""Masks given as arrays of unusual shapes and types."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rendered_photos import day

from fastphoto.errors import InputError
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import resize_masks

CONTENT = day(40, 48)


@pytest.mark.parametrize("index", [np.s_[..., None], np.s_[None]], ids=["(H, W, 1)", "(1, H, W)"])
def test_an_axis_of_length_1_is_dropped(index):
    assert torch.equal(read_masks(CONTENT.labels.astype(np.int64)[index], (40, 48)).masks, CONTENT.regions)


@pytest.mark.parametrize(
    ("mask", "size", "said"),
    [
        pytest.param(np.zeros((0, 0), np.uint8), (40, 48), "is empty", id="empty"),
        pytest.param(np.arange(200 * 200).reshape(200, 200), (200, 200), "regions; at most 64", id="many regions"),
        pytest.param({"sky": np.zeros((40, 48), np.complex64)}, (40, 48), "array of complex64", id="complex"),
    ],
)
def test_refused(mask, size, said):
    with pytest.raises(InputError, match=said):
        read_masks(mask, size)


def test_resizing_to_nothing_is_refused():
    with pytest.raises(InputError, match="at least 1x1"):
        resize_masks(CONTENT.regions, (0, 4))
