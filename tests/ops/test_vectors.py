"""Inner products of long vectors: values, accuracy, layouts, threads and errors."""

from __future__ import annotations

import pytest
import torch

from fastphoto import ops
from fastphoto.ops import reference


def vectors(count: int, length: int, seed: int) -> torch.Tensor:
    return torch.randn(count, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("length", [1, 31, 4096, 4097, 20000])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (20, 3), (9, 4)])
def test_equal_the_definition(rows, columns, length, device, dtype):
    a, b = vectors(rows, length, 0).to(dtype), vectors(columns, length, 1).to(dtype)
    expected = reference.inner_products(a, b)
    got = ops.inner_products(a.to(device), b.to(device)).cpu()
    assert got.dtype == torch.float64
    scale = a.double().norm(dim=1)[:, None] * b.double().norm(dim=1)
    assert ((got - expected).abs() <= (1e-6 if dtype == torch.float32 else 1e-14) * scale).all()


def test_long_sums_lose_nothing(device):
    """A million numbers of one sign: the error of a single sum in float32 would be far larger."""
    a = torch.full((1, 1_000_003), 0.1)
    got = ops.inner_products(a.to(device), a.to(device)).item()
    assert got == pytest.approx(1_000_003 * float(a[0, 0]) ** 2, rel=1e-6)


def test_any_layout_and_every_call_give_the_same_bits(device):
    a, b = vectors(4, 9000, 2).float().to(device), vectors(3, 9000, 3).float().to(device)
    expected = ops.inner_products(a, b)
    assert torch.equal(ops.inner_products(a.t().contiguous().t(), b), expected)
    for _ in range(3):
        assert torch.equal(ops.inner_products(a, b), expected)


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    a, b = vectors(5, 50_000, 4).float(), vectors(2, 50_000, 5).float()
    assert_independent_of_threads(lambda: [ops.inner_products(a, b)])


def test_follows_the_rules_of_torch():
    a, b = vectors(2, 10, 6), vectors(3, 10, 7)
    torch.library.opcheck(torch.ops.fastphoto.inner_products.default, (a, b))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        pytest.param(torch.ones(3), torch.ones(1, 3), r"a is \(3,\), expected \(A, N\)", id="rank"),
        pytest.param(
            torch.ones(1, 3), torch.ones(1, 4), r"b is \(1, 4\), expected \(B, N\) with 3 in dimension 1", id="length"
        ),
        pytest.param(
            torch.ones(1, 3), torch.ones(1, 3).double(), "b has dtype Double, expected that of a, Float", id="dtype"
        ),
        pytest.param(torch.ones(1, 3).half(), torch.ones(1, 3).half(), "a has dtype Half", id="half"),
        pytest.param(torch.ones(1, 0), torch.ones(1, 0), r"a is \(1, 0\), .*no empty dimension", id="empty"),
    ],
)
def test_wrong_vectors_are_named(a, b, message):
    with pytest.raises(RuntimeError, match=f"inner_products: {message}"):
        ops.inner_products(a, b)
