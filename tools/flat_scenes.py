"""Flat scenes that photographers have, rendered, each with a style: structure that shows up in them is invented."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

Array = npt.NDArray[np.float64]
Colour = tuple[float, float, float]

_HEIGHT, _WIDTH = 240, 320
_STYLES: dict[str, tuple[Colour, Colour]] = {  # colours of the upper and the lower half
    "sunset": ((0.9, 0.5, 0.3), (0.2, 0.12, 0.16)),
    "meadow": ((0.45, 0.6, 0.9), (0.3, 0.5, 0.15)),
    "city at night": ((0.06, 0.07, 0.2), (0.5, 0.35, 0.15)),
}


def flat_scenes() -> dict[str, tuple[Tensor, Tensor]]:
    """Return content and style, each (3, 240, 320), sRGB in [0, 1], by the name of the scene; the same at every call.

    Example:
        >>> content, style = flat_scenes()["fog"]
        >>> content.shape, style.shape
        (torch.Size([3, 240, 320]), torch.Size([3, 240, 320]))
    """
    random = np.random.default_rng(0)
    y, x = np.mgrid[:_HEIGHT, :_WIDTH] / np.array([_HEIGHT, _WIDTH])[:, None, None]

    def noisy(image: Array, deviation: float) -> Array:
        """Add noise, its deviation in units of 1 / 255."""
        return image + random.normal(0, deviation / 255, image.shape)

    stars = np.zeros_like(x)
    stars[random.integers(0, _HEIGHT, 60), random.integers(0, _WIDTH, 60)] = 1
    vase = ndimage.gaussian_filter((np.hypot((x - 0.5) / 0.12, (y - 0.5) / 0.25) < 1).astype(float), 1)
    words = ndimage.zoom((random.random((12, 16)) < 0.4).astype(float), 20, order=0)
    product = _blend(vase, (0.93, 0.93, 0.92), (0.25, 0.3, 0.35)) * (1 - 0.2 * vase * x)  # shaded from left to right
    contents = {
        "one colour": _plain((0.5, 0.45, 0.4)),
        "black": noisy(_plain((0.01, 0.01, 0.01)), 0.5),
        "white wall": noisy(_plain((0.9, 0.9, 0.88)), 1.5),
        "sky": _jpeg(noisy(_blend(y, (0.25, 0.45, 0.8), (0.85, 0.9, 0.97)), 1)),
        "fog": noisy(_blend(y, (0.7, 0.72, 0.74), (0.55, 0.57, 0.6)), 1),
        "night with stars": noisy(_blend(ndimage.gaussian_filter(stars, 0.6), (0.02, 0.02, 0.05), (0.9, 0.9, 0.85)), 2),
        "product on white": _jpeg(product),
        "page of text": _blend(words * (np.sin(40 * np.pi * y) > 0), (0.97, 0.96, 0.92), (0.15, 0.15, 0.18)),
    }
    styles = [_style(random, *colours) for colours in _STYLES.values()]
    return {
        name: (_photo(content), _photo(styles[number % len(styles)]))
        for number, (name, content) in enumerate(contents.items())
    }


def _plain(colour: Colour) -> Array:
    return _blend(np.zeros((_HEIGHT, _WIDTH)), colour, colour)


def _blend(share: Array, first: Colour, second: Colour) -> Array:
    """Return (3, H, W): the first colour where the share (H, W) is 0, the second where it is 1."""
    start, end = (np.array(colour)[:, None, None] for colour in (first, second))
    mixed: Array = start + (end - start) * share
    return mixed


def _style(random: np.random.Generator, upper: Colour, lower: Colour) -> Array:
    """Return a picture (3, H, W) of two halves, with texture of a 1 / f spectrum as photos have."""
    frequency = np.hypot(np.fft.fftfreq(_HEIGHT)[:, None], np.fft.rfftfreq(_WIDTH))
    frequency[0, 0] = 1
    spectrum = random.normal(size=(3, *frequency.shape)) + 1j * random.normal(size=(3, *frequency.shape))
    texture = np.fft.irfft2(spectrum / frequency, s=(_HEIGHT, _WIDTH))
    grey = texture.mean(0)
    half = np.broadcast_to(np.arange(_HEIGHT)[:, None] >= _HEIGHT // 2, (_HEIGHT, _WIDTH)).astype(float)
    style: Array = _blend(half, upper, lower) + 0.06 * grey / grey.std() + 0.04 * texture / texture.std()
    return style


def _jpeg(image: Array) -> Array:
    """Return an image (3, H, W) as a JPEG file of quality 85 keeps it."""
    file = io.BytesIO()
    pixels = np.round(image.clip(0, 1).transpose(1, 2, 0) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    decoded: Array = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255.0
    return decoded


def _photo(image: Array) -> Tensor:
    """Return an image as 8 bits keep it."""
    return torch.from_numpy(np.round(image.clip(0, 1) * 255) / 255).float()
