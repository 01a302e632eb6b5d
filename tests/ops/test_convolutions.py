"""3 x 3 convolutions by Winograd's filtering: definition, borders, layouts, NaN, threads and errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.ops import reference

LAST = torch.channels_last
# Batch, input channels, output channels, height, width: around the lengths of vectors and tiles, and tiny ones.
SIZES = [(1, 1, 1, 1, 1), (1, 3, 5, 4, 4), (2, 8, 16, 5, 9), (1, 15, 17, 12, 7), (1, 17, 33, 6, 21), (1, 70, 61, 13, 2)]


def rand(*size: int, seed: int = 0) -> Tensor:
    # Rounded to float32, so that both types get the same numbers.
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).double()


def problem(batch: int, inputs: int, outputs: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    x = rand(batch, inputs, height, width).to(memory_format=LAST)
    return x, rand(outputs, inputs, 3, 3, seed=1) / (9 * inputs) ** 0.5, rand(outputs, seed=2)


@pytest.mark.parametrize("relu", [False, True], ids=["linear", "relu"])
@pytest.mark.parametrize(
    ("padding", "reflect"), [(0, False), (1, False), (2, False), (1, True)], ids=["0", "1", "2", "1 reflected"]
)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_the_definition(size, padding, reflect, relu, dtype):
    x, weight, bias = problem(*size)
    if min(size[3:]) + 2 * padding < 3 or (reflect and min(size[3:]) < 2):
        pytest.skip("too small to be defined")
    weights = ops.convolution_weights(weight.to(dtype))
    y = ops.convolution(x.to(dtype), weights, bias.to(dtype), size[2], padding, reflect, relu)
    expected = reference.convolution(x, weight, bias, padding, reflect, relu)
    assert y.shape == expected.shape and y.is_contiguous(memory_format=LAST)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-14
    assert (y.double() - expected).norm() <= tolerance * reference.convolution(x, weight, bias, padding, reflect).norm()


def test_keeps_its_accuracy_over_many_channels():
    x, weight, bias = problem(1, 512, 64, 20, 20)
    y = ops.convolution(x.relu().float(), ops.convolution_weights(weight.float()), bias.float(), 64)
    expected = reference.convolution(x.relu(), weight, bias)
    assert (y.double() - expected).norm() <= 3e-6 * expected.norm()


@pytest.mark.parametrize("padding", [1, 2])
def test_turned_filters_give_the_gradient(padding):
    x, weight, _ = problem(1, 12, 20, 9, 10)
    x = x.requires_grad_()
    y = reference.convolution(x, weight, None, 2 - padding)
    grad = rand(*y.shape, seed=3).to(memory_format=LAST)
    turned = ops.convolution_weights(weight.transpose(0, 1).flip(2, 3))
    gradient = ops.convolution(grad, turned, None, 12, padding)
    torch.testing.assert_close(gradient, torch.autograd.grad(y, x, grad)[0])


def test_one_row_or_column_is_repeated_where_it_cannot_be_mirrored():
    x, weight, bias = problem(1, 8, 8, 1, 6)
    expected = reference.convolution(torch.nn.functional.pad(x, (1, 1, 1, 1), "replicate"), weight, bias, 0)
    inner = ops.convolution(x, ops.convolution_weights(weight), bias, 8, 1, reflect=True)
    torch.testing.assert_close(inner[..., 1:-1], expected[..., 1:-1])


def test_strided_weights_and_bias_give_the_same_bits():
    x, weight, bias = problem(1, 9, 10, 8, 8)
    expected = ops.convolution(x, ops.convolution_weights(weight), bias, 10)
    strided = weight.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    spread = torch.stack([bias, bias], 1)[:, 0]
    assert torch.equal(ops.convolution(x, ops.convolution_weights(strided), spread, 10), expected)


def test_without_a_bias():
    x, weight, bias = problem(1, 9, 10, 8, 8)
    weights = ops.convolution_weights(weight)
    unbiased = ops.convolution(x, weights, None, 10)
    torch.testing.assert_close(unbiased + bias[:, None, None], ops.convolution(x, weights, bias, 10))


def test_nan_reaches_its_neighbours_and_no_other_tile():
    x, weight, bias = problem(1, 8, 16, 12, 12)
    x[0, 3, 5, 5] = math.nan
    y = ops.convolution(x, ops.convolution_weights(weight), bias, 16, relu=True)
    assert y[..., 4:7, 4:7].isnan().all() and not y[..., 8:, 8:].isnan().any()


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    x, weight, bias = (value.float() for value in problem(2, 20, 40, 50, 61))
    weights = ops.convolution_weights(weight)
    x = x.contiguous(memory_format=LAST)
    assert_independent_of_threads(lambda: [ops.convolution(x, weights, bias, 40)])


def test_operators_follow_the_rules_of_torch():
    x, weight, bias = problem(1, 8, 20, 6, 7)
    weights = ops.convolution_weights(weight)
    torch.library.opcheck(torch.ops.fastphoto.convolution_weights.default, (weight,))
    torch.library.opcheck(torch.ops.fastphoto.convolution.default, (x, weights, bias, 20, 2, False, True))


def zeros(channels: int, height: int = 6) -> Tensor:
    return torch.zeros(1, height, 7, channels).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"x": torch.zeros(8, 6, 7)}, r"x is \(8, 6, 7\), expected \(B, C, H, W\)", id="rank"),
        pytest.param({"x": torch.zeros(1, 8, 6, 7)}, "x is not in dense channels-last memory", id="planar"),
        pytest.param({"x": zeros(8).half()}, "x has dtype Half, expected Float or Double", id="half"),
        pytest.param({"x": zeros(8).double()}, "weights has dtype Float, expected that of x", id="dtype"),
        pytest.param({"x": zeros(9)}, r"weights is \(36, 2, 8, 16\), expected \(36, 2, 9, 16\)", id="input channels"),
        pytest.param(
            {"out_channels": 33}, r"weights is \(36, 2, 8, 16\), expected \(36, 3, 8, 16\)", id="output channels"
        ),
        pytest.param({"out_channels": 0}, "out_channels is 0, expected 1 or more", id="no output"),
        pytest.param({"bias": torch.zeros(19)}, r"bias is \(19,\), expected \(O,\) with 20 in dimension 0", id="bias"),
        pytest.param({"padding": 3}, "padding is 3, expected 0, 1 or 2 pixels", id="padding"),
        pytest.param({"x": zeros(8, height=2), "padding": 0}, ".*too small for a 3 x 3 window", id="too small"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    arguments = {
        "x": zeros(8),
        "weights": ops.convolution_weights(torch.zeros(20, 8, 3, 3)),
        "bias": torch.zeros(20),
        "out_channels": 20,
    }
    with pytest.raises(RuntimeError, match=f"fastphoto::convolution: {message}"):
        ops.convolution(**arguments | changes)


@pytest.mark.parametrize("size", [(4, 3, 3), (2, 2, 3, 5)], ids=["rank", "3 x 5"])
def test_wrong_filters_are_named(size):
    message = r"fastphoto::convolution_weights: weight is .* expected \(O, I, 3, 3\)"
    with pytest.raises(RuntimeError, match=message):
        ops.convolution_weights(torch.zeros(size))
