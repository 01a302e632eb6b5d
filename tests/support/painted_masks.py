"""Pictures of masks in palette colours, and the region maps that they show."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import PALETTE

SIZE = (90, 120)


def painted(
    names: Sequence[str] = ("blue", "black", "white", "red"), size: tuple[int, int] = SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Slanted stripes, one for each name, with a disc of the last: region map (H, W) and colours (H, W, 3) uint8."""
    y, x = np.mgrid[: size[0], : size[1]]
    stripes = max(1, len(names) - 1)
    region_map = np.minimum((x + y // 3) * stripes // (size[1] + size[0] // 3), stripes - 1)
    region_map[(y - size[0] // 2) ** 2 + (x - size[1] // 2) ** 2 < (size[0] // 6) ** 2] = len(names) - 1
    colours = np.array([PALETTE[name] for name in names], np.uint8)
    return region_map, colours[region_map]


def numbered(regions: RegionMasks, names: Sequence[str]) -> np.ndarray:
    """Region map (H, W) of hard masks, numbered in the order of `names`, -1 where a pixel belongs to none."""
    assert set(regions.names) <= set(names)
    region_map = np.full(regions.masks.shape[1:], -1)
    for name, mask in zip(regions.names, regions.masks.numpy(), strict=True):
        assert set(np.unique(mask)) <= {0, 1}, f"the mask of {name} is soft"
        assert (region_map[mask == 1] == -1).all(), f"the mask of {name} overlaps another"
        region_map[mask == 1] = list(names).index(name)
    return region_map


def encoded(image: Image.Image, file_format: str, **options: Any) -> Image.Image:
    """An image as a file of that format holds it."""
    data = io.BytesIO()
    image.save(data, file_format, **options)
    data.seek(0)
    return Image.open(data)
