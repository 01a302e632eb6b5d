"""2 x 2 max-pooling of activations: values and gradients by the definition, ties, NaN, layouts and errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.ops import reference

LAST = torch.channels_last


def activations(*size: int, seed: int = 0) -> Tensor:
    """(B, C, H, W) after a ReLU, with many zeros and equal numbers, in channels-last memory."""
    values = torch.randint(-4, 8, size, generator=torch.Generator().manual_seed(seed)).double().clamp_min(0)
    return values.to(memory_format=LAST)


SIZES = [(1, 1, 2, 2), (1, 3, 2, 5), (1, 8, 5, 2), (2, 5, 7, 9), (1, 16, 6, 8), (1, 12, 33, 31), (3, 24, 3, 3)]


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_value_and_gradient_equal_the_definition(size, ceil, device, dtype):
    x = activations(*size)
    y = ops.max_pool(x.to(device, dtype), ceil)
    wanted = reference.max_pool(x, ceil)
    assert torch.equal(y.cpu().double(), wanted) and y.is_contiguous(memory_format=LAST)
    grad = torch.rand(wanted.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grad = grad.float().double().to(memory_format=LAST)
    got = ops.max_pool_backward(grad.to(device, dtype), x.to(device, dtype))
    assert torch.equal(got.cpu().double(), reference.max_pool_backward(grad, x))
    assert got.is_contiguous(memory_format=LAST)


def test_a_number_that_is_none_is_not_lost(device):
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 2] = math.nan
    assert ops.max_pool(x.to(device)).isnan().cpu().tolist() == [[[[False, True], [False, False]]]]


def test_results_do_not_depend_on_the_number_of_threads():
    x, threads = activations(1, 6, 40, 41), torch.get_num_threads()
    grad = torch.rand(1, 6, 20, 20, dtype=torch.float64).to(memory_format=LAST)
    try:
        results = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append((ops.max_pool(x), ops.max_pool_backward(grad, x)))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(map(torch.equal, other, results[0]))


def test_follows_the_rules_of_torch():
    x = activations(1, 3, 5, 6)
    for ceil in (False, True):
        y = ops.max_pool(x, ceil)
        torch.library.opcheck(torch.ops.fastphoto.max_pool.default, (x, ceil))
        torch.library.opcheck(torch.ops.fastphoto.max_pool_backward.default, (y, x))


X = torch.rand(1, 4, 6, 6).to(memory_format=LAST)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.max_pool(X[0]), r"max_pool: x is \(4, 6, 6\), wanted \(B, C, H, W\)"),
        (lambda: ops.max_pool(X.contiguous()), "max_pool: x is not in dense channels-last memory"),
        (lambda: ops.max_pool(X[:, :3]), "max_pool: x is not in dense channels-last memory"),
        (lambda: ops.max_pool(X.half()), "max_pool: x has dtype Half"),
        (lambda: ops.max_pool(X[:, :, :1].to(memory_format=LAST)), r"wanted H and W at least 2"),
        (lambda: ops.max_pool_backward(X, X), r"max_pool_backward: grad is \(1, 4, 6, 6\), wanted the pooled size"),
        (lambda: ops.max_pool_backward(ops.max_pool(X).double(), X), "grad has dtype Double, wanted that of x"),
        (lambda: ops.max_pool_backward(ops.max_pool(X[:, :2].clone(memory_format=LAST)), X), "wanted 4 in dimension 1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()
