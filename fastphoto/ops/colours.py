"""sRGB to CIELAB and back: one kernel each on the CPU, PyTorch's own operators elsewhere."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from fastphoto.ops.library import native

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


def srgb_to_lab(srgb: Tensor) -> Tensor:
    """Convert sRGB (IEC 61966-2-1) to CIELAB (CIE 15) under D65.

    Args:
        srgb: colours, (3, H, W), float32 or float64, on the CPU computed in double, in [0, 1].

    Returns:
        L* in [0, 100], a* and b*, (3, H, W). Differentiable once.

    Raises:
        RuntimeError: a wrong shape or dtype.

    Example:
        >>> srgb_to_lab(torch.full((3, 1, 1), 0.5))[0].round(decimals=2)
        tensor([[53.3900]])
    """
    return srgb_to_lab_by_torch(srgb) if srgb.is_cuda else native.srgb_to_lab.default(srgb)


def lab_to_srgb(lab: Tensor) -> Tensor:
    """Convert CIELAB to sRGB; colours that sRGB lacks become paler, see `fastphoto.colour.lab_to_srgb`.

    Args:
        lab: L*, a* and b*, (3, H, W), float32 or float64, on the CPU computed in double.

    Returns:
        sRGB in [0, 1], (3, H, W). Differentiable once.

    Raises:
        RuntimeError: a wrong shape or dtype.

    Example:
        >>> lab_to_srgb(torch.tensor([100.0, 0.0, 0.0])[:, None, None]).flatten()
        tensor([1., 1., 1.])
    """
    return lab_to_srgb_by_torch(lab) if lab.is_cuda else native.lab_to_srgb.default(lab)


def srgb_to_lab_by_torch(srgb: Tensor) -> Tensor:
    """Return the same by some twenty of PyTorch's operators."""
    # Each branch is clamped to its own side, so that the branch not taken has no infinite derivative.
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    xyz = torch.tensordot(_to_xyz(srgb.dtype, srgb.device), linear, 1)
    root = xyz.clamp_min(_LINEAR_BELOW) ** (1 / 3)
    f = torch.where(xyz > _LINEAR_BELOW, root, (24389 / 27 * xyz + 16) / 116)
    return torch.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def lab_to_srgb_by_torch(lab: Tensor) -> Tensor:
    """Return the same by some twenty of PyTorch's operators."""
    middle = (lab[0] + 16) / 116
    f = torch.stack([middle + lab[1] / 500, middle, middle - lab[2] / 200])
    xyz = torch.where(f > 6 / 29, f**3, (116 * f - 16) * 27 / 24389)
    grey = xyz[1:2].clamp(0, 1)
    chroma = torch.tensordot(_from_xyz(lab.dtype, lab.device), xyz, 1) - grey
    room = torch.where(chroma > 0, (1 - grey) / chroma.clamp_min(1e-6), grey / (-chroma).clamp_min(1e-6))
    linear = grey + chroma * room.amin(0, keepdim=True).clamp(0, 1)
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curved).clamp(0, 1)


# Fake kernels: torch.compile traces without data, and needs the shapes of the results.
def _fake_conversion(planes: Tensor) -> Tensor:
    return planes.new_empty(planes.shape)


def _fake_gradient(grad: Tensor, planes: Tensor) -> Tensor:
    return planes.new_empty(planes.shape)


# Autograd cannot look into the kernels, so their gradients are registered here. They are operators too.
def _register_gradient(name: str) -> None:
    backward = getattr(native, f"{name}_backward").default

    def setup(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    def gradient(ctx: Any, grad: Tensor) -> Tensor:
        found: Tensor = backward(grad, *ctx.saved_tensors)
        return found

    # Without this a second derivative would silently be zero.
    def second_derivative(ctx: Any, grad: Tensor) -> tuple[None, ...]:
        raise NotImplementedError(f"fastphoto::{name} is differentiable once, not twice")

    torch.library.register_fake(f"fastphoto::{name}", _fake_conversion)
    torch.library.register_fake(f"fastphoto::{name}_backward", _fake_gradient)
    torch.library.register_autograd(f"fastphoto::{name}", gradient, setup_context=setup)
    torch.library.register_autograd(f"fastphoto::{name}_backward", second_derivative)


_register_gradient("srgb_to_lab")
_register_gradient("lab_to_srgb")
