"""Colour spaces: luma weights, an opponent space, and CIELAB."""

from __future__ import annotations

import functools
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

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

# Linear sRGB to XYZ (the primaries of IEC 61966-2-1, to seven digits) over the white point D65 (2 degrees).
_SRGB_TO_XYZ = torch.tensor(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    dtype=torch.float64,
    device="cpu",
) / torch.tensor([[0.95047], [1.0], [1.08883]], dtype=torch.float64, device="cpu")
_XYZ_TO_SRGB = torch.linalg.inv(_SRGB_TO_XYZ)
_LINEAR_BELOW = 216 / 24389  # CIE 15: (6/29)^3, and the slope (29/3)^3 / 116 of the straight part below it


# Copies stay on their device: a CUDA graph cannot hold a copy from the host.
@functools.cache
def _to_xyz(dtype: torch.dtype, device: torch.device) -> Tensor:
    return _SRGB_TO_XYZ.to(device, dtype)


@functools.cache
def _from_xyz(dtype: torch.dtype, device: torch.device) -> Tensor:
    return _XYZ_TO_SRGB.to(device, dtype)


Planes = TypeVar("Planes", np.ndarray, Tensor)


def srgb_to_lab(planes: Planes) -> Planes:
    """Convert sRGB (IEC 61966-2-1) to CIELAB (CIE 15) under D65.

    Args:
        planes: sRGB, (3, H, W), in [0, 1], an array or a tensor of floats.

    Returns:
        L* in [0, 100], a* and b*, (3, H, W), of the same type; tensors are differentiable.

    Example:
        >>> grey = srgb_to_lab(np.full((3, 1, 1), 0.5)).round(2)
        >>> float(grey[0, 0, 0])
        53.39
    """
    if isinstance(planes, np.ndarray):
        return srgb_to_lab(torch.from_numpy(planes.copy())).numpy()
    # Each branch is clamped to its own side, so that the branch not taken has no infinite derivative.
    linear = torch.where(planes <= 0.04045, planes / 12.92, ((planes.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    xyz = torch.tensordot(_to_xyz(planes.dtype, planes.device), linear, 1)
    root = xyz.clamp_min(_LINEAR_BELOW) ** (1 / 3)
    f = torch.where(xyz > _LINEAR_BELOW, root, (24389 / 27 * xyz + 16) / 116)
    return torch.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def lab_to_srgb(lab: Tensor) -> Tensor:
    """Convert CIELAB to sRGB; colours that sRGB lacks become paler, towards the grey of the same lightness.

    In linear light, such a colour c with the grey g of its luminance becomes g + t (c - g) with the largest t that fits
    into [0, 1]: hue and lightness stay, and no channel is cut off.

    Args:
        lab: L*, a* and b* under D65, (3, H, W), floats.

    Returns:
        sRGB in [0, 1], (3, H, W); differentiable.

    Example:
        >>> lab_to_srgb(srgb_to_lab(torch.full((3, 1, 1), 0.25))).flatten()
        tensor([0.2500, 0.2500, 0.2500])
        >>> lab_to_srgb(torch.tensor([50.0, 200.0, 0.0])[:, None, None]).max() <= 1
        tensor(True)
    """
    middle = (lab[0] + 16) / 116
    f = torch.stack([middle + lab[1] / 500, middle, middle - lab[2] / 200])
    xyz = torch.where(f > 6 / 29, f**3, (116 * f - 16) * 27 / 24389)
    grey = xyz[1:2].clamp(0, 1)
    chroma = torch.tensordot(_from_xyz(lab.dtype, lab.device), xyz, 1) - grey
    room = torch.where(chroma > 0, (1 - grey) / chroma.clamp_min(1e-6), grey / (-chroma).clamp_min(1e-6))
    linear = grey + chroma * room.amin(0, keepdim=True).clamp(0, 1)
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curved).clamp(0, 1)
