"""Local contrast of a picture band by band, and how far it exceeds a limit."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.ops.library import native, refuse_gradient

_LEAST_SQUARE = 1e-4  # the root of 0 has no derivative


def band_contrasts(lab: Tensor, bands: int) -> list[Tensor]:
    """Return the local contrast of each band of a picture, fine to coarse, by PyTorch's operators.

    A band is what the picture at half the size lacks, of the picture, its half, and so on. Its local contrast is the
    root mean square over 5 x 5 pixels, cropped at the border, and the sum over channels.

    Args:
        lab: picture in L*a*b*, (3, H, W).
        bands: largest number of bands; those of fewer than 2 x 2 pixels are left out.

    Returns:
        Contrasts, (H, W), (ceil(H / 2), ceil(W / 2)), ... Differentiable; the gradient is the same in every run.

    Example:
        >>> [tuple(contrast.shape) for contrast in band_contrasts(torch.rand(3, 20, 5), bands=4)]
        [(20, 5), (10, 3), (5, 2)]
    """
    contrasts: list[Tensor] = []
    fine = lab
    while len(contrasts) < bands and min(fine.shape[1:]) >= 2:
        coarse = F.avg_pool2d(fine[None], 2, ceil_mode=True)[0]
        detail = fine - _enlarged(coarse, fine.shape[1], fine.shape[2])
        contrasts.append((window_means(detail.square().sum(0)) + _LEAST_SQUARE).sqrt())
        fine = coarse
    return contrasts


def contrast_excess(lab: Tensor, importance: Tensor, limit: Tensor, bands: int) -> Tensor:
    """Return by how much the local contrast of a picture exceeds a limit: sum over bands of mean w max(c - t, 0)^2.

    c is the local contrast of a band, see :func:`band_contrasts`; w is the importance and t the limit of each pixel.

    Args:
        lab: picture in L*a*b*, (3, H, W), float32 or float64.
        importance: of the pixels of all bands, fine to coarse, (N,), same dtype and device; a constant.
        limit: likewise, (N,); a constant.
        bands: number of bands, 1 or more, each of at least 2 x 2 pixels.

    Returns:
        The loss, a scalar, on the CPU accumulated in double. Differentiable once, in the picture.

    Raises:
        InputError: importance or limit require a gradient.
        RuntimeError: a wrong shape, dtype, device or number.

    Example:
        >>> flat = torch.full((3, 8, 8), 50.0)
        >>> contrast_excess(flat, torch.ones(80), torch.zeros(80), bands=2).round(decimals=6)  # contrasts of 0.01
        tensor(0.0002)
    """
    refuse_gradient("contrast_excess", "importance", importance)
    refuse_gradient("contrast_excess", "limit", limit)
    if lab.is_cuda:
        return contrast_excess_by_torch(lab, importance, limit, bands)
    return native.contrast_excess.default(lab, importance, limit, bands)[0]


def contrast_excess_by_torch(lab: Tensor, importance: Tensor, limit: Tensor, bands: int) -> Tensor:
    """Return the same by PyTorch's operators, some twenty-five for each band."""
    contrasts = band_contrasts(lab, bands)
    sizes = [contrast.numel() for contrast in contrasts]
    each = zip(contrasts, importance.split(sizes), limit.split(sizes), strict=True)
    excesses = [(w * (c.flatten() - t).clamp_min(0).square()).mean() for c, w, t in each]
    return torch.stack(excesses).sum()


def window_means(planes: Tensor) -> Tensor:
    """Return means over 5 x 5 pixels of planes (..., H, W), cropped at the border."""
    flat = planes.reshape(1, -1, *planes.shape[-2:])
    return F.avg_pool2d(flat, 5, stride=1, padding=2, count_include_pad=False).view(planes.shape)


def _enlarged(planes: Tensor, height: int, width: int) -> Tensor:
    """Enlarge planes (K, h, w) bilinearly, by products with matrices: their gradient is the same in every run."""
    rows = _enlarging(planes.shape[1], height, planes.dtype, planes.device)
    columns = _enlarging(planes.shape[2], width, planes.dtype, planes.device)
    return rows.T @ planes @ columns


@functools.lru_cache(maxsize=64)  # matrices are needed again in each step
def _enlarging(count: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix (count, size) that enlarges bilinearly along one dimension."""
    with torch.inference_mode(False):  # whoever needs it next may differentiate
        return F.interpolate(torch.eye(count, dtype=dtype, device=device)[None], size, mode="linear")[0]


# The fake kernel: torch.compile traces without data, and needs the shapes of the results.
@torch.library.register_fake("fastphoto::contrast_excess")
def _fake_contrast_excess(lab: Tensor, importance: Tensor, limit: Tensor, bands: int) -> tuple[Tensor, Tensor]:
    return lab.new_empty(()), lab.new_empty(lab.shape)


# Autograd cannot look into the kernel, which finds value and gradient in one pass.
def _contrast_excess_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])


def _contrast_excess_gradient(
    ctx: Any, grad: Tensor | None, _: Tensor | None
) -> tuple[Tensor | None, None, None, None]:
    if grad is None:
        return None, None, None, None
    if grad.requires_grad and torch.is_grad_enabled():
        raise NotImplementedError("fastphoto::contrast_excess is differentiable once, not twice")
    return grad * ctx.saved_tensors[0], None, None, None


torch.library.register_autograd(
    "fastphoto::contrast_excess", _contrast_excess_gradient, setup_context=_contrast_excess_setup
)
