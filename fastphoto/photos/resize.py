"""Resizing of photos, and of their sizes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import InputError
from fastphoto.photos.photo import MINIMUM_SIDE

ASPECT_TOLERANCE = 0.02
"""Largest difference between logarithms of equal aspects: rounding to whole pixels changes an aspect a little."""


def same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two sizes have the same aspect, within 2 %.

    Args:
        size: first size, (height, width).
        other: second size, (height, width).

    Returns:
        True if the aspects are the same.

    Example:
        >>> same_aspect((600, 900), (400, 601)), same_aspect((600, 900), (900, 600))
        (True, False)
    """
    return abs(math.log(size[0] * other[1] / (size[1] * other[0]))) <= ASPECT_TOLERANCE


def shrunk_size(size: tuple[int, int], long_side: int, minimum: int = 1) -> tuple[int, int]:
    """Shrink a size to a long side.

    Args:
        size: original size, (height, width), in pixels.
        long_side: larger side of the shrunk size, in pixels.
        minimum: least length of either side, in pixels.

    Returns:
        (height, width) of the same aspect, rounded; `size` itself if its long side is not larger.

    Example:
        >>> shrunk_size((600, 900), 300)
        (200, 300)
    """
    scale = min(1.0, long_side / max(size))
    return max(minimum, round(size[0] * scale)), max(minimum, round(size[1] * scale))


def fit_size(height: int, width: int, long_side: int, name: str = "photo") -> tuple[int, int]:
    """Shrink the size of a photo to a long side, and check that the photo stays large enough for the encoder.

    Args:
        height: height of the photo in pixels.
        width: width of the photo in pixels.
        long_side: larger side of the shrunk size, in pixels.
        name: name of the photo in messages.

    Returns:
        (height, width) of the same aspect; that of the photo itself if its long side is not larger.

    Raises:
        InputError: a side would fall below 16 pixels.

    Example:
        >>> fit_size(3000, 4000, long_side=700)
        (525, 700)
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
    """Shrink pixels by antialiased bicubic interpolation, clamped to the range of the input.

    Args:
        pixels: image, (C, H, W), float.
        size: size of the result, (height, width), in pixels.

    Returns:
        (C, height, width); `pixels` itself if that is their size.

    Raises:
        InputError: the size is larger on a side.

    Example:
        >>> resize(torch.zeros(3, 60, 90), (20, 30)).shape
        torch.Size([3, 20, 30])
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
    """Enlarge pixels by bicubic interpolation, clamped to the range of the input; shrink them as `resize` does.

    Args:
        pixels: image, (C, H, W), float.
        size: size of the result, (height, width), in pixels.

    Returns:
        (C, height, width); `pixels` itself if that is their size.

    Example:
        >>> enlarge(torch.zeros(3, 20, 30), (60, 90)).shape
        torch.Size([3, 60, 90])
    """
    height, width = pixels.shape[-2:]
    if size[0] <= height and size[1] <= width:
        return resize(pixels, size)
    low, high = torch.aminmax(pixels)
    return F.interpolate(pixels[None], size, mode="bicubic", align_corners=False)[0].clamp_(low, high)
