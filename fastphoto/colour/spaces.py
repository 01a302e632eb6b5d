"""Colour spaces: luma weights, an opponent space, and CIELAB."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from fastphoto import ops

LUMA = (0.299, 0.587, 0.114)
"""Weights of R', G' and B' in luma, ITU-R BT.601."""

# Rows: luma, red against green, yellow against blue; the colour differences have length 1. Monge-Kantorovich maps
# measure movement along these axes. In plain RGB, a channel with hardly any contrast, such as red in a yellow flower,
# would be stretched to the contrast of another. Luma has weight 4, by eye, so that light colours stay light.
OPPONENT = torch.tensor(
    [[4 * weight for weight in LUMA], [0.5**0.5, -(0.5**0.5), 0], [6**-0.5, 6**-0.5, -2 * 6**-0.5]],
    dtype=torch.float32,
    device="cpu",
)
"""(3, 3), the axes of an opponent space in gamma-encoded sRGB, one per row."""

Planes = TypeVar("Planes", np.ndarray, Tensor)


def srgb_to_lab(planes: Planes) -> Planes:
    """Convert sRGB (IEC 61966-2-1) to CIELAB (CIE 15) under D65.

    Args:
        planes: sRGB, (3, H, W), in [0, 1], an array or a tensor of floats.

    Returns:
        L* in [0, 100], a* and b*, (3, H, W), of the same type; tensors are differentiable once.

    Example:
        >>> grey = srgb_to_lab(np.full((3, 1, 1), 0.5)).round(2)
        >>> float(grey[0, 0, 0])
        53.39
    """
    if isinstance(planes, np.ndarray):
        return srgb_to_lab(torch.from_numpy(planes.copy())).numpy()
    return ops.srgb_to_lab(planes)


def lab_to_srgb(lab: Tensor) -> Tensor:
    """Convert CIELAB to sRGB; colours that sRGB lacks become paler, towards the grey of the same lightness.

    In linear light, such a colour c with the grey g of its luminance becomes g + t (c - g) with the largest t that fits
    into [0, 1]: hue and lightness stay, and no channel is cut off.

    Args:
        lab: L*, a* and b* under D65, (3, H, W), floats.

    Returns:
        sRGB in [0, 1], (3, H, W); differentiable once.

    Example:
        >>> lab_to_srgb(srgb_to_lab(torch.full((3, 1, 1), 0.25))).flatten()
        tensor([0.2500, 0.2500, 0.2500])
        >>> lab_to_srgb(torch.tensor([50.0, 200.0, 0.0])[:, None, None]).max() <= 1
        tensor(True)
    """
    return ops.lab_to_srgb(lab)
