"""Workloads of the operators that PyTorch's own operators define: colours, moments, window sums, pooling, vectors.

The peer "torch" is the definition in `fastphoto.ops.reference`; "compiled" is the same definition by torch.compile.
Where an operator has a gradient that a transfer needs, a call returns the value and the gradient of its sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from benchmarks.workloads import EPSILON, Call, Contender, Workload, partition, planar, relative_error
from fastphoto import ops
from fastphoto.ops import reference

Device = torch.device | str
Operator = Callable[..., Any]
KNOTS, GRID = 8, (4, 6)  # of a recolouring's curves, as in a transfer of a landscape photo


def defined_workload(
    title: str,
    native: Operator,
    definition: Operator,
    values: Sequence[Tensor],
    cost: tuple[int, int],  # bytes and operations
    unknowns: Sequence[int] = (),
    tolerance: float = 1e-5,
) -> Workload:
    """Return the workload of an operator beside its definition in PyTorch.

    Args:
        title: title of the workload.
        native: calls the operator with the values.
        definition: calls its definition with the same values.
        values: tensors that both get.
        cost: bytes to read and write, and operations of a call with its gradient.
        unknowns: which of the values get a gradient.
        tolerance: largest allowed error.
    """

    def prepared(call: Operator, given: Sequence[Tensor]) -> Call:
        given = [value.detach().requires_grad_(place in unknowns) for place, value in enumerate(given)]
        differentiated = [given[place] for place in unknowns]

        def once() -> Sequence[Tensor]:
            outputs = call(*given)
            outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
            if not differentiated:
                return outputs
            gradients = torch.autograd.grad(outputs, differentiated, [torch.ones_like(y) for y in outputs])
            return [*(y.detach() for y in outputs), *gradients]

        return once

    @cache
    def exact() -> Sequence[Tensor]:
        doubled = [value.cpu().double() if value.is_floating_point() else value.cpu() for value in values]
        return prepared(definition, doubled)()

    def error(outputs: Sequence[Tensor]) -> float:
        return max(relative_error(y.cpu(), z) for y, z in zip(outputs, exact(), strict=True))

    contenders = {
        "native": Contender(lambda: prepared(native, values), *cost),
        "torch": Contender(lambda: prepared(definition, values), *cost),
        "compiled": Contender(lambda: prepared(torch.compile(definition, dynamic=False), values), *cost),
    }
    return Workload(title, contenders, error, tolerance)


def random_planes(channels: int, height: int, width: int, device: Device, seed: int = 0) -> Tensor:
    """Return random values (channels, H, W) in [0, 1)."""
    return planar(height, width, channels, seed, device).permute(2, 0, 1).contiguous()


# ---- colours, and the terms of a recolouring's loss --------------------------------------------------------------


def colour_conversion(name: str, height: int, width: int, device: Device = "cpu") -> Workload:
    """Return the workload of "srgb_to_lab", or of "lab_to_srgb" with its gradient, on a photo."""
    planes = random_planes(3, height, width, device)
    operator, definition, n = getattr(ops, name), getattr(reference, name), height * width
    if name == "srgb_to_lab":
        return defined_workload(f"{name}, {width}x{height}", operator, definition, [planes], (24 * n, 160 * n))
    # The gradient reads the colours again, and the gradient of the result, and writes 12 bytes a pixel.
    values = [reference.srgb_to_lab(0.05 + 0.9 * planes)]  # away from the border of the gamut, where gradients jump
    title = f"{name}, value and gradient, {width}x{height}"
    return defined_workload(title, operator, definition, values, (60 * n, 300 * n), [0])


def sorted_distance(rows: int, regions: int, pixels: int, device: Device = "cpu") -> Workload:
    """Return the workload of sorted distances along some directions over some pixels of each region, with gradient."""
    generator = torch.Generator().manual_seed(0)
    values, target = (torch.randn(rows, regions * pixels, generator=generator) for _ in range(2))
    target = torch.cat([part.sort(1)[0] for part in target.split(pixels, 1)], 1)
    offsets = torch.arange(regions + 1) * pixels
    count = values.numel()
    return defined_workload(
        f"sorted distance, value and gradient, {rows} directions, {regions} regions of {pixels} pixels",
        lambda v, t: ops.sorted_distance(v, t, offsets),
        lambda v, t: reference.sorted_distance(v, t, offsets),
        [values.to(device), target.to(device)],
        (16 * count, 6 * count),  # sorting by comparisons takes log2(pixels) passes more
        [0],
        tolerance=5e-3,  # of two equal numbers either may come first, and their gradients differ
    )


def region_moments(channels: int, regions: int, height: int, width: int, device: Device = "cpu") -> Workload:
    """Return the workload of means and variances of activations in channels-last memory, with their gradient."""
    features = planar(height, width, channels, 0, device).contiguous().permute(2, 0, 1)
    masks = partition(regions, height, width, device)
    numbers = channels * height * width
    title = f"moments of {channels} channels, value and gradient, {regions} regions, {width}x{height}"
    # The partition is hard, so each pixel belongs to one region.
    cost = 12 * numbers + 8 * masks.numel(), 8 * numbers
    return defined_workload(title, ops.region_moments, reference.region_moments, [features, masks], cost, [0])


def region_recolouring(regions: int, height: int, width: int, device: Device = "cpu") -> Workload:
    """Return the workload of a recolouring with the gradient in its curves, gains and matrices."""
    generator = torch.Generator().manual_seed(2)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    values = [
        random_planes(1, height, width, device)[0] * (KNOTS - 1),
        noise(regions, height, width) * 20 + 50,
        noise(regions, height, width) * 5,
        noise(regions, 2, height, width) * 20,
        partition(regions, height, width, device),
        noise(regions, 3) * 10,
        noise(regions).abs() + 1,
        noise(regions, 3, KNOTS, *GRID) * 10,
        noise(regions, *GRID) * 0.3,
        noise(regions, 2, 3) * 0.3,
        noise(3, height, width),
    ]
    n = height * width
    # The value reads tones, five planes of each region and the rest, and writes three; the gradient reads all again.
    cost = 2 * (4 + 20 * regions + 24) * n, 3 * 100 * regions * n
    title = f"recolouring, value and gradient, {regions} regions, {width}x{height}"
    # A gradient sums over all pixels of a cell, which float32 does with less care than the kernel's float64.
    return defined_workload(
        title,
        lambda *tensors: ops.region_recolouring(*tensors, share=0.5, most_contrast=1.2),
        lambda *tensors: reference.region_recolouring(*tensors, 0.5, 1.2),
        values,
        cost,
        [7, 8, 9],
        tolerance=1e-4,
    )


# ---- sums over windows, local affine maps ------------------------------------------------------------------------


def contrast_excess(bands: int, height: int, width: int, device: Device = "cpu") -> Workload:
    """Return the workload of the loss of excess contrast, with its gradient, on a picture in L*a*b*."""
    lab, n, pixels = 100 * random_planes(3, height, width, device), 0, (height, width)
    for _ in range(bands):
        n, pixels = n + pixels[0] * pixels[1], (-(-pixels[0] // 2), -(-pixels[1] // 2))
    importance, limit = (random_planes(1, 1, n, device, seed).flatten() for seed in (1, 2))
    title = f"excess contrast, value and gradient, {bands} bands, {width}x{height}"
    # Of each band three planes are read, and their gradients written; importance and limit are read. Sums over 5 x 5
    # pixels slide, forwards and backwards.
    return defined_workload(
        title,
        lambda *tensors: ops.contrast_excess(*tensors, bands),
        lambda *tensors: reference.contrast_excess(*tensors, bands),
        [lab, importance, limit],
        (32 * n, 150 * n),
        [0],
        tolerance=1e-4,
    )


def box_sum(radius: int, height: int, width: int, device: Device = "cpu") -> Workload:
    """Return the workload of sums over windows of three planes; the peer is PyTorch's average pooling."""
    x, n, side = planar(height, width, 3, 0, device), height * width, 2 * radius + 1

    def pooled(values: Tensor) -> Tensor:
        planes = values.permute(2, 0, 1)[None]
        sums = torch.nn.functional.avg_pool2d(planes, side, 1, radius, count_include_pad=True, divisor_override=1)
        return sums[0].permute(1, 2, 0)

    title = f"sums over windows of radius {radius}, {width}x{height}"
    return defined_workload(title, lambda v: ops.box_sum(v, radius), pooled, [x], (24 * n, 12 * n))


def bilateral_sum(radius: int, height: int, width: int, device: Device = "cpu") -> Workload:
    """Return the workload of sums over windows that are weighted by nearness and colour."""
    guide, x = (planar(height, width, 3, seed, device) for seed in (0, 1))
    n, window = height * width, (2 * radius + 1) ** 2
    return defined_workload(
        f"bilateral sums of radius {radius}, {width}x{height}",
        lambda g, v: ops.bilateral_sum(g, v, radius, radius / 3, 0.1),
        lambda g, v: reference.bilateral_sum(g, v, radius, radius / 3, 0.1),
        [guide, x],
        (36 * n, (12 + 2 * 3) * window * n),
    )


def local_affine_factors(radius: int, height: int, width: int, device: Device = "cpu") -> Workload:
    """Return the workload of the factors of the windows' normal matrices; checked against the operator in double."""
    content, n = planar(height, width, 3, 0, device), height * width

    def call(values: Tensor) -> Tensor:
        return ops.local_affine_factors(values, radius, 1e-3)

    exact = cache(lambda: call(content.double()))
    contender = Contender(lambda: lambda: [call(content)], (12 + 72) * n, 100 * n)
    title = f"factors of local affine maps, radius {radius}, {width}x{height}"
    return Workload(title, {"native": contender}, lambda outputs: relative_error(outputs[0], exact()))


def local_affine_sum(radius: int, height: int, width: int, device: Device = "cpu") -> Workload:
    """Return the workload of fitting, summing and applying local affine maps; the peer does so by three operators."""
    content, x = (planar(height, width, 3, seed, device) for seed in (0, 1))
    factors, n = ops.local_affine_factors(content, radius, 1e-3), height * width

    def in_steps(c: Tensor, v: Tensor) -> Sequence[Tensor]:
        maps = ops.box_sum(ops.local_affine_fit(c, v, radius, 1e-3).flatten(2), radius)
        return [ops.local_affine_apply(maps.unflatten(2, (3, 4)), c)]

    exact = cache(lambda: in_steps(content.double(), x.double()))
    cost = (12 + 72 + 12 + 12) * n, 300 * n
    contenders = {
        "native": Contender(lambda: lambda: [ops.local_affine_sum(content, factors, x, radius)], *cost),
        "three operators": Contender(lambda: lambda: in_steps(content, x), *cost),
    }
    title = f"sums of local affine maps, radius {radius}, {width}x{height}"
    return Workload(title, contenders, lambda outputs: relative_error(outputs[0], exact()[0]))


# ---- pooling, vectors, lists of pixels ---------------------------------------------------------------------------


def max_pool(channels: int, height: int, width: int, backward: bool, device: Device = "cpu") -> Workload:
    """Return the workload of max-pooling in channels-last memory, or of its gradient."""
    layout = {"memory_format": torch.channels_last}
    x = (random_planes(channels, height, width, device)[None] - 0.3).relu().contiguous(**layout)
    numbers, pooled = x.numel(), x[..., ::2, ::2].numel()
    shape = f"{channels} channels, {width}x{height}"
    if not backward:
        cost = 4 * (numbers + pooled), 3 * pooled
        ours, definition = (lambda v: ops.max_pool(v, True)), (lambda v: reference.max_pool(v, True))
        return defined_workload(f"max-pooling, {shape}", ours, definition, [x], cost)
    grad = torch.rand_like(reference.max_pool(x, True))
    cost = 4 * (2 * numbers + pooled), 4 * pooled
    title = f"gradient of max-pooling, {shape}"
    return defined_workload(title, ops.max_pool_backward, reference.max_pool_backward, [grad, x], cost)


def inner_products(rows: int, columns: int, length: int, device: Device = "cpu") -> Workload:
    """Return the workload of the inner products of L-BFGS: a history of vectors with the last few."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(count, length, generator=generator).to(device) for count in (rows, columns))
    cost = 4 * (rows + columns) * length, 2 * rows * columns * length
    title = f"inner products of {rows} vectors with {columns}, {length / 1e6:.2f} million numbers each"
    return defined_workload(title, ops.inner_products, lambda v, w: v @ w.t(), [a, b], cost, tolerance=1e-4)


def list_pixels(regions: int, height: int, width: int, device: Device = "cpu") -> Workload:
    """Return the workload of listing the pixels of each region; the peer gathers by torch.nonzero."""
    masks = partition(regions, height, width, device)

    def listed(given: Tensor) -> Sequence[Tensor]:
        lists = ops.list_pixels(given)
        return [lists.indices, lists.weights]

    def by_nonzero(given: Tensor) -> Sequence[Tensor]:
        flat = given.flatten(1)
        places = [mask.nonzero()[:, 0] for mask in flat]
        return [torch.cat(places), torch.cat([mask[place] for mask, place in zip(flat, places, strict=True)])]

    # Regions do not overlap: 4 bytes of each mask's pixel are read, and 8 of each pixel of the image written.
    cost = 4 * masks.numel() + 8 * height * width, masks.numel()
    workload = defined_workload(
        f"pixel lists of {regions} regions, {width}x{height}", listed, by_nonzero, [masks], cost
    )

    def error(outputs: Sequence[Tensor]) -> float:
        exact = by_nonzero(masks.double())
        return max(relative_error(y.cpu(), z.double().cpu()) for y, z in zip(outputs, exact, strict=True))

    return Workload(workload.title, workload.contenders, error)


def conjugate_gradients(steps: int, height: int, width: int) -> Workload:
    """Return the workload of some steps of conjugate gradients on a matting problem; the peer is SciPy with its CSR."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import cg

    from benchmarks.baselines.operators import sparse_matrix

    image, right = planar(height, width, 3).double(), random_planes(1, height, width, "cpu", 1)[0].double()
    stencil = ops.matting_laplacian_stencil(image, EPSILON)
    weight = 100.0  # of the known pixels, here all: the system is well conditioned, so float64 agrees
    diagonal = torch.full_like(right, weight)

    def product(x: Tensor) -> Tensor:
        return ops.stencil_product(stencil, x[..., None])[..., 0] + weight * x

    def native() -> Call:
        zero = torch.zeros_like(right)
        return lambda: [ops.conjugate_gradients(product, right, zero, diagonal, 0.0, steps)]

    def scipy_csr() -> Call:
        matrix = sparse_matrix(stencil).astype("float64") + weight * diags([1.0], shape=(height * width,) * 2)
        return lambda: [torch.from_numpy(cg(matrix, right.flatten().numpy(), rtol=0.0, maxiter=steps)[0])]

    exact = cache(lambda: scipy_csr()()[0])
    # A step reads 12 coefficients and eight vectors in double, and writes four.
    cost = steps * 8 * 24 * height * width, steps * 64 * height * width
    contenders = {"native": Contender(native, *cost), "scipy_csr": Contender(scipy_csr, *cost)}
    title = f"{steps} steps of conjugate gradients, {width}x{height}"
    return Workload(title, contenders, lambda outputs: relative_error(outputs[0].flatten(), exact()))
