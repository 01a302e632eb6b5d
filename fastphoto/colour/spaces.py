"""Colour spaces: luma weights, an opponent space, and CIELAB."""

from __future__ import annotations

import numpy as np
import torch

LUMA = (0.299, 0.587, 0.114)
"""Weights of R', G' and B' in luma, ITU-R BT.601."""

# Rows: luma, red against green, yellow against blue; the colour differences have length 1. Monge-Kantorovich maps
# measure movement along these axes. In plain RGB, a channel with hardly any contrast, such as red in a yellow flower,
# would be stretched to the contrast of another. Luma has weight 4, by eye, so that light colours stay light.
OPPONENT = torch.tensor([[4 * weight for weight in LUMA], [0.5**0.5, -(0.5**0.5), 0], [6**-0.5, 6**-0.5, -2 * 6**-0.5]])
"""(3, 3), the axes of an opponent space in gamma-encoded sRGB, one per row."""

# Linear sRGB to XYZ (the primaries of IEC 61966-2-1, to seven digits), and the white point D65 (2 degrees).
_SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_D65 = np.array([0.95047, 1.0, 1.08883])


def srgb_to_lab(planes: np.ndarray) -> np.ndarray:
    """Convert sRGB (IEC 61966-2-1) to CIELAB (CIE 15) under D65.

    Args:
        planes: sRGB, (3, H, W), in [0, 1].

    Returns:
        L* in [0, 100], a* and b*, (3, H, W).

    Example:
        >>> grey = srgb_to_lab(np.full((3, 1, 1), 0.5)).round(2)
        >>> float(grey[0, 0, 0])
        53.39
    """
    linear = np.where(planes <= 0.04045, planes / 12.92, ((planes + 0.055) / 1.055) ** 2.4)
    xyz = np.tensordot(_SRGB_TO_XYZ / _D65[:, None], linear, 1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)  # CIE 15's (6/29)^3 and (29/3)^3
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
