"""Peers of fastphoto's operators in stock PyTorch, NumPy, SciPy and pymatting."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

# Offsets (dy, dx) of a stencil's planes: from a pixel to the 12 neighbours within two pixels that come after it.
OFFSETS = [(0, 1), (0, 2)] + [(dy, dx) for dy in (1, 2) for dx in range(-2, 3)]


# ---- the matting Laplacian as a sparse matrix ---------------------------------------------------------------


def sparse_matrix(stencil: Tensor) -> sparse.csr_matrix:
    """Return the matting Laplacian with this stencil as SciPy's float32 CSR with int32 indices, 25 entries a pixel."""
    _, height, width = stencil.shape
    number = np.arange(height * width, dtype=np.int32).reshape(height, width)
    rows, columns, entries = [], [], []
    for (dy, dx), plane in zip(OFFSETS, stencil.numpy(), strict=True):
        left, right = max(0, -dx), width - max(0, dx)
        first = number[: height - dy, left:right].ravel()
        second = number[dy:, left + dx : right + dx].ravel()
        values = plane[: height - dy, left:right].ravel()
        rows += [first, second]
        columns += [second, first]
        entries += [values, values]
    rows, columns, entries = (np.concatenate(part) for part in (rows, columns, entries))
    off_diagonal = sparse.coo_matrix((entries, (rows, columns)), shape=(height * width,) * 2).tocsr()
    return (off_diagonal - sparse.diags(np.asarray(off_diagonal.sum(1)).ravel(), dtype=np.float32)).tocsr()


def csr_tensor(stencil: Tensor, index_dtype: torch.dtype = torch.int32) -> Tensor:
    """Return the same matrix as torch's CSR, built on the stencil's device because SciPy is too slow for megapixels."""
    _, height, width = stencil.shape
    values = stencil.new_zeros(height, width, 25)  # all 25 neighbours in the order of their columns
    inside = torch.zeros(height, width, 25, dtype=torch.bool, device=stencil.device)
    inside[..., 12] = True
    for n, ((dy, dx), plane) in enumerate(zip(OFFSETS, stencil, strict=True)):
        left, right = max(0, -dx), width - max(0, dx)
        part = plane[: height - dy, left:right]
        values[: height - dy, left:right, 13 + n] = part
        values[dy:, left + dx : right + dx, 11 - n] = part
        inside[: height - dy, left:right, 13 + n] = True
        inside[dy:, left + dx : right + dx, 11 - n] = True
    values[..., 12] = -values.double().sum(-1) if values.numel() < 1 << 28 else -values.sum(-1)
    starts = torch.zeros(height * width + 1, dtype=index_dtype, device=stencil.device)
    starts[1:] = inside.view(-1, 25).sum(1).cumsum(0)
    shift = [-(dy * width + dx) for dy, dx in reversed(OFFSETS)] + [0] + [dy * width + dx for dy, dx in OFFSETS]
    number = torch.arange(height * width, dtype=index_dtype, device=stencil.device)
    columns = (number[:, None] + torch.tensor(shift, dtype=index_dtype, device=stencil.device)).view(height, width, 25)
    columns, values = columns[inside], values[inside]
    return torch.sparse_csr_tensor(starts, columns, values, (height * width,) * 2, check_invariants=False)


def laplacian_by_numpy(image: np.ndarray, epsilon: float) -> sparse.csr_matrix:
    """Return the matting Laplacian of an image (H, W, 3) in float64, built by NumPy as scripts of the field do."""
    height, width, _ = image.shape
    number = np.arange(height * width, dtype=np.int32).reshape(height, width)
    windows = np.lib.stride_tricks.sliding_window_view(number, (3, 3)).reshape(-1, 9)
    colours = image.reshape(-1, 3)[windows]
    colours = colours - colours.mean(1, keepdims=True)
    covariance = colours.transpose(0, 2, 1) @ colours / 9 + epsilon / 9 * np.eye(3)
    affinity = (1 + colours @ np.linalg.inv(covariance) @ colours.transpose(0, 2, 1)) / 9
    rows, columns = np.repeat(windows, 9, axis=1).ravel(), np.tile(windows, 9).ravel()
    return sparse.coo_matrix(((np.eye(9) - affinity).ravel(), (rows, columns)), shape=(height * width,) * 2).tocsr()


def laplacian_by_pymatting(image: np.ndarray, epsilon: float) -> sparse.csr_matrix:
    """Return the same matrix, built by pymatting, which compiles its loops with Numba."""
    from pymatting import cf_laplacian

    return cf_laplacian(np.ascontiguousarray(image), epsilon=epsilon)


class SymmetricProduct(torch.autograd.Function):
    """The product A x with a symmetric sparse A; its gradient takes a second product, as autograd's would."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, x: Tensor) -> Tensor:
        ctx.matrix = matrix
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, ctx.matrix @ grad.contiguous()


class QuadraticForm(torch.autograd.Function):
    """The sum over columns of x^T A x with a symmetric sparse A; its gradient 2 A x takes no second product."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, x: Tensor) -> Tensor:
        product = matrix @ x
        ctx.save_for_backward(product)
        return (x * product).sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, 2 * grad * ctx.saved_tensors[0]


# ---- masked Gram matrices -----------------------------------------------------------------------------------


def dense_gram(features: Tensor, masks: Tensor) -> Tensor:
    """Return Gram matrices (R, C, C) as published: by a masked copy and a full product for each mask (h, w)."""
    grams = []
    for mask in masks.to(features.dtype):
        masked = (features * mask).flatten(1)
        grams.append(masked @ masked.t())
    return torch.stack(grams) if grams else features.new_zeros(0, len(features), len(features))


def exact_product(a: Tensor, b: Tensor) -> Tensor:
    """Return a b in float32, also of bfloat16 factors."""
    if a.dtype != torch.bfloat16:
        return a @ b
    return torch.mm(a, b, out_dtype=torch.float32) if a.is_cuda else a.float() @ b.float()


class GatheredGram(torch.autograd.Function):
    """Gram matrices (R, C, C) by a gather and a product for each region; the cost grows with their total area."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, indices: list[Tensor], weights: list[Tensor]) -> Tensor:
        pixels = features.permute(1, 2, 0).reshape(-1, features.shape[0])
        rows = [pixels.index_select(0, i) * m[:, None] for i, m in zip(indices, weights, strict=True)]
        ctx.indices, ctx.weights, ctx.rows = indices, weights, rows
        ctx.shape, ctx.dtype = features.shape, features.dtype
        if not rows:
            return features.new_zeros(0, len(features), len(features))
        return torch.stack([exact_product(part.t(), part) for part in rows])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        channels, height, width = ctx.shape
        pixels = grad.new_zeros(height * width, channels, dtype=ctx.dtype)
        for part, i, m, g in zip(ctx.rows, ctx.indices, ctx.weights, grad, strict=True):
            pixels.index_add_(0, i, part @ (g + g.t()).to(part.dtype) * m[:, None])
        return pixels.view(height, width, channels).permute(2, 0, 1), None, None


def gather_lists(masks: Tensor, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    """Return the inputs of `GatheredGram` for masks (R, h, w): each region's pixel indices and their mask values."""
    flat = masks.flatten(1)
    indices = [mask.nonzero()[:, 0] for mask in flat]
    return indices, [mask[i].to(dtype) for mask, i in zip(flat, indices, strict=True)]
