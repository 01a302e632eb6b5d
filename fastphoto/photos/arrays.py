"""Photos from numpy arrays and tensors."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.photos.photo import Photo

_ROUNDING = 0.001  # how far float values may lie outside [0, 1]


def photo_of_array(array: np.ndarray[Any, Any], role: str) -> Photo:
    """Make a `Photo` from (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) values of uint8, uint16 or float in [0, 1]."""
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise InputError(f"{role}: array of {array.dtype}; give uint8, uint16, or float in [0, 1]")
    shape = "x".join(map(str, array.shape))
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        raise InputError(f"{role}: array of shape {shape}; numpy arrays have channels last, transpose(1, 2, 0)")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        raise InputError(f"{role}: array of shape {shape}; give (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    pixels, alpha = pixels_and_alpha(array, role)
    return Photo(pixels, alpha, "numpy", role, bits=array.dtype.itemsize * 8, dtype=array.dtype)


def photo_of_tensor(tensor: Tensor, role: str) -> Photo:
    """Make a `Photo` from (C, H, W) or (1, C, H, W) values, C = 1, 3 or 4, of uint8 or float in [0, 1]."""
    if tensor.dtype != torch.uint8 and not tensor.dtype.is_floating_point:
        raise InputError(f"{role}: tensor of {tensor.dtype}; give uint8, or float in [0, 1]")
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise InputError(f"{role}: a sparse, quantized or meta tensor has no pixels to read; give a dense tensor")
    shape = "x".join(map(str, tensor.shape))
    if tensor.ndim == 4 and tensor.shape[0] > 1:
        raise InputError(f"{role}: tensor of shape {shape} is a batch; give one photo at a time")
    planes = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
    if planes.ndim != 3 or planes.shape[0] not in (1, 3, 4):
        channels_last = planes.ndim == 3 and planes.shape[-1] in (1, 3, 4)
        hint = "; tensors have channels first, permute(2, 0, 1)" if channels_last else ""
        raise InputError(f"{role}: tensor of shape {shape}; give (C, H, W) or (1, C, H, W) with C of 1, 3 or 4{hint}")
    values = planes.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    values = values.div_(255) if tensor.dtype == torch.uint8 else _checked_unit_range(values, role)
    pixels, alpha = _colours_and_alpha(values)
    bits = tensor.dtype.itemsize * 8
    layout: Literal["chw", "nchw"] = "nchw" if tensor.ndim == 4 else "chw"
    return Photo(pixels, alpha, "tensor", role, bits=bits, dtype=tensor.dtype, layout=layout)


def pixels_and_alpha(values: np.ndarray[Any, Any], name: str) -> tuple[Tensor, Tensor | None]:
    """Return the pixels and the alpha of a `Photo` from sRGB values.

    Args:
        values: pixels, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) with alpha; uint8, uint16 or float in [0, 1]; not
            changed.
        name: name of the source in messages.

    Returns:
        Pixels (3, H, W) and alpha (H, W) or None, float32 in [0, 1].

    Raises:
        InputError: float values are outside [0, 1] or not finite.
    """
    channels_first = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes infinite, which is reported
        planes = torch.from_numpy(np.array(channels_first, dtype=np.float32, order="C"))
    if values.dtype.kind == "f":
        return _colours_and_alpha(_checked_unit_range(planes, name))
    return _colours_and_alpha(planes.div_(np.iinfo(values.dtype).max))


def _checked_unit_range(values: Tensor, name: str) -> Tensor:
    """Check that float values lie in [0, 1] up to rounding, and clamp them in place."""
    if values.numel() == 0:
        return values
    low, high = (bound.item() for bound in torch.aminmax(values))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name}: holds NaN or infinite values; float values must be finite and in [0, 1]")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        fix = "divide by 255" if low >= 0 and high <= 255 else "scale them to it"
        raise InputError(f"{name}: float values must be in [0, 1], got {low:.4g} to {high:.4g}; {fix}")
    return values.clamp_(0, 1)


def _colours_and_alpha(values: Tensor) -> tuple[Tensor, Tensor | None]:
    """Split 1, 3 or 4 planes into three colour planes and the alpha plane, if there is one."""
    if values.shape[0] == 4:
        return values[:3], values[3]
    return values.expand(3, -1, -1).contiguous(), None
