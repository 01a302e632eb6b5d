"""Max-pooling of activations, and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.ops.library import native


def max_pool(x: Tensor, ceil: bool = False) -> Tensor:
    """The maxima of 2 x 2 windows of activations; not differentiable itself, see :func:`max_pool_backward`.

    Args:
        x: (B, C, H, W) in dense channels-last memory, float32 or float64 (on CUDA also bfloat16).
        ceil: whether a last odd row or column is a window too; else it is left out.

    Returns:
        (B, C, h, w), channels-last.
    """
    return native.max_pool.default(x, ceil)


@torch.library.register_fake("fastphoto::max_pool")
def _(x: Tensor, ceil: bool) -> Tensor:
    batch, channels, height, width = x.shape
    extra = 1 if ceil else 0
    return x.new_empty((batch, (height + extra) // 2, (width + extra) // 2, channels)).permute(0, 3, 1, 2)


def max_pool_backward(grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of max_pool(relu(z)) in z, from x = relu(z).

    dz = [x > 0][x is the first maximum of its window] dy: no index is stored for any window.

    Args:
        grad: dy, (B, C, h, w), channels-last; its size tells how the pooling rounded.
        x: (B, C, H, W), channels-last, 0 or more; same dtype and device.

    Returns:
        dz, (B, C, H, W), channels-last.
    """
    return native.max_pool_backward.default(grad, x)


@torch.library.register_fake("fastphoto::max_pool_backward")
def _(grad: Tensor, x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return x.new_empty((batch, height, width, channels)).permute(0, 3, 1, 2)
