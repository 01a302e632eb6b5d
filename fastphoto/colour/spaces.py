"""Colour spaces and fixed colour axes: luma, an opponent space, and CIELAB."""

from __future__ import annotations

import numpy as np
import torch


def srgb_to_lab(planes: np.ndarray) -> np.ndarray:
    """sRGB (3, H, W) in [0, 1] to CIELAB (3, H, W) under D65: L* in [0, 100], a*, b* (IEC 61966-2-1, CIE 15)."""
    linear = np.where(planes <= 0.04045, planes / 12.92, ((planes + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    white = np.array([0.95047, 1.0, 1.08883])
    xyz = np.tensordot(to_xyz / white[:, None], linear, 1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


LUMA = (0.299, 0.587, 0.114)

# Luma, counted four times, and two colour differences of unit length: what the least movement is measured in. In plain
# RGB a channel with hardly any contrast, such as red in a yellow flower, is stretched over the contrast of another.
OPPONENT = torch.tensor(
    [[4 * 0.299, 4 * 0.587, 4 * 0.114], [0.5**0.5, -(0.5**0.5), 0], [6**-0.5, 6**-0.5, -2 * 6**-0.5]]
)
