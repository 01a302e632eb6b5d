"""Inner products of long vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.ops.library import native


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """All inner products of a few long vectors with a few others, a b^T, in one pass over them.

    Args:
        a: (A, N), contiguous, float32 or float64.
        b: (B, N), contiguous; same dtype and device.

    Returns:
        (A, B) float64, summed in a fixed order. Not differentiable.
    """
    return native.inner_products.default(a, b)


@torch.library.register_fake("fastphoto::inner_products")
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty((a.shape[0], b.shape[0]), dtype=torch.float64)
