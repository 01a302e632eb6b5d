"""Gram matrices of the activations in each region, and the lists of pixels that they are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.ops import _C
from fastphoto.ops.library import native, refuse_gradient

# ---- list_pixels: the pixels of each region


@dataclass(frozen=True, eq=False)
class PixelLists:
    """The pixels of each region, listed once by :func:`list_pixels` for all calls of :func:`masked_gram`.

    Region r owns the entries offsets[r] ... offsets[r + 1] - 1 of `indices` and `weights`.

    Attributes:
        indices: pixel numbers y * width + x, (P,) int32, ascending within each region.
        weights: mask values of these pixels, (P,), above 0.
        offsets: first entry of each region, then the number of all entries, (R + 1,) int64, always on the CPU.
        height: height of the masks in pixels.
        width: width of the masks in pixels.

    Example:
        >>> pixels = list_pixels(torch.tensor([[[0.0, 1.0], [0.5, 0.0]], [[1.0, 0.0], [0.0, 0.0]]]))
        >>> pixels.indices.tolist(), pixels.weights.tolist(), pixels.offsets.tolist()
        ([1, 2, 0], [1.0, 0.5, 1.0], [0, 2, 3])
    """

    indices: Tensor
    weights: Tensor
    offsets: Tensor
    height: int
    width: int

    def to(self, device: torch.device | str) -> PixelLists:
        """Return the lists with indices and weights on another device."""
        return replace(self, indices=self.indices.to(device), weights=self.weights.to(device))


def list_pixels(masks: Tensor) -> PixelLists:
    """List the pixels with mask > 0, region by region.

    Args:
        masks: one mask for each region, (R, H, W), finite values of at least 0, normally in [0, 1]. Regions may
            overlap, have soft borders, or be empty. dtypes other than float32 and float64 are read as float32.

    Returns:
        The lists, with indices and weights on the masks' device.

    Raises:
        InputError: masks of a wrong rank, negative or not finite values, or masks that require a gradient.

    Example:
        >>> sky = torch.zeros(4, 6)
        >>> sky[:2] = 1
        >>> list_pixels(torch.stack([sky, 1 - sky])).offsets.tolist()
        [0, 12, 24]
    """
    if masks.dim() != 3 or masks.numel() == 0:
        raise InputError(f"list_pixels: masks is {tuple(masks.shape)}, expected a non-empty (R, H, W)")
    refuse_gradient("list_pixels", "masks", masks)
    regions, height, width = masks.shape
    values = masks.detach().to("cpu", torch.float64 if masks.dtype == torch.float64 else torch.float32)
    try:
        lists = _C.list_pixels(values.reshape(regions, -1).contiguous().numpy())
    except ValueError as error:
        raise InputError(f"list_pixels: {error}") from None
    indices, weights, offsets = map(torch.from_numpy, lists)
    return PixelLists(indices.to(masks.device), weights.to(masks.device), offsets, height, width)


# ---- masked_gram: one Gram matrix for each region


def masked_gram(features: Tensor, masks: Tensor | PixelLists) -> Tensor:
    """Return the Gram matrix of each region, G_r = sum over pixels p of m_rp^2 f_p f_p^T, without normalisation.

    The cost grows with the total area of the regions and not with their number. The gradient,
    dF_p = sum_r m_rp^2 (dG_r + dG_r^T) f_p, is exact and keeps the memory format of the features.

    Args:
        features: activations of one layer, (C, H, W), float32 or float64, planar or channels-last. On CUDA also
            bfloat16, with Gram matrices in float32.
        masks: one mask for each region, (R, H, W), on the same device; or their :class:`PixelLists`, which saves
            listing the pixels in every call. Under torch.compile(fullgraph=True) only these work.

    Returns:
        Gram matrices, (R, C, C), symmetric, zero for an empty region. Differentiable once, in the features.

    Raises:
        InputError: masks of another size than the features, or masks that :func:`list_pixels` rejects.
        RuntimeError: a wrong dtype or device.

    Example:
        >>> features, masks = torch.rand(16, 4, 6), torch.ones(2, 4, 6)
        >>> gram = masked_gram(features, masks)
        >>> gram.shape, torch.allclose(gram[0], features.flatten(1) @ features.flatten(1).T)
        (torch.Size([2, 16, 16]), True)
    """
    pixels = masks if isinstance(masks, PixelLists) else list_pixels(masks)
    if features.dim() != 3 or features.shape[1:] != (pixels.height, pixels.width):
        size = f"(C, {pixels.height}, {pixels.width})"
        raise InputError(f"masked_gram: features is {tuple(features.shape)}, expected {size}")
    weight_dtype = torch.promote_types(features.dtype, torch.float32)
    return native.masked_gram.default(features, pixels.indices, pixels.weights.to(weight_dtype), pixels.offsets)


# The fake kernel: torch.compile traces without data, and needs the shape and dtype of the Gram matrices.
@torch.library.register_fake("fastphoto::masked_gram")
def _fake_masked_gram(features: Tensor, indices: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    channels = features.shape[0]
    return weights.new_empty((offsets.shape[0] - 1, channels, channels))


# Autograd cannot look into the kernel, so its gradient is registered here. The gradient is an operator too, and needs
# its own fake kernel.
def _masked_gram_setup(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _masked_gram_gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return native.masked_gram_backward.default(grad, *ctx.saved_tensors), None, None, None


torch.library.register_autograd("fastphoto::masked_gram", _masked_gram_gradient, setup_context=_masked_gram_setup)


@torch.library.register_fake("fastphoto::masked_gram_backward")
def _fake_masked_gram_backward(
    grad: Tensor, features: Tensor, indices: Tensor, weights: Tensor, offsets: Tensor
) -> Tensor:
    channels, height, width = features.shape
    channel_stride, row_stride, column_stride = features.stride()
    if channels > 1 and channel_stride == 1 and row_stride == width * column_stride:  # channels-last
        return features.new_empty((height, width, channels)).permute(2, 0, 1)
    return features.new_empty((channels, height, width))


# Without this a second derivative would silently be zero.
def _masked_gram_second_derivative(ctx: Any, grad: Tensor) -> tuple[None, ...]:
    raise NotImplementedError("fastphoto::masked_gram is differentiable once, not twice")


torch.library.register_autograd("fastphoto::masked_gram_backward", _masked_gram_second_derivative)
