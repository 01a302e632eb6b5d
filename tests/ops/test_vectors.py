"""Inner products of long vectors: values, fixed order, and errors."""

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
    wanted = reference.inner_products(a, b)
    got = ops.inner_products(a.to(device), b.to(device)).cpu()
    assert got.dtype == torch.float64
    scale = a.double().norm(dim=1)[:, None] * b.double().norm(dim=1)
    assert ((got - wanted).abs() <= (1e-6 if dtype == torch.float32 else 1e-14) * scale).all()


def test_long_sums_lose_nothing(device):
    """A sum of a million numbers of one sign, kept in float32 throughout, would be off by much more."""
    a = torch.full((1, 1_000_003), 0.1)
    got = ops.inner_products(a.to(device), a.to(device)).item()
    assert got == pytest.approx(1_000_003 * float(a[0, 0]) ** 2, rel=1e-6)


def test_any_layout_and_the_same_bits(device):
    a, b = vectors(4, 9000, 2).float().to(device), vectors(3, 9000, 3).float().to(device)
    wanted = ops.inner_products(a, b)
    assert torch.equal(ops.inner_products(a.t().contiguous().t(), b), wanted)
    for _ in range(3):
        assert torch.equal(ops.inner_products(a, b), wanted)


def test_results_do_not_depend_on_the_number_of_threads():
    a, b = vectors(5, 50_000, 4).float(), vectors(2, 50_000, 5).float()
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append(ops.inner_products(a, b))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_follows_the_rules_of_torch():
    a, b = vectors(2, 10, 6), vectors(3, 10, 7)
    torch.library.opcheck(torch.ops.fastphoto.inner_products.default, (a, b))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.ones(3), torch.ones(1, 3), r"a is \(3,\), wanted \(A, N\)"),
        (torch.ones(1, 3), torch.ones(1, 4), r"b is \(1, 4\), wanted \(B, N\) with 3 in dimension 1"),
        (torch.ones(1, 3), torch.ones(1, 3).double(), "b has dtype Double, wanted that of a, Float"),
        (torch.ones(1, 3).half(), torch.ones(1, 3).half(), "a has dtype Half"),
        (torch.ones(1, 0), torch.ones(1, 0), "no empty dimension"),
    ],
)
def test_bad_arguments_are_named(a, b, message):
    with pytest.raises(RuntimeError, match=f"inner_products: {message}" if message[:2] != "no" else message):
        ops.inner_products(a, b)
