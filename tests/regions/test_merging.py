"""Regions merged into the ones nearest in colour and position."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastphoto.regions.merging import merge_regions

COLOURS = {"sky": (0.5, 0.7, 1), "bush": (0.1, 0.4, 0.1), "sea": (0, 0.2, 0.6), "grass": (0.2, 0.5, 0.1)}


def bands(*rows: int) -> Tensor:
    """(R, 100, 100): one horizontal band for each number of rows from the top."""
    masks, top = torch.zeros(len(rows), 100, 100), 0
    for mask, count in zip(masks, rows, strict=True):
        mask[top : top + count] = 1
        top += count
    return masks


def test_a_region_joins_the_one_that_looks_alike():
    masks = bands(30, 10, 30, 30)
    pixels = torch.einsum("rhw,rc->chw", masks, torch.tensor(list(COLOURS.values())))
    merged, nearest = merge_regions(masks, pixels, joining=[1], targets=[0, 2, 3])
    assert nearest == [2]
    assert torch.equal(merged, torch.stack([masks[0], masks[2], masks[1] + masks[3]]))
    assert torch.equal(masks, bands(30, 10, 30, 30)), "the given masks changed"


def test_a_region_of_no_particular_colour_joins_the_one_around_it():
    spot = torch.zeros(1, 100, 100)
    spot[0, 85:90, 40:60] = 1
    masks = torch.cat([bands(40, 20, 40) * (1 - spot), spot])
    merged, nearest = merge_regions(masks, torch.full((3, 100, 100), 0.5), joining=[3], targets=[0, 1, 2])
    assert nearest == [2] and torch.equal(merged, bands(40, 20, 40))


@pytest.mark.parametrize("size", [(700, 900), (40, 30)], ids=str)
def test_photos_of_any_size(size):
    masks = torch.zeros(3, *size)
    masks[0, :, : size[1] // 3] = masks[1, :, size[1] // 3 : -size[1] // 3] = masks[2, :, -size[1] // 3 :] = 1
    pixels = torch.zeros(3, *size)
    pixels[0, :, size[1] // 3 :] = 1
    assert merge_regions(masks, pixels, joining=[1], targets=[0, 2])[1] == [1]


def test_overlapping_soft_masks_stay_below_one():
    masks = torch.full((2, 20, 20), 0.7)
    merged, _ = merge_regions(masks, torch.rand(3, 20, 20), joining=[1], targets=[0])
    assert torch.equal(merged, torch.ones(1, 20, 20))


def test_without_a_region_to_merge_the_masks_are_not_copied():
    masks = bands(40, 60)
    assert merge_regions(masks, torch.rand(3, 100, 100), joining=[], targets=[0, 1])[0] is masks
    merged, nearest = merge_regions(masks, torch.rand(3, 100, 100), joining=[], targets=[1])
    assert torch.equal(merged, masks[1:]) and nearest == []
