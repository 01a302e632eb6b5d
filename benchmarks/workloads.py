"""Workloads of the operators: for each piece of work its contenders, and a check of their outputs.

The runs on CPUs and on GPUs time the same workloads and check them the same way. Workloads with an encoder are in
network_workloads.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from benchmarks.baselines.operators import (
    GatheredGram,
    csr_tensor,
    dense_gram,
    gather_lists,
    laplacian_by_numpy,
    laplacian_by_pymatting,
    sparse_matrix,
)
from benchmarks.torch_modes import product_precision
from fastphoto import ops
from fastphoto.ops import reference
from fastphoto.regions.resizing import layer_masks

Call = Callable[[], Sequence[Tensor]]
Shape = tuple[int, int, int]  # channels, height, width
EPSILON = 1e-4
# (height, width) at the far corner that is compared with a float64 Laplacian, which stores 81 numbers a pixel.
CHECKED_SIZE = 466, 700


@dataclass(frozen=True)
class Contender:
    """One implementation of a piece of work."""

    prepare: Callable[[], Call]
    """Does the preparation, which is not timed, and returns the call to time."""
    bytes: int
    """Least number of bytes to read and write, in this contender's data format."""
    flops: int
    """Floating-point operations; a multiplication and an addition are two."""


@dataclass(frozen=True)
class Workload:
    """A piece of work, its contenders by name, and a check of their outputs."""

    title: str
    contenders: Mapping[str, Contender]
    error: Callable[[Sequence[Tensor]], float]
    """Returns the largest error of any output against float64, relative to the exact output's norm."""
    tolerance: float = 1e-5
    """Largest allowed error."""


# ---- random images and regions -----------------------------------------------------------------------------


def planar(height: int, width: int, planes: int, seed: int = 0, device: torch.device | str = "cpu") -> Tensor:
    """Return random values (H, W, planes) in [0, 1), as a view of planar memory."""
    generator = torch.Generator(device=device).manual_seed(seed)
    return torch.rand(planes, height, width, generator=generator, device=device).permute(1, 2, 0)


def partition(regions: int, height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Return hard masks (regions, H, W) that partition the image: each has the pixels nearest to a random point."""
    points = torch.rand(regions, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([height, width])
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    nearest = ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(-1)
    return torch.stack([nearest == r for r in range(regions)]).float().to(device)


def relative_error(output: Tensor, exact: Tensor) -> float:
    """Return |output - exact| / |exact|."""
    output, exact = output.detach().double(), exact.detach()
    return float((output - exact).norm() / exact.norm())


# ---- matting Laplacian -------------------------------------------------------------------------------------


def matting_laplacian(height: int, width: int, device: torch.device | str = "cpu") -> Workload:
    """Return the workload of L x for three planes x; contenders named "..._energy" also return the energy x^T L x."""
    image, x = (planar(height, width, 3, seed, device) for seed in (0, 1))
    columns = x.reshape(-1, 3).contiguous()
    h, w = min(height, CHECKED_SIZE[0]), min(width, CHECKED_SIZE[1])

    @lru_cache
    def stencil() -> Tensor:
        return ops.matting_laplacian_stencil(image, EPSILON)

    @lru_cache
    def exact() -> Tensor:
        corner = (v[-h:, -w:].double().cpu() for v in (image, x))
        return reference.matting_laplacian(*corner, EPSILON)[2:, 2:]

    def error(outputs: Sequence[Tensor]) -> float:
        product = outputs[-1].reshape(height, width, 3)
        errors = [relative_error(product[height - h + 2 :, width - w + 2 :].cpu(), exact())]
        if len(outputs) == 2:
            errors.append(relative_error(outputs[0].cpu(), (x.double() * product.double()).sum().cpu()))
        return max(errors)

    def with_stencil(operator: Callable[[Tensor], Sequence[Tensor]]) -> Call:
        return partial(operator, stencil())

    def scipy_csr() -> Call:
        matrix, array = sparse_matrix(stencil().cpu()), columns.cpu().numpy()
        return lambda: [torch.from_numpy(matrix @ array)]

    def pymatting_csr() -> Call:
        matrix, array = laplacian_by_pymatting(image.double().cpu().numpy(), EPSILON), columns.double().cpu().numpy()
        return lambda: [torch.from_numpy(matrix @ array)]

    @lru_cache(1)
    def matrix_with(index: torch.dtype) -> Tensor:
        return csr_tensor(stencil(), index)

    def torch_csr(index: torch.dtype, layout: str) -> Call:
        matrix = matrix_with(index)
        # The faster of the two layouts depends on the device, so both are timed.
        laid = columns if layout == "rows" else columns.t().contiguous().t()

        def energy() -> Sequence[Tensor]:
            product = matrix @ laid
            return (laid * product).sum(), product

        return energy

    # Bytes a pixel: 12 for x, 12 for L x, and 12 for the image, 48 for a stencil, or 25 entries with their columns.
    # Operations a pixel: 25 entries for each plane; on the fly, the statistics and solutions of a window of 9 pixels.
    pixels = height * width
    on_the_fly, by_stencil, by_entries = (36, 620), (72, 156), (24 + 25 * 8 + 4, 156)

    def contender(cost: tuple[int, int], prepare: Callable[[], Call]) -> Contender:
        return Contender(prepare, cost[0] * pixels, cost[1] * pixels)

    contenders = {
        "on_the_fly": contender(on_the_fly, lambda: lambda: [ops.matting_laplacian(image, x, EPSILON)]),
        "stencil": contender(by_stencil, partial(with_stencil, lambda s: [ops.stencil_product(s, x)])),
        "on_the_fly_energy": contender(on_the_fly, lambda: lambda: ops.matting_laplacian_energy(image, x, EPSILON)),
        "stencil_energy": contender(by_stencil, partial(with_stencil, lambda s: ops.stencil_energy(s, x))),
        "scipy_csr": contender(by_entries, scipy_csr),
        # pymatting computes in float64.
        "pymatting_csr": contender((48 + 25 * 12 + 4, by_entries[1]), pymatting_csr),
    }
    for index, name, size in ((torch.int32, "int32", 8), (torch.int64, "int64", 12)):
        cost = 24 + 25 * size + size - 4, by_entries[1]
        for layout in ("rows", "columns"):
            contenders[f"csr_{name}_{layout}_energy"] = contender(
                cost, lambda index=index, layout=layout: torch_csr(index, layout)
            )
    return Workload(f"matting Laplacian, three planes, {width}x{height}", contenders, error)


def stencil_build(height: int, width: int, device: torch.device | str = "cpu") -> Workload:
    """Return the workload of building the matting Laplacian: our stencil, and the CSR matrices of others on the CPU."""
    image, x = (planar(height, width, 3, seed, device) for seed in (0, 1))

    @lru_cache
    def exact() -> Tensor:
        """Return our stencil in float64; the reference is too slow."""
        return ops.matting_laplacian_stencil(image.double(), EPSILON)

    def error(outputs: Sequence[Tensor]) -> float:
        (matrix,) = outputs
        if matrix.layout == torch.strided:
            return relative_error(matrix, exact())
        columns = x.double().reshape(-1, 3)
        return relative_error(matrix.double() @ columns, ops.stencil_product(exact(), x.double()).reshape(-1, 3))

    def csr(build: Callable[[np.ndarray, float], sparse.csr_matrix]) -> Call:
        array = image.double().cpu().contiguous().numpy()

        def call() -> Sequence[Tensor]:
            matrix = build(array, EPSILON)
            parts = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
            return [torch.sparse_csr_tensor(*parts, matrix.shape, check_invariants=False)]

        return call

    # Operations: the 36 pairs of a window's pixels, each a product of two whitened colours, and a window's statistics.
    pixels = height * width
    moved, flops = 60 * pixels, (36 * 6 + 9 * 15) * pixels
    contenders = {
        "native": Contender(lambda: lambda: [ops.matting_laplacian_stencil(image, EPSILON)], moved, flops),
        "numpy": Contender(lambda: csr(laplacian_by_numpy), moved, flops),
        "pymatting": Contender(lambda: csr(laplacian_by_pymatting), moved, flops),
    }
    return Workload(f"building the matting Laplacian, {width}x{height}", contenders, error)


# ---- masked Gram matrices ----------------------------------------------------------------------------------


def style_layers(height: int, width: int, widths: Sequence[int]) -> list[Shape]:
    """Return the shapes of an encoder's five style layers, one in each block, for an image."""
    shapes = []
    for channels in widths:
        shapes.append((channels, height, width))
        height, width = -(-height // 2), -(-width // 2)
    return shapes


def smooth_partition(regions: int, shapes: Sequence[Shape], device: torch.device | str = "cpu") -> list[Tensor]:
    """Return a partition of the image at the five style layers with soft borders, as in a transfer."""
    layers = {f"relu{block}_1": shape[1:] for block, shape in enumerate(shapes, 1)}
    masks = layer_masks(partition(regions, *shapes[0][1:], device), list(layers), layers)
    return [masks[layer] for layer in layers]


def hard_partition(regions: int, shapes: Sequence[Shape]) -> list[Tensor]:
    """Return the same without soft borders; the regions' total area is then that of the image for any number."""
    smooth = smooth_partition(regions, shapes)
    return [(masks.argmax(0) == torch.arange(regions)[:, None, None]).float() for masks in smooth]


def masked_gram(
    shapes: Sequence[Shape],
    masks: Sequence[Tensor],
    layout: str = "channels_last",
    dtype: torch.dtype = torch.float32,
) -> Workload:
    """Return the workload of masked Gram matrices at some layers, together with the gradients in their activations.

    Args:
        shapes: shape of each layer's activations.
        masks: masks (R, h, w) of each layer, on the device to use.
        layout: memory layout of the activations, "channels_last" or "planar".
        dtype: type of the activations.
    """
    device, regions = masks[0].device, len(masks[0])
    generator = torch.Generator(device=device).manual_seed(3)
    features = []
    for channels, height, width in shapes:
        values = torch.randn(height, width, channels, generator=generator, device=device).clamp_min(0).to(dtype)
        values = values.permute(2, 0, 1)
        features.append((values.contiguous() if layout == "planar" else values).requires_grad_())

    @lru_cache
    def exact() -> list[Tensor]:
        """Return all in float64, computed region by region to save memory."""
        grams, gradients = [], []
        for f, m in zip(features, masks, strict=True):
            values, weights = f.detach().double().flatten(1), m.double().flatten(1).square()
            products = [(values * weight) @ values.t() for weight in weights]
            # Gram matrices as their own gradients, a thousandth in size; twice each, as they are symmetric.
            gradient = sum(2e-3 * g @ (values * weight) for g, weight in zip(products, weights, strict=True))
            grams.append(torch.stack(products))
            gradients.append(torch.as_tensor(gradient).view(f.shape))
        return [*grams, *gradients]

    def error(outputs: Sequence[Tensor]) -> float:
        return max(relative_error(a, b) for a, b in zip(outputs, exact(), strict=True))

    def both(gram: Callable[..., Tensor], extra: Sequence[tuple[Any, ...]], tf32: bool) -> Call:
        def call() -> Sequence[Tensor]:
            with product_precision(tf32):
                grams, gradients = [], []
                # One layer after the other: at 700 px autograd would keep masked copies of 14 GB for all together.
                for f, more in zip(features, extra, strict=True):
                    output = gram(f, *more)
                    # Gram matrices as their own gradients, a thousandth in size, so that no product grows too large.
                    gradients += torch.autograd.grad(output, f, (output.detach() * 1e-3).to(output.dtype))
                    grams.append(output.detach())
                return [*grams, *gradients]

        return call

    # Activations are read for the value and again for the gradient, which is written and read. Each pixel of a region
    # takes C^2 products for the value, and as many for the gradient.
    traffic = 4 * sum(math.prod(shape) for shape in shapes) * features[0].element_size()
    area = sum(int((m > 0).sum()) * shape[0] ** 2 for m, shape in zip(masks, shapes, strict=True))

    def contender(
        gram: Callable[..., Tensor], extra: Callable[[Tensor], tuple[Any, ...]], tf32: bool = False
    ) -> Contender:
        return Contender(lambda: both(gram, [extra(m) for m in masks], tf32), traffic, 4 * area)

    def listed(m: Tensor) -> tuple[Any, ...]:
        return gather_lists(m, dtype)

    contenders = {
        "native": contender(ops.masked_gram, lambda m: (ops.list_pixels(m),)),
        "native_without_lists": contender(ops.masked_gram, lambda m: (m,)),
        "dense": contender(dense_gram, lambda m: (m,)),
        "gather": contender(GatheredGram.apply, listed),
        "dense_tf32": contender(dense_gram, lambda m: (m,), tf32=True),
        "gather_tf32": contender(GatheredGram.apply, listed, tf32=True),
    }
    # TF32 has 10 bits of mantissa, bfloat16 has 7.
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-5 if device.type == "cpu" else 3e-3
    name = ", ".join("x".join(map(str, shape)) for shape in shapes)
    return Workload(f"masked Gram and gradient, {layout}, {regions} regions, {name}", contenders, error, tolerance)


# ---- local affine maps -------------------------------------------------------------------------------------


def local_affine(height: int, width: int, device: torch.device | str = "cpu") -> dict[str, Workload]:
    """Return workloads by name: fitting, smoothing and applying local affine maps.

    They have no peers: in stock PyTorch each would unfold every window in memory.
    """
    content, result = (planar(height, width, 3, seed, device) for seed in (0, 1))
    maps = ops.local_affine_fit(content, result, 1)
    pixels, fit, smooth = height * width, (18, 600), (24, 48)  # floats moved and operations for each pixel
    calls: dict[str, tuple[tuple[int, int], Callable[..., Tensor], tuple[Tensor, ...]]] = {
        "fit_radius_1": (fit, lambda c, r: ops.local_affine_fit(c, r, 1), (content, result)),
        "fit_radius_30": (fit, lambda c, r: ops.local_affine_fit(c, r, 30), (content, result)),
        "smooth_box_radius_1": (smooth, lambda m: ops.local_affine_smooth_box(m, 1), (maps,)),
        "smooth_box_radius_8": (smooth, lambda m: ops.local_affine_smooth_box(m, 8), (maps,)),
        "apply": ((18, 18 + 7 * 12), ops.local_affine_apply, (maps, content)),
        "smooth_bilateral_radius_15": (
            (27, 31**2 * (12 + 2 * 13)),
            lambda m, c: ops.local_affine_smooth(m, c, 15, 0.1),
            (maps, content),
        ),
    }

    def workload(name: str) -> Workload:
        (moved, operations), call, values = calls[name]

        def error(outputs: Sequence[Tensor]) -> float:
            # The operator in double, as the reference would unfold every window.
            return relative_error(outputs[0], call(*(value.double() for value in values)))

        contender = Contender(lambda: lambda: [call(*values)], 4 * moved * pixels, operations * pixels)
        return Workload(f"local affine maps, {name}, {width}x{height}", {"native": contender}, error)

    return {name: workload(name) for name in calls}
