"""Photos of nearly nothing, rendered: whatever structure a result has in them was invented."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import torch
from PIL import Image
from torch import Tensor

Array = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

HEIGHT, WIDTH = 72, 96


def flat_photos() -> Mapping[str, Tensor]:
    """Return photos (3, 72, 96) in multiples of 1 / 255 by what they show, the same in every call."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / np.array([HEIGHT, WIDTH])[:, None, None]
    random = np.random.default_rng(5)

    def noisy(picture: Array, levels: float, size: float = 0.0) -> Array:
        """Add noise of a deviation in 8-bit levels, or film grain of a size in pixels."""
        grain = random.normal(size=picture.shape)
        if size:
            grain = scipy.ndimage.gaussian_filter(grain, (0, size, size))
        return picture + levels / 255 * grain / grain.std()

    centre = np.hypot(x - 0.4, y - 0.6)
    stars = np.zeros((HEIGHT, WIDTH))
    stars[random.integers(2, HEIGHT - 2, 25), random.integers(2, WIDTH - 2, 25)] = 1
    stars = scipy.ndimage.gaussian_filter(stars, 0.6) * 2.5
    bottle = scipy.ndimage.gaussian_filter(((abs(x - 0.5) < 0.1) & (abs(y - 0.5) < 0.3)).astype(float), 0.7)
    shadow = np.exp(-(((x - 0.55) / 0.25) ** 2) - ((y - 0.82) / 0.05) ** 2)
    photos = {
        "one colour": _blend(0 * x, (0.5, 0.45, 0.4), (0, 0, 0)),
        "black frame": noisy(_blend(0 * x, (0.008, 0.008, 0.01), (0, 0, 0)), 0.5),
        "white frame": _blend(0 * x, (0.99, 0.99, 0.99), (0, 0, 0)),
        "grey card": _blend(np.floor(6 * x) / 5, (0.1, 0.1, 0.1), (0.9, 0.9, 0.9)),
        "linear gradient": _blend(x, (0.2, 0.25, 0.3), (0.8, 0.75, 0.7)),
        "radial gradient": _blend(centre, (0.9, 0.85, 0.7), (0.25, 0.3, 0.45)),
        "sunset gradient": _blend(y**0.7, (0.15, 0.2, 0.45), (0.98, 0.65, 0.3)),
        "sky of a JPEG file": _jpeg(noisy(_blend(y, (0.25, 0.45, 0.8), (0.8, 0.88, 0.96)), 1.0), 75),
        "noisy wall": noisy(_blend(x, (0.83, 0.82, 0.78), (0.9, 0.89, 0.86)), 3.0),
        "film grain": noisy(_blend(y, (0.55, 0.5, 0.45), (0.4, 0.38, 0.36)), 5.0, 0.8),
        "fog": noisy(_blend(y**2, (0.72, 0.74, 0.76), (0.56, 0.58, 0.6)), 1.0),
        "night with stars": noisy(_blend(stars, (0.02, 0.02, 0.05), (0.8, 0.8, 0.75)), 1.5),
        "product on white": _jpeg(
            _blend(bottle, (0.94, 0.94, 0.93), (0.2, 0.35, 0.25)) * (1 - 0.15 * shadow * (1 - bottle)), 90
        ),
        "page of text": _blend(_letters(random), (0.97, 0.96, 0.92), (0.12, 0.12, 0.15)),
        "two flat colours": _blend((x + 0.3 * y < 0.6).astype(float), (0.75, 0.3, 0.25), (0.2, 0.35, 0.6)),
    }
    return {name: _photo(photo) for name, photo in photos.items()}


def lamps() -> Tensor:
    """Return a style (3, 64, 80): a dark street with a few warm lamps."""
    y, x = np.mgrid[:64, :80]
    places = ((12, 20, 4), (40, 16, 6), (66, 24, 3), (30, 40, 10), (60, 50, 12))  # (x, y, radius)
    light = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * radius**2)) for a, b, radius in places)
    texture = scipy.ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(3, 64, 80)), (0, 1, 1))
    return _photo(_blend(np.minimum(light, 1), (0.05, 0.05, 0.12), (0.9, 0.6, 0.33)) + 0.07 * texture)


def _blend(share: Array, first: Colour, second: Colour) -> Array:
    """Return (3, H, W): the first colour where the share (H, W) is 0, the second where it is 1."""
    start, end = (np.array(colour)[:, None, None] for colour in (first, second))
    mixed: Array = start + (end - start) * share
    return mixed


def _letters(random: np.random.Generator) -> Array:
    """Return lines of squares and gaps, (H, W), 1 where there is ink."""
    page = np.zeros((HEIGHT, WIDTH))
    for row in range(8, HEIGHT - 8, 9):
        for column in range(8, WIDTH - 8, 6):
            page[row : row + 5, column : column + 4] = random.random() < 0.8
    return page


def _jpeg(picture: Array, quality: int) -> Array:
    """Return a picture (3, H, W) as a JPEG file keeps it."""
    file = io.BytesIO()
    pixels = np.round(255 * picture.clip(0, 1)).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    decoded: Array = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
    return decoded


def _photo(picture: Array) -> Tensor:
    return torch.from_numpy((np.round(255 * picture.clip(0, 1)) / 255).astype(np.float32))
