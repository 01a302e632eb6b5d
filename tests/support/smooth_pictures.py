"""Smooth pictures that lossy formats hardly change, and how a `Photo` holds them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image


def smooth_picture(height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    """Return an (H, W, C) uint8 picture of a few large patches of colour with soft edges."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, channels), np.uint8)
    planes = [
        Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC) for plane in np.rollaxis(coarse, 2)
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def as_pixels(array: np.ndarray) -> torch.Tensor:
    """Return (H, W, C) uint8 as (C, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1))).float() / 255
