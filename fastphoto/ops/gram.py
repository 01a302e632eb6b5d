"""Gram matrices of the activations in each region."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.ops import _C
from fastphoto.ops.library import native, refuse_gradient


@dataclass(frozen=True, eq=False)
class PixelLists:
    """The pixels of each region, made once from masks by :func:`list_pixels` and used for every Gram matrix.

    Region r owns the entries offsets[r] ... offsets[r + 1] - 1: ascending pixel numbers y * width + x in
    `indices`, (P,) int32, and mask values in `weights`, (P,). `offsets`, (R + 1,) int64, stays on the CPU.
    """

    indices: Tensor
    weights: Tensor
    offsets: Tensor
    height: int
    width: int

    def to(self, device: torch.device | str) -> PixelLists:
        return replace(self, indices=self.indices.to(device), weights=self.weights.to(device))


def list_pixels(masks: Tensor) -> PixelLists:
    """Lists the pixels with mask > 0, region by region.

    Args:
        masks: (R, H, W), finite values of at least 0, normally in [0, 1]; regions may overlap, be soft, or
            be empty. Other dtypes than float32 and float64 are taken as float32.

    Raises:
        InputError: wrong rank, negative or not finite values, or masks that require a gradient.
    """
    if masks.dim() != 3 or masks.numel() == 0:
        raise InputError(f"list_pixels: masks is {tuple(masks.shape)}, wanted a non-empty (R, H, W)")
    refuse_gradient("list_pixels", "masks", masks)
    regions, height, width = masks.shape
    values = masks.detach().to("cpu", torch.float64 if masks.dtype == torch.float64 else torch.float32)
    try:
        lists = _C.list_pixels(values.reshape(regions, -1).contiguous().numpy())
    except ValueError as error:
        raise InputError(f"list_pixels: {error}") from None
    indices, weights, offsets = (torch.from_numpy(values) for values in lists)
    return PixelLists(indices.to(masks.device), weights.to(masks.device), offsets, height, width)


def masked_gram(features: Tensor, masks: Tensor | PixelLists) -> Tensor:
    """The Gram matrix of each region, G_r = sum over pixels p of m_rp^2 f_p f_p^T, divided by nothing.

    The cost follows the regions' total area and not their number. The gradient is exact,
    dF_p = sum_r m_rp^2 (dG_r + dG_r^T) f_p, and keeps the features' memory format (planar or channels-last).

    Args:
        features: (C, H, W), float32 or float64, on CUDA also bfloat16, whose Gram matrices are float32.
        masks: (R, H, W) on the same device, or a :class:`PixelLists` of them, which saves listing their
            pixels again.

    Returns:
        (R, C, C), symmetric; zeros for an empty region. Differentiable once, in the features.

    Raises:
        InputError: masks of another size than the features, or that require a gradient.
    """
    plan = masks if isinstance(masks, PixelLists) else list_pixels(masks)
    if features.dim() != 3 or features.shape[1:] != (plan.height, plan.width):
        raise InputError(f"masked_gram: features is {tuple(features.shape)}, wanted (C, {plan.height}, {plan.width})")
    exact = torch.promote_types(features.dtype, torch.float32)
    return native.masked_gram.default(features, plan.indices, plan.weights.to(exact), plan.offsets)


@torch.library.register_fake("fastphoto::masked_gram")
def _(features: Tensor, indices: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    channels = features.shape[0]
    return weights.new_empty((offsets.shape[0] - 1, channels, channels))


@torch.library.register_fake("fastphoto::masked_gram_backward")
def _(grad: Tensor, features: Tensor, indices: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    channels, height, width = features.shape
    across, down, along = features.stride()
    if channels > 1 and across == 1 and down == width * along:
        return features.new_empty((height, width, channels)).permute(2, 0, 1)
    return features.new_empty((channels, height, width))


def _gram_setup(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gram_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return native.masked_gram_backward.default(grad, *ctx.saved_tensors), None, None, None


def _gram_second_derivative(ctx: Any, grad: Tensor) -> tuple[None, ...]:
    raise NotImplementedError("fastphoto::masked_gram is differentiable once, not twice")


torch.library.register_autograd("fastphoto::masked_gram", _gram_backward, setup_context=_gram_setup)


torch.library.register_autograd("fastphoto::masked_gram_backward", _gram_second_derivative)
