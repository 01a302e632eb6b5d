"""Photos shrunk and enlarged."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import InputError
from fastphoto.photos.photo import MINIMUM_SIDE

ASPECT_TOLERANCE = 0.02
"""How much the ratio of two aspects may differ from 1, for rounding to whole pixels changes it."""


def same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two sizes (height, width) have the same aspect, within 2 %."""
    return abs(math.log(size[0] * other[1] / (size[1] * other[0]))) <= ASPECT_TOLERANCE


def shrunk_size(size: tuple[int, int], long_side: int, minimum: int = 1) -> tuple[int, int]:
    """Return a size (height, width) shrunk to a long side, or as it is where it is smaller; no side below `minimum`."""
    scale = min(1.0, long_side / max(size))
    return max(minimum, round(size[0] * scale)), max(minimum, round(size[1] * scale))


def fit_size(height: int, width: int, long_side: int, name: str = "photo") -> tuple[int, int]:
    """(h, w) of the same aspect whose longer side is `long_side`, or (height, width) where that is smaller.

    Raises InputError where a side would fall below 16 pixels.
    """
    size = shrunk_size((height, width), long_side, minimum=0)
    if min(size) < MINIMUM_SIDE:
        needed = -(-MINIMUM_SIDE * max(height, width) // min(height, width))
        raise InputError(
            f"{name}: at size {long_side}, {width}x{height} pixels shrink to {size[1]}x{size[0]}, below {MINIMUM_SIDE} "
            f"on a side; use at least {needed}"
        )
    return size


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Shrink (C, H, W) float to (C, h, w): antialiased bicubic, kept within the input's range.

    Raises InputError for a size that enlarges.
    """
    height, width = pixels.shape[-2:]
    if size == (height, width):
        return pixels
    if size[0] > height or size[1] > width:
        raise InputError(f"resize: {width}x{height} to {size[1]}x{size[0]} pixels enlarges; only shrinking is done")
    low, high = torch.aminmax(pixels)
    small = F.interpolate(pixels[None], size, mode="bicubic", antialias=True, align_corners=False)[0]
    return small.clamp_(low, high)


def enlarge(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge (C, H, W) float to (C, h, w): bicubic, kept within the input's range; a smaller size is as `resize`."""
    height, width = pixels.shape[-2:]
    if size[0] <= height and size[1] <= width:
        return resize(pixels, size)
    low, high = torch.aminmax(pixels)
    return F.interpolate(pixels[None], size, mode="bicubic", align_corners=False)[0].clamp_(low, high)
