"""Every operator against its definition in float64; Hypothesis draws sizes, memory layouts, types and masks."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from fastphoto import ops
from fastphoto.ops import reference

DRAWS = settings(max_examples=40, deadline=None)
SIDES = st.integers(3, 33)
DTYPES = st.sampled_from([torch.float32, torch.float64])
SEEDS = st.integers(0, 2**31)
CHANNELS_LAST = torch.channels_last


def values(seed: int, *size: int) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def planar(x: Tensor) -> Tensor:
    return x.movedim(-1, 0).contiguous().movedim(0, -1)


def spaced(x: Tensor) -> Tensor:
    return torch.stack([x, x], -1)[..., 0]


def inside(x: Tensor) -> Tensor:
    return F.pad(x, (1, 2) * min(2, x.ndim)).narrow(-1, 1, x.shape[-1]).narrow(-2, 1, x.shape[-2])


def reversed_axes(x: Tensor) -> Tensor:
    return x.permute(*reversed(range(x.ndim))).contiguous().permute(*reversed(range(x.ndim)))


LAYOUTS = st.sampled_from([torch.Tensor.contiguous, planar, spaced, inside, reversed_axes])
PAIRS = st.tuples(LAYOUTS, LAYOUTS)


def assert_close(got: Tensor, expected: Tensor, dtype: torch.dtype, single: float = 2e-5) -> None:
    """Compare, relative to the norm of all expected values."""
    assert got.shape == expected.shape and got.dtype == dtype and bool(got.isfinite().all())
    tolerance = single if dtype == torch.float32 else 1e-9
    assert (got.double() - expected).norm() <= tolerance * expected.norm() + 1e-12


@DRAWS
@given(height=SIDES, width=SIDES, count=st.integers(1, 5), layouts=PAIRS, dtype=DTYPES, seed=SEEDS)
def test_matting_laplacian(height, width, count, layouts, dtype, seed):
    image, x = values(seed, height, width, 3).to(dtype), values(seed + 1, height, width, count).to(dtype)
    epsilon = 1e-3  # with the default of 1e-7 the definition itself loses digits
    laid = layouts[0](image), layouts[1](x)
    expected = reference.matting_laplacian(image.double(), x.double(), epsilon)
    energy = reference.matting_laplacian_energy(image.double(), x.double(), epsilon)[0]
    got_energy, product = ops.matting_laplacian_energy(*laid, epsilon)
    stencil = ops.matting_laplacian_stencil(laid[0], epsilon)
    stencil_energy, stencil_product = ops.stencil_energy(layouts[1](stencil), laid[1])
    assert_close(stencil, reference.matting_laplacian_stencil(image.double(), epsilon), dtype, 2e-4)
    for got in (ops.matting_laplacian(*laid, epsilon), product, stencil_product, ops.stencil_product(stencil, laid[1])):
        assert_close(got, expected, dtype, 2e-4)
    for got in (got_energy, stencil_energy):
        assert_close(got, energy, dtype, 2e-4)
        assert got >= 0


@DRAWS
@given(
    height=SIDES, width=SIDES, channels=st.integers(1, 40), regions=st.integers(1, 6), layout=LAYOUTS, dtype=DTYPES,
    kind=st.sampled_from(["hard", "soft", "empty", "holes"]), seed=SEEDS,
)  # fmt: skip
def test_masked_gram(height, width, channels, regions, layout, dtype, kind, seed):
    features = (values(seed, channels, height, width) - 0.3).to(dtype)
    masks = values(seed + 1, regions, height, width)
    if kind != "soft":
        region_map = (masks[0] * regions).long()
        masks = torch.stack([region_map == r for r in range(regions)]).double()
    if kind == "empty":
        masks[0] = 0
    if kind == "holes":
        masks[:, ::2] = 0
    masks = masks.to(dtype)
    expected = reference.masked_gram(features.double(), masks.double())
    laid = layout(features)
    got = ops.masked_gram(laid, layout(masks))
    assert_close(got, expected, dtype)
    assert torch.equal(got, got.mT) and torch.equal(got, ops.masked_gram(laid, ops.list_pixels(masks)))


@DRAWS
@given(rows=st.tuples(st.integers(1, 7), st.integers(1, 7)), length=st.integers(1, 5000), dtype=DTYPES, seed=SEEDS)
def test_inner_products(rows, length, dtype, seed):
    a, b = (values(seed + n, rows[n], length).to(dtype) - 0.5 for n in (0, 1))
    got = ops.inner_products(a, b)
    tolerance = (1e-6 if dtype == torch.float32 else 1e-14) * a.double().norm(dim=1)[:, None] * b.double().norm(dim=1)
    assert got.dtype == torch.float64 and bool(((got - reference.inner_products(a, b)).abs() <= tolerance).all())


@DRAWS
@given(
    batch=st.integers(1, 2), sizes=st.tuples(SIDES, SIDES), channels=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    padding=st.integers(0, 2), reflect=st.booleans(), relu=st.booleans(), bias=st.booleans(), dtype=DTYPES, seed=SEEDS,
)  # fmt: skip
def test_convolution(batch, sizes, channels, padding, reflect, relu, bias, dtype, seed):
    x = (values(seed, batch, channels[0], *sizes) - 0.5).to(dtype).contiguous(memory_format=CHANNELS_LAST)
    weight = (values(seed + 1, channels[1], channels[0], 3, 3) - 0.5).to(dtype)
    offset = (values(seed + 2, channels[1]) - 0.5).to(dtype) if bias else None
    got = ops.convolution(x, ops.convolution_weights(weight), offset, channels[1], padding, reflect, relu)
    exact_offset = None if offset is None else offset.double()
    expected = reference.convolution(x.double(), weight.double(), exact_offset, padding, reflect, relu)
    assert_close(got, expected, dtype)


@DRAWS
@given(
    batch=st.integers(1, 2), sizes=st.tuples(st.integers(2, 33), st.integers(2, 33)), channels=st.integers(1, 20),
    ceil=st.booleans(), ties=st.booleans(), dtype=DTYPES, seed=SEEDS,
)  # fmt: skip
def test_max_pool(batch, sizes, channels, ceil, ties, dtype, seed):
    x = (values(seed, batch, channels, *sizes) - 0.5).clamp_min(0).to(dtype)
    if ties:
        x = (x * 4).round() / 4
    x = x.contiguous(memory_format=CHANNELS_LAST)
    got = ops.max_pool(x, ceil)
    assert torch.equal(got, reference.max_pool(x, ceil))
    grad = values(seed + 1, *got.shape).to(dtype).contiguous(memory_format=CHANNELS_LAST)
    assert torch.equal(ops.max_pool_backward(grad, x), reference.max_pool_backward(grad, x))


@DRAWS
@given(
    sizes=st.tuples(SIDES, SIDES), coarse=st.tuples(st.integers(1, 12), st.integers(1, 12)), radius=st.integers(0, 4),
    layouts=PAIRS, dtype=DTYPES, seed=SEEDS,
)  # fmt: skip
def test_local_affine_maps(sizes, coarse, radius, layouts, dtype, seed):
    content, result = (values(seed + n, *sizes, 3).to(dtype) for n in (0, 1))
    laid = layouts[0](content), layouts[1](result)
    assert_close(ops.local_affine_fit(*laid, radius, 0.1), reference.local_affine_fit(
        content.double(), result.double(), radius, 0.1), dtype, 5e-4)  # fmt: skip
    maps = values(seed + 2, *coarse, 3, 4).to(dtype)
    applied = ops.local_affine_apply(layouts[0](maps.flatten(2)).unflatten(2, (3, 4)), laid[0])
    assert_close(applied, reference.local_affine_apply(maps.double(), content.double()), dtype)


@DRAWS
@given(
    sizes=st.tuples(SIDES, SIDES), count=st.integers(1, 14), radius=st.integers(0, 6), layouts=PAIRS,
    space=st.sampled_from([0.5, 3.0, float("inf")]), colour=st.sampled_from([0.05, 0.5, float("inf")]), dtype=DTYPES,
    seed=SEEDS,
)  # fmt: skip
def test_window_sums(sizes, count, radius, layouts, space, colour, dtype, seed):
    guide, x = values(seed, *sizes, 3).to(dtype), values(seed + 1, *sizes, count).to(dtype)
    laid = layouts[0](guide), layouts[1](x)
    assert_close(ops.box_sum(laid[1], radius), reference.box_sum(x.double(), radius), dtype)
    expected = reference.bilateral_sum(guide.double(), x.double(), radius, space, colour)
    assert_close(ops.bilateral_sum(*laid, radius, space, colour), expected, dtype)
