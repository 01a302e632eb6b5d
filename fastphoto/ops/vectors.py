"""Inner products of long vectors, from which the L-BFGS solver computes its directions."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.ops.library import native


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """Return all inner products of a few long vectors with a few others, a b^T, in one pass over them.

    Args:
        a: vectors, (A, N), float32 or float64; copied if not contiguous.
        b: vectors, (B, N), same dtype and device.

    Returns:
        Inner products, (A, B) float64, summed in a fixed order. Not differentiable.

    Raises:
        RuntimeError: a wrong shape, dtype or device.

    Example:
        >>> inner_products(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([[3.0, 4.0]])).tolist()
        [[11.0], [4.0]]
    """
    return native.inner_products.default(a, b)


# The fake kernel: torch.compile traces without data, and needs the shape and dtype of the result.
@torch.library.register_fake("fastphoto::inner_products")
def _fake_inner_products(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty((a.shape[0], b.shape[0]), dtype=torch.float64)
