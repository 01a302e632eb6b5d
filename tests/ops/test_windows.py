"""Box sums and bilateral sums: definition, accuracy, derivatives, layouts, threads and errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference

# Single pixels, more columns than a block and more rows than a band of the kernels, windows beyond the image.
CASES = [((1, 1), 0), ((1, 7), 2), ((3, 3), 1), ((5, 70), 1), ((70, 4), 2), ((13, 11), 4), ((13, 11), 100)]
INFINITY = float("inf")


def planar(*size: int, seed: int = 0) -> Tensor:
    height, width, planes = size
    values = torch.rand(planes, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.permute(1, 2, 0)


def assert_near(got: Tensor, expected: Tensor, relative: float) -> None:
    """Compare, relative to the largest expected value."""
    got = got.cpu().double()
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= relative * expected.abs().max()


# ---- values


@pytest.mark.parametrize(("size", "radius"), CASES, ids=str)
def test_box_sum_equals_the_definition(size, radius, device, dtype):
    x = planar(*size, 2, seed=7)
    expected = reference.box_sum(x, min(radius, max(size)))
    assert_near(ops.box_sum(x.to(device, dtype), radius), expected, 1e-6 if dtype == torch.float32 else 1e-13)


def test_box_sum_does_not_drift_along_a_large_image():
    x = torch.full((3, 1500, 1700), 0.1).permute(1, 2, 0)
    sums = ops.box_sum(x, 1)
    assert (sums[1:-1, 1:-1] / 0.9 - 1).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("radius", "sigma_space", "sigma_colour"),
    [
        (0, 1, 0.1),
        (1, 0.5, 0.2),
        (4, 2.0, 0.05),
        (7, 3.0, INFINITY),
        (5, INFINITY, 0.1),
        (3, INFINITY, INFINITY),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 300), (23, 31)], ids=str)
def test_bilateral_sum_equals_the_definition(size, radius, sigma_space, sigma_colour, device, dtype):
    guide, x = planar(*size, 3, seed=8), planar(*size, 5, seed=9)
    expected = reference.bilateral_sum(guide, x, radius, sigma_space, sigma_colour)
    got = ops.bilateral_sum(guide.to(device, dtype), x.to(device, dtype), radius, sigma_space, sigma_colour)
    assert_near(got, expected, 2e-6 if dtype == torch.float32 else 1e-12)


def test_bilateral_weights_fall_to_zero_across_a_hard_edge():
    """Exponents far below the smallest float, whose weights must be 0 and not wrap to something large."""
    guide = torch.zeros(9, 12, 3)
    guide[:, 6:] = 1
    x = torch.ones(9, 12, 1)
    x[:, 6:] = float(2**60)
    sums = ops.bilateral_sum(guide, x, 4, INFINITY, 1e-3)
    assert (sums[:, :6] <= 9 * 6).all(), "a weight across the edge is not 0"
    assert torch.isfinite(sums).all()


# ---- derivatives, layouts, threads, torch.compile


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: ops.box_sum(x, 1), id="box_sum"),
        pytest.param(lambda x: ops.bilateral_sum(planar(4, 5, 3, seed=11).to(x), x, 2, 1.0, 0.3), id="bilateral_sum"),
    ],
)
def test_first_and_second_derivatives(function, device):
    x = planar(4, 5, 3, seed=12).to(device).requires_grad_()
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


def test_any_memory_layout_gives_the_same_bits():
    guide, x = planar(12, 15, 3, seed=13).float(), planar(12, 15, 3, seed=14).float()
    strided = x.repeat_interleave(2, dim=1)[:, ::2]
    assert torch.equal(ops.box_sum(guide.contiguous(), 2), ops.box_sum(guide, 2))
    assert torch.equal(ops.box_sum(strided, 2), ops.box_sum(x, 2))
    expected = ops.bilateral_sum(guide, x, 3, 1.0, 0.1)
    assert torch.equal(ops.bilateral_sum(guide.contiguous(), strided, 3, 1.0, 0.1), expected)


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    guide, x = planar(150, 70, 3, seed=15).float(), planar(150, 70, 3, seed=16).float()
    assert_independent_of_threads(lambda: [ops.box_sum(guide, 5), ops.bilateral_sum(guide, x, 3, 1.0, 0.1)])


def test_operators_follow_the_rules_of_torch():
    guide, x = planar(5, 6, 3, seed=17), planar(5, 6, 3, seed=18).clone().requires_grad_()
    torch.library.opcheck(torch.ops.fastphoto.box_sum.default, (x, 2))
    torch.library.opcheck(torch.ops.fastphoto.bilateral_sum.default, (guide, x, 2, 1.0, 0.1))


# ---- errors

C = torch.rand(5, 6, 3)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        pytest.param(C[0], r"x is \(6, 3\), expected \(H, W, K\)", id="rank"),
        pytest.param(C.long(), "x has dtype Long, expected Float or Double", id="dtype"),
    ],
)
def test_wrong_arguments_of_box_sum_are_named(x, message):
    with pytest.raises(RuntimeError, match=f"box_sum: {message}"):
        ops.box_sum(x, 1)


@pytest.mark.parametrize(
    ("x", "sigma_space", "sigma_colour", "message"),
    [
        pytest.param(C, 0.0, INFINITY, "sigma_space is 0, expected a number above 0", id="sigma_space"),
        pytest.param(C, 1.0, float("nan"), "sigma_colour is nan", id="sigma_colour"),
        pytest.param(C[:, :3], 1.0, INFINITY, r"x is \(5, 3, 3\), expected the height and width of guide", id="size"),
    ],
)
def test_wrong_arguments_of_bilateral_sum_are_named(x, sigma_space, sigma_colour, message):
    with pytest.raises(RuntimeError, match=f"bilateral_sum: {message}"):
        ops.bilateral_sum(C, x, 1, sigma_space, sigma_colour)


def test_guide_must_not_require_a_gradient():
    with pytest.raises(InputError, match="bilateral_sum: guide requires a gradient"):
        ops.bilateral_sum(C.clone().requires_grad_(), C, 1, 1.0)
