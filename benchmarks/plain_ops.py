"""The peers of fastphoto's operators and encoders in stock PyTorch and SciPy, as one would write them without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from fastphoto.encoders.layers import LAYERS
from fastphoto.encoders.weights import CAFFE_MEAN, CAFFE_SCALE, EncoderWeights

OFFSETS = [(0, 1), (0, 2)] + [(dy, dx) for dy in (1, 2) for dx in range(-2, 3)]
WIDTHS = {"vgg19-16x": (16, 32, 64, 128, 128), "vgg19": (64, 128, 256, 512, 512)}  # channels by block
PADDING = {"vgg19-16x": "reflect", "vgg19": "zeros"}


# ---- networks -----------------------------------------------------------------------------------------------


def random_weights(name: str) -> EncoderWeights:
    """Random weights of an encoder's shape up to conv5_1, which cost what the trained ones cost."""
    generator, convolutions, channels = torch.Generator().manual_seed(0), {}, 3
    for layer in LAYERS[: LAYERS.index("conv5_1") + 1]:
        width = WIDTHS[name][int(layer[4]) - 1]
        weight = torch.randn(width, channels, 3, 3, generator=generator) / (9 * channels / 2) ** 0.5
        convolutions[layer], channels = (weight, torch.zeros(width)), width
    normalise = CAFFE_SCALE * torch.eye(3).flip(0), -torch.tensor(CAFFE_MEAN)
    return EncoderWeights(convolutions, normalise, PADDING[name], "max_ceil", "random", "", "")


class PlainVgg(nn.Module):
    """A VGG-19-shaped network in stock PyTorch, its gradient left to autograd."""

    def __init__(self, weights: EncoderWeights, dtype: torch.dtype, layout: torch.memory_format) -> None:
        super().__init__()
        self.padding, self.ceil = weights.padding, weights.pooling == "max_ceil"
        self.dtype, self.layout, self.names = dtype, layout, tuple(weights.convolutions)
        self.register_buffer("matrix", weights.normalise[0][:, :, None, None].clone())
        self.register_buffer("offset", weights.normalise[1].clone())
        for name, (weight, bias) in weights.convolutions.items():
            self.register_buffer(f"{name}_weight", weight.to(dtype).contiguous(memory_format=layout))
            self.register_buffer(f"{name}_bias", bias.to(dtype))

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """{layer: (C, h, w)} of an image (3, H, W) in [0, 1]."""
        x = F.conv2d(image[None].contiguous(memory_format=self.layout), self.matrix, self.offset).to(self.dtype)
        found: dict[str, Tensor] = {}
        block = "1"
        for name in self.names:
            if name[4] != block:
                x, block = F.max_pool2d(x, 2, ceil_mode=self.ceil), name[4]
            weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
            if self.padding == "zeros":
                x = F.conv2d(x, weight, bias, padding=1)
            else:
                x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)
            x = F.relu_(x)
            if f"relu{name[4:]}" in layers:
                found[f"relu{name[4:]}"] = x.squeeze(0)
                if len(found) == len(layers):
                    break
        return found


# ---- the matting Laplacian as a sparse matrix ---------------------------------------------------------------


def sparse_matrix(stencil: Tensor) -> sparse.csr_matrix:
    """The whole matrix as scipy's float32 CSR with int32 indices, 25 entries a pixel."""
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
    """The same matrix as torch's CSR, made on the stencil's device: megapixels take too long in scipy."""
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
    """The matrix from an image (H, W, 3) in float64, in whole-array steps, as scripts of the field build it."""
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
    """The same by pymatting, which compiles its loops with Numba."""
    from pymatting import cf_laplacian

    return cf_laplacian(np.ascontiguousarray(image), epsilon=epsilon)


class SymmetricProduct(torch.autograd.Function):
    """A x for a symmetric sparse A, differentiated as autograd would: by a second product."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, x: Tensor) -> Tensor:
        ctx.matrix = matrix
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, ctx.matrix @ grad.contiguous()


class QuadraticForm(torch.autograd.Function):
    """The sum over columns of x^T A x for a symmetric sparse A, whose gradient 2 A x takes no second product."""

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
    """(R, C, C) by one masked copy and one full product for each of the masks (R, h, w), as published."""
    grams = []
    for mask in masks.to(features.dtype):
        masked = (features * mask).flatten(1)
        grams.append(masked @ masked.t())
    return torch.stack(grams) if grams else features.new_zeros(0, len(features), len(features))


def exact_product(a: Tensor, b: Tensor) -> Tensor:
    """a b in float32, also of bfloat16 factors."""
    if a.dtype != torch.bfloat16:
        return a @ b
    return torch.mm(a, b, out_dtype=torch.float32) if a.is_cuda else a.float() @ b.float()


class GatheredGram(torch.autograd.Function):
    """(R, C, C) by one gather and one product for each region, so that the cost follows the regions' total area."""

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
    """What GatheredGram needs of masks (R, h, w): each region's pixel numbers and their mask values."""
    flat = masks.flatten(1)
    indices = [mask.nonzero()[:, 0] for mask in flat]
    return indices, [mask[i].to(dtype) for mask, i in zip(flat, indices, strict=True)]
