"""Times the native operators against what one would use without them, in one run so that ratios hold.

    pytest benchmarks/bench_ops.py --benchmark-columns=min,median,rounds

Every contender is checked against float64 before it is timed.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor

from fastphoto import ops, reference

SIZES = [(233, 350), (466, 700)]
OFFSETS = [(0, 1), (0, 2)] + [(dy, dx) for dy in (1, 2) for dx in range(-2, 3)]


def planar(height: int, width: int, planes: int, seed: int = 0) -> Tensor:
    values = torch.rand(planes, height, width, generator=torch.Generator().manual_seed(seed))
    return values.permute(1, 2, 0)


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


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
@pytest.mark.parametrize("form", ["scipy_csr", "on_the_fly", "stencil", "on_the_fly_energy", "stencil_energy"])
def test_matting_laplacian(benchmark, form, size):
    benchmark.group = f"matting Laplacian, three planes, {size[1]}x{size[0]}"
    image, x = planar(*size, 3), planar(*size, 3, seed=1)
    stencil = ops.matting_laplacian_stencil(image)
    matrix, columns = sparse_matrix(stencil), x.reshape(-1, 3).numpy()
    calls = {
        "scipy_csr": lambda: torch.from_numpy(matrix @ columns).reshape(*size, 3),
        "on_the_fly": lambda: ops.matting_laplacian(image, x),
        "stencil": lambda: ops.stencil_product(stencil, x),
        "on_the_fly_energy": lambda: ops.matting_laplacian_energy(image, x)[1],
        "stencil_energy": lambda: ops.stencil_energy(stencil, x)[1],
    }
    wanted = ops.matting_laplacian(image.double(), x.double())
    assert (calls[form]() - wanted).norm() <= 1e-5 * wanted.norm()
    benchmark(calls[form])


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_building_the_stencil(benchmark, size):
    benchmark.group = "stencil of the matting Laplacian"
    image = planar(*size, 3)
    benchmark(ops.matting_laplacian_stencil, image)


def partition(regions: int, height: int, width: int) -> Tensor:
    """Hard masks of regions that share the image: the pixels nearest to each of some random points."""
    points = torch.rand(regions, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([height, width])
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    nearest = ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(-1)
    return torch.stack([nearest == r for r in range(regions)]).float()


# The layers of a VGG-19 at 350 x 233, and those of one with a quarter of the channels.
LAYERS = [
    (64, 233, 350),
    (128, 117, 175),
    (256, 59, 88),
    (512, 30, 44),
    (16, 233, 350),
    (32, 117, 175),
    (64, 59, 88),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: "x".join(map(str, layer)))
@pytest.mark.parametrize("layout", ["planar", "channels_last"])
@pytest.mark.parametrize(
    ("form", "regions"),
    [("native", 1), ("native", 9), ("native_without_plan", 9), ("dense", 1), ("dense", 9)],
)
def test_masked_gram_and_gradient(benchmark, form, regions, layout, layer):
    benchmark.group = f"masked Gram and gradient, {layout}, {layer}"
    channels, height, width = layer
    features = torch.rand(layer, generator=torch.Generator().manual_seed(2))
    if layout == "channels_last":
        features = features.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    features.requires_grad_()
    masks = partition(regions, height, width)
    direction = torch.ones(regions, channels, channels)
    plan = ops.plan_regions(masks)

    def dense(f: Tensor) -> Tensor:
        masked = (f * masks[:, None]).flatten(2)
        return masked @ masked.mT

    forward = {
        "native": lambda f: ops.masked_gram(f, plan),
        "native_without_plan": lambda f: ops.masked_gram(f, masks),
        "dense": dense,
    }[form]
    wanted = reference.masked_gram(features.detach().double(), masks.double())
    assert (forward(features).detach() - wanted).norm() <= 1e-5 * wanted.norm()

    def step() -> Tensor:
        return torch.autograd.grad(forward(features), features, direction)[0]

    benchmark(step)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
@pytest.mark.parametrize("call", ["fit_radius_1", "fit_radius_30", "smooth_box_radius_8", "apply"])
def test_local_affine(benchmark, call, size):
    benchmark.group = f"local affine maps, {size[1]}x{size[0]}"
    content, result = planar(*size, 3), planar(*size, 3, seed=1)
    maps = ops.local_affine_fit(content, result, 1)
    benchmark(
        {
            "fit_radius_1": lambda: ops.local_affine_fit(content, result, 1),
            "fit_radius_30": lambda: ops.local_affine_fit(content, result, 30),
            "smooth_box_radius_8": lambda: ops.local_affine_smooth_box(maps, 8),
            "apply": lambda: ops.local_affine_apply(maps, content),
        }[call]
    )


def test_bilateral_smoothing(benchmark):
    benchmark.group = "bilateral smoothing of maps, 350x233, radius 15"
    content = planar(233, 350, 3)
    maps = ops.local_affine_fit(content, planar(233, 350, 3, seed=1), 1)
    benchmark(ops.local_affine_smooth, maps, content, 15, 0.1)
