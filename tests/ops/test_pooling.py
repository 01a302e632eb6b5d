"""2 x 2 max-pooling of activations: values, gradients, ties, NaN, threads and errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.ops import reference

LAST = torch.channels_last


def activations(*size: int, seed: int = 0) -> Tensor:
    """Return (B, C, H, W) after a ReLU, with many zeros and equal numbers, in channels-last memory."""
    values = torch.randint(-4, 8, size, generator=torch.Generator().manual_seed(seed)).double().clamp_min(0)
    return values.to(memory_format=LAST)


SIZES = [(1, 1, 2, 2), (1, 3, 2, 5), (1, 8, 5, 2), (2, 5, 7, 9), (1, 16, 6, 8), (1, 12, 33, 31), (3, 24, 3, 3)]


@pytest.mark.parametrize("ceil", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_value_and_gradient_equal_the_definition(size, ceil, device, dtype):
    x = activations(*size)
    y = ops.max_pool(x.to(device, dtype), ceil)
    expected = reference.max_pool(x, ceil)
    assert torch.equal(y.cpu().double(), expected) and y.is_contiguous(memory_format=LAST)
    grad = torch.rand(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grad = grad.float().double().to(memory_format=LAST)
    got = ops.max_pool_backward(grad.to(device, dtype), x.to(device, dtype))
    assert torch.equal(got.cpu().double(), reference.max_pool_backward(grad, x))
    assert got.is_contiguous(memory_format=LAST)


def test_nan_is_not_lost(device):
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 2] = math.nan
    assert ops.max_pool(x.to(device)).isnan().cpu().tolist() == [[[[False, True], [False, False]]]]


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    x = activations(1, 6, 40, 41)
    grad = torch.rand(1, 6, 20, 20, dtype=torch.float64).to(memory_format=LAST)
    assert_independent_of_threads(lambda: [ops.max_pool(x), ops.max_pool_backward(grad, x)])


@pytest.mark.parametrize("ceil", [False, True], ids=["floor", "ceil"])
def test_follows_the_rules_of_torch(ceil):
    x = activations(1, 3, 5, 6)
    y = ops.max_pool(x, ceil)
    torch.library.opcheck(torch.ops.fastphoto.max_pool.default, (x, ceil))
    torch.library.opcheck(torch.ops.fastphoto.max_pool_backward.default, (y, x))


X = torch.rand(1, 4, 6, 6).to(memory_format=LAST)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        pytest.param(X[0], r"x is \(4, 6, 6\), expected \(B, C, H, W\)", id="rank"),
        pytest.param(X.contiguous(), "x is not in dense channels-last memory", id="planar"),
        pytest.param(X[:, :3], "x is not in dense channels-last memory", id="sliced"),
        pytest.param(X.half(), "x has dtype Half", id="half"),
        pytest.param(X[:, :, :1].to(memory_format=LAST), "x is .* expected H and W at least 2", id="one row"),
    ],
)
def test_wrong_activations_are_named(x, message):
    with pytest.raises(RuntimeError, match=f"max_pool: {message}"):
        ops.max_pool(x)


@pytest.mark.parametrize(
    ("grad", "message"),
    [
        pytest.param(X, r"grad is \(1, 4, 6, 6\), expected the pooled size", id="size"),
        pytest.param(ops.max_pool(X).double(), "grad has dtype Double, expected that of x", id="dtype"),
        pytest.param(
            ops.max_pool(X[:, :2].clone(memory_format=LAST)),
            r"grad is \(1, 2, 3, 3\), expected 4 in dimension 1",
            id="channels",
        ),
    ],
)
def test_wrong_gradients_are_named(grad, message):
    with pytest.raises(RuntimeError, match=f"max_pool_backward: {message}"):
        ops.max_pool_backward(grad, X)
