"""Small rendered photos with known regions, for the tests of whole transfers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastphoto.regions.palette import PALETTE

SKY, LAND = "lightblue", "green"


@dataclass(frozen=True)
class Rendered:
    """A photo of a house on land, under a sky."""

    pixels: Tensor  # (3, H, W) float32, multiples of 1 / 255
    region_map: np.ndarray  # (H, W) int64: 0 is the sky, 1 the land

    @property
    def mask_picture(self) -> np.ndarray:
        """The region map as a picture, (H, W, 3) uint8 in palette colours."""
        return np.array([PALETTE[SKY], PALETTE[LAND]], np.uint8)[self.region_map]

    @property
    def masks(self) -> Tensor:
        """The masks of sky and land, (2, H, W) float32, 0 or 1."""
        return torch.stack([torch.from_numpy(self.region_map == r) for r in (0, 1)]).float()

    @property
    def array(self) -> np.ndarray:
        """The pixels as (H, W, 3) uint8."""
        return (self.pixels * 255).round().to(torch.uint8).permute(1, 2, 0).numpy().copy()

    @property
    def muted(self) -> Tensor:
        """The pixels with less contrast, so that no mapped colour leaves [0, 1]."""
        return 0.35 + 0.3 * self.pixels

    def mean_colours(self, pixels: Tensor | None = None) -> Tensor:
        """Return the mean colour of each region (2, 3), of `pixels` or else of the photo itself."""
        pixels = self.pixels if pixels is None else pixels
        return torch.stack([pixels[:, torch.from_numpy(self.region_map == r)].mean(1) for r in (0, 1)])


def day(height: int = 48, width: int = 64) -> Rendered:
    """Return a photo of a blue sky above green land."""
    return _rendered(height, width, (0.45, 0.6, 0.85), (0.3, 0.45, 0.2), (0.8, 0.75, 0.7), 0.55, seed=1)


def dusk(height: int = 56, width: int = 48) -> Rendered:
    """Return a photo of a red sky above dark land."""
    return _rendered(height, width, (0.85, 0.45, 0.3), (0.2, 0.12, 0.16), (0.1, 0.07, 0.1), 0.4, seed=2)


def _rendered(
    height: int,
    width: int,
    sky: tuple[float, float, float],
    land: tuple[float, float, float],
    house: tuple[float, float, float],
    horizon: float,
    seed: int,
) -> Rendered:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    region_map = (y >= horizon * height + 2 * np.sin(x / 7)).astype(np.int64)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1
    spectrum = rng.normal(size=(3, *frequency.shape)) + 1j * rng.normal(size=(3, *frequency.shape))
    noise = np.fft.irfft2(spectrum / frequency, s=(height, width))
    texture = 0.06 * (0.8 * noise.mean(0) + 0.2 * noise) / noise.mean(0).std()
    picture = np.array([sky, land]).T[:, region_map] + texture
    picture[0] += 0.1 * (1 - region_map) * y / height  # a gradient in the sky
    walls = np.s_[:, int(0.6 * height) : int(0.8 * height), int(0.3 * width) : int(0.5 * width)]
    picture[walls] = np.array(house)[:, None, None] + texture[walls] / 2
    quantised = np.round(np.clip(picture, 0, 1) * 255) / 255
    return Rendered(torch.from_numpy(quantised.astype(np.float32)), region_map)
