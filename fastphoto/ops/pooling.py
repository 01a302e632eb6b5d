"""Max-pooling of activations after a ReLU, and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.ops.library import native

# Neither operator has a gradient registered: the encoder computes its whole image gradient as one function.

# ---- max_pool


def max_pool(x: Tensor, ceil: bool = False) -> Tensor:
    """Return the maxima of 2 x 2 windows with stride 2; the gradient is :func:`max_pool_backward`.

    Args:
        x: activations, (B, C, H, W) in dense channels-last memory, float32 or float64, on CUDA also bfloat16.
        ceil: whether an odd last row or column gets windows of its own; if not, it is left out.

    Returns:
        Maxima, (B, C, h, w), channels-last. Autograd does not differentiate them.

    Raises:
        RuntimeError: a wrong shape, dtype or memory format.

    Example:
        >>> x = torch.arange(6.0).reshape(1, 1, 2, 3)
        >>> max_pool(x).tolist(), max_pool(x, ceil=True).tolist()
        ([[[[4.0]]]], [[[[4.0, 5.0]]]])
    """
    return native.max_pool.default(x, ceil)


# The fake kernel: torch.compile traces without data, and needs the shape and memory format of the result.
@torch.library.register_fake("fastphoto::max_pool")
def _fake_max_pool(x: Tensor, ceil: bool) -> Tensor:
    batch, channels, height, width = x.shape
    extra = 1 if ceil else 0
    return x.new_empty((batch, (height + extra) // 2, (width + extra) // 2, channels)).permute(0, 3, 1, 2)


# ---- max_pool_backward


def max_pool_backward(grad: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of max_pool(relu(z)) with respect to z, from x = relu(z).

    dz = [x > 0] [x is the first maximum of its window] dy: the comparison is made again, so that the forward pass
    need not store an index for every window.

    Args:
        grad: dy, the gradient with respect to the maxima, (B, C, h, w), channels-last; its size shows whether
            `ceil` was used.
        x: activations that were pooled, (B, C, H, W), channels-last, values of at least 0; same dtype and device.

    Returns:
        dz, (B, C, H, W), channels-last. Not differentiable.

    Raises:
        RuntimeError: a wrong shape, dtype, device or memory format.

    Example:
        >>> x = torch.tensor([[[[1.0, 3.0], [0.0, 2.0]]]])
        >>> max_pool_backward(torch.tensor([[[[5.0]]]]), x).tolist()
        [[[[0.0, 5.0], [0.0, 0.0]]]]
    """
    return native.max_pool_backward.default(grad, x)


@torch.library.register_fake("fastphoto::max_pool_backward")
def _fake_max_pool_backward(grad: Tensor, x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return x.new_empty((batch, height, width, channels)).permute(0, 3, 1, 2)
