"""Sums of local affine fits over windows: definition, symmetry, layouts, threads and errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference

# Single pixels, more columns than a block and more rows than a band of the kernels, windows beyond the image.
CASES = [((1, 1), 0), ((1, 7), 2), ((3, 3), 1), ((5, 70), 1), ((70, 4), 2), ((13, 11), 4), ((13, 11), 100)]


def planar(height: int, width: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    values = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.to(dtype).permute(1, 2, 0)


def summed(content: Tensor, x: Tensor, radius: int, epsilon: float = 1e-2) -> Tensor:
    return ops.local_affine_sum(content, ops.local_affine_factors(content, radius, epsilon), x, radius)


@pytest.mark.parametrize(("size", "radius"), CASES, ids=str)
def test_equal_the_definition(size, radius, dtype):
    content, x = planar(*size, 1, dtype), planar(*size, 2, dtype)
    reach = min(radius, max(size))
    factors = reference.local_affine_factors(content.double(), reach, 1e-2)
    torch.testing.assert_close(ops.local_affine_factors(content, radius, 1e-2), factors, rtol=1e-9, atol=1e-9)
    expected = reference.local_affine_sum(content.double(), x.double(), reach, 1e-2)
    relative = 1e-5 if dtype == torch.float32 else 1e-10
    found = summed(content, x, radius).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=relative * float(expected.abs().max()))


def test_stays_accurate_where_colours_hardly_vary():
    """Nearly flat windows: factors in float32 would lose the map."""
    content = (0.7 + 1e-4 * planar(20, 22, 3)).float()
    result = (content.double() @ torch.tensor([[0.5, 0, 0.1], [0.2, 0.8, 0], [0, 0.1, 1]]).double() + 0.05).float()
    expected = reference.local_affine_sum(content.double(), result.double(), 2, 1e-7)
    torch.testing.assert_close(summed(content, result, 2, 1e-7).double(), expected, rtol=1e-6, atol=0)


def test_derivatives_of_any_order():
    content, x = planar(4, 5, 1), planar(4, 5, 2).clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: summed(content, x, 1), x)
    assert torch.autograd.gradgradcheck(lambda x: summed(content, x, 1), x)


def test_any_memory_layout_gives_the_same_bits():
    content, x = planar(9, 70, 1).float(), planar(9, 70, 2).float()
    expected = summed(content, x, 2)
    for layout in (Tensor.contiguous, lambda v: torch.stack([v, v], -1)[..., 0]):
        assert torch.equal(summed(layout(content), layout(x), 2), expected)


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    content, x = planar(300, 33, 1).float(), planar(300, 33, 2).float()
    assert_independent_of_threads(lambda: [ops.local_affine_factors(content, 4, 1e-3), summed(content, x, 4)])


def test_follow_the_rules_of_torch():
    content, x = planar(6, 7, 1), planar(6, 7, 2).clone().requires_grad_()
    factors = ops.local_affine_factors(content, 1, 1e-3)
    torch.library.opcheck(torch.ops.fastphoto.local_affine_factors.default, (content, 1, 1e-3))
    torch.library.opcheck(torch.ops.fastphoto.local_affine_sum.default, (content, factors, x, 1))


CONTENT = planar(6, 7, 1)
FACTORS = ops.local_affine_factors(CONTENT, 1, 1e-3)


@pytest.mark.parametrize(
    ("factors", "x", "radius", "message"),
    [
        pytest.param(FACTORS, CONTENT[..., :2], 1, r"x is \(6, 7, 2\), expected \(H, W, 3\)", id="planes"),
        pytest.param(FACTORS, CONTENT[:5], 1, "expected the height and width of content", id="size"),
        pytest.param(FACTORS, CONTENT.float(), 1, "x has dtype Float, expected that of content, Double", id="dtype"),
        pytest.param(FACTORS[:8], CONTENT, 1, r"factors is \(8, 6, 7\), expected \(9, H, W\) of content", id="factors"),
        pytest.param(FACTORS.float(), CONTENT, 1, "factors has dtype Float, expected Double", id="factors dtype"),
        pytest.param(FACTORS, CONTENT, -1, "radius is -1, expected 0 or more pixels", id="radius"),
    ],
)
def test_wrong_arguments_of_sums_are_named(factors, x, radius, message):
    with pytest.raises(RuntimeError, match=f"local_affine_sum: .*{message}"):
        ops.local_affine_sum(CONTENT, factors, x, radius)


def test_wrong_arguments_of_factors_are_named():
    with pytest.raises(RuntimeError, match="local_affine_factors: epsilon is 0, expected a finite number above 0"):
        ops.local_affine_factors(CONTENT, 1, 0.0)
    with pytest.raises(RuntimeError, match=r"local_affine_factors: content is \(7, 3\), expected \(H, W, 3\)"):
        ops.local_affine_factors(CONTENT[0], 1, 1e-3)
    with pytest.raises(InputError, match="local_affine_factors: content requires a gradient"):
        ops.local_affine_factors(CONTENT.clone().requires_grad_(), 1, 1e-3)
