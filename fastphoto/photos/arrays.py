"""Photos from numpy arrays and tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.photos.photo import Photo


def checked_unit_range(values: Tensor, name: str) -> Tensor:
    """Check in place that float values lie in [0, 1] up to rounding."""
    if values.numel() == 0:
        return values
    low, high = (bound.item() for bound in torch.aminmax(values))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name}: holds NaN or infinite values; float values must be finite and in [0, 1]")
    if low < -0.001 or high > 1.001:
        fix = "divide by 255" if low >= 0 and high <= 255 else "scale them to it"
        raise InputError(f"{name}: float values must be in [0, 1], got {low:.4g} to {high:.4g}; {fix}")
    return values.clamp_(0, 1)


def photo_of_array(array: np.ndarray, role: str) -> Photo:
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise InputError(f"{role}: array of {array.dtype}; give uint8, uint16, or float in [0, 1]")
    shape = "x".join(map(str, array.shape))
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        raise InputError(f"{role}: array of shape {shape}; numpy arrays have channels last, transpose(1, 2, 0)")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        raise InputError(f"{role}: array of shape {shape}; give (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    channels_first = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    with np.errstate(over="ignore"):  # a float64 too large for float32 is reported as infinite
        values = torch.from_numpy(np.array(channels_first, dtype=np.float32, order="C"))
    bits = array.dtype.itemsize * 8
    values = checked_unit_range(values, role) if array.dtype.kind == "f" else values.div_(2**bits - 1)
    pixels, alpha = _colour_and_alpha(values)
    return Photo(pixels, alpha, "numpy", role, bits=bits, dtype=array.dtype)


def photo_of_tensor(tensor: Tensor, role: str) -> Photo:
    if tensor.dtype != torch.uint8 and not tensor.dtype.is_floating_point:
        raise InputError(f"{role}: tensor of {tensor.dtype}; give uint8, or float in [0, 1]")
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise InputError(f"{role}: a sparse, quantized or meta tensor has no pixels to read; give a dense tensor")
    shape = "x".join(map(str, tensor.shape))
    if tensor.ndim == 4 and tensor.shape[0] > 1:
        raise InputError(f"{role}: tensor of shape {shape} is a batch; give one photo at a time")
    planes = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
    if planes.ndim != 3 or planes.shape[0] not in (1, 3, 4):
        hint = (
            "; tensors have channels first, permute(2, 0, 1)"
            if planes.ndim == 3 and planes.shape[-1] in (1, 3, 4)
            else ""
        )
        raise InputError(f"{role}: tensor of shape {shape}; give (C, H, W) or (1, C, H, W) with C of 1, 3 or 4{hint}")
    values = planes.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    values = values.div_(255) if tensor.dtype == torch.uint8 else checked_unit_range(values, role)
    pixels, alpha = _colour_and_alpha(values)
    layout = "nchw" if tensor.ndim == 4 else "chw"
    bits = tensor.dtype.itemsize * 8
    return Photo(pixels, alpha, "tensor", role, bits=bits, dtype=tensor.dtype, layout=layout)


def _colour_and_alpha(values: Tensor) -> tuple[Tensor, Tensor | None]:
    if values.shape[0] == 4:
        return values[:3], values[3]
    return values.expand(3, -1, -1).contiguous(), None
