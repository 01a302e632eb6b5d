"""3 x 3 convolutions by Winograd's filtering: the definition, layouts, borders, threads, NaN and errors."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.ops import reference

LAST = torch.channels_last
# Batch, input channels, output channels, height, width: around the vectors' and tiles' lengths, and tiny ones.
SIZES = [(1, 1, 1, 1, 1), (1, 3, 5, 4, 4), (2, 8, 16, 5, 9), (1, 15, 17, 12, 7), (1, 17, 33, 6, 21), (1, 70, 61, 13, 2)]


def rand(*size: int, seed: int = 0) -> Tensor:
    # Rounded to float32, so that both types see the same numbers.
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).double()


def problem(batch: int, inputs: int, outputs: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    x = rand(batch, inputs, height, width).to(memory_format=LAST)
    return x, rand(outputs, inputs, 3, 3, seed=1) / (9 * inputs) ** 0.5, rand(outputs, seed=2)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("padding, reflect", [(0, False), (1, False), (2, False), (1, True)])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_the_definition(size, padding, reflect, relu, dtype):
    x, weight, bias = problem(*size)
    if min(size[3:]) + 2 * padding < 3 or (reflect and min(size[3:]) < 2):
        pytest.skip("too small to be defined")
    made = ops.convolution_weights(weight.to(dtype))
    y = ops.convolution(x.to(dtype), made, bias.to(dtype), size[2], padding, reflect, relu)
    wanted = reference.convolution(x, weight, bias, padding, reflect, relu)
    assert y.shape == wanted.shape and y.is_contiguous(memory_format=LAST)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-14
    assert (y.double() - wanted).norm() <= tolerance * reference.convolution(x, weight, bias, padding, reflect).norm()


def test_keeps_its_accuracy_over_many_channels():
    x, weight, bias = problem(1, 512, 64, 20, 20)
    y = ops.convolution(x.relu().float(), ops.convolution_weights(weight.float()), bias.float(), 64)
    wanted = reference.convolution(x.relu(), weight, bias)
    assert (y.double() - wanted).norm() <= 3e-6 * wanted.norm()


@pytest.mark.parametrize("padding", [1, 2])
def test_with_turned_weights_it_is_the_gradient(padding):
    x, weight, _ = problem(1, 12, 20, 9, 10)
    x = x.requires_grad_()
    y = reference.convolution(x, weight, None, 2 - padding)
    grad = rand(*y.shape, seed=3).to(memory_format=LAST)
    turned = ops.convolution_weights(weight.transpose(0, 1).flip(2, 3))
    found = ops.convolution(grad, turned, None, 12, padding)
    torch.testing.assert_close(found, torch.autograd.grad(y, x, grad)[0])


def test_one_row_or_column_is_repeated_where_it_cannot_be_mirrored():
    x, weight, bias = problem(1, 8, 8, 1, 6)
    wanted = reference.convolution(torch.nn.functional.pad(x, (1, 1, 1, 1), "replicate"), weight, bias, 0)
    inner = ops.convolution(x, ops.convolution_weights(weight), bias, 8, 1, reflect=True)
    torch.testing.assert_close(inner[..., 1:-1], wanted[..., 1:-1])


def test_strided_weights_and_bias_without_a_bias_too():
    x, weight, bias = problem(1, 9, 10, 8, 8)
    plain = ops.convolution(x, ops.convolution_weights(weight), bias, 10)
    strided = weight.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    spread = torch.stack([bias, bias], 1)[:, 0]
    assert torch.equal(ops.convolution(x, ops.convolution_weights(strided), spread, 10), plain)
    unbiased = ops.convolution(x, ops.convolution_weights(weight), None, 10)
    torch.testing.assert_close(unbiased + bias[:, None, None], plain)


def test_a_number_that_is_none_is_not_lost():
    x, weight, bias = problem(1, 8, 16, 12, 12)
    x[0, 3, 5, 5] = math.nan
    y = ops.convolution(x, ops.convolution_weights(weight), bias, 16, relu=True)
    assert y[..., 4:7, 4:7].isnan().all() and not y[..., 8:, 8:].isnan().any()


def test_results_do_not_depend_on_the_number_of_threads():
    x, weight, bias = (value.float() for value in problem(2, 20, 40, 50, 61))
    made, threads = ops.convolution_weights(weight), torch.get_num_threads()
    x = x.contiguous(memory_format=LAST)
    try:
        results = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append(ops.convolution(x, made, bias, 40))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize("allowed", ["default", "avx2", "the best"])
def test_every_instruction_set(allowed):
    """This and the Gram matrices choose their kernels at run time, in another process here."""
    if allowed == "avx2" and "avx2" not in ops.build_info()["cpu_features"]:
        pytest.skip("this processor has no AVX2, which torch would take for granted")
    script = """
import torch
from fastphoto import ops
from fastphoto.ops import reference
for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
    x, weight = torch.rand(1, 37, 15, 18, dtype=dtype), torch.rand(45, 37, 3, 3, dtype=dtype)
    y = ops.convolution(x.to(memory_format=torch.channels_last), ops.convolution_weights(weight), None, 45)
    assert (y - reference.convolution(x, weight, None)).norm() < tolerance * y.norm()
    f, masks = (torch.rand(37, 15, 18, dtype=dtype) - 0.5).requires_grad_(), torch.rand(3, 15, 18, dtype=dtype)
    grams = [gram(f, masks) for gram in (ops.masked_gram, reference.masked_gram)]
    ours, plain = ([g, torch.autograd.grad(g.pow(2).sum(), f)[0]] for g in grams)
    assert all((a - b).norm() < tolerance * b.norm() for a, b in zip(ours, plain))
"""
    chosen = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
    chosen |= {"ATEN_CPU_CAPABILITY": allowed} if allowed != "the best" else {}
    subprocess.run([sys.executable, "-c", script], env=chosen, check=True)


def test_shapes_for_torch_compile():
    x, weight, bias = problem(1, 8, 20, 6, 7)
    made = ops.convolution_weights(weight)
    torch.library.opcheck(torch.ops.fastphoto.convolution_weights.default, (weight,))
    torch.library.opcheck(torch.ops.fastphoto.convolution.default, (x, made, bias, 20, 2, False, True))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"x": torch.zeros(8, 6, 7)}, r"x is \(8, 6, 7\), wanted \(B, C, H, W\)"),
        ({"x": torch.zeros(1, 8, 6, 7)}, "x is not in dense channels-last memory"),
        ({"x": torch.zeros(1, 6, 7, 8).half().permute(0, 3, 1, 2)}, "x has dtype Half, wanted Float or Double"),
        ({"x": torch.zeros(1, 6, 7, 8).double().permute(0, 3, 1, 2)}, "weights has dtype Float, wanted that of x"),
        ({"x": torch.zeros(1, 6, 7, 9).permute(0, 3, 1, 2)}, r"weights is \(36, 2, 8, 16\), wanted \(36, 2, 9, 16\)"),
        ({"out_channels": 33}, r"weights is \(36, 2, 8, 16\), wanted \(36, 3, 8, 16\)"),
        ({"out_channels": 0}, "out_channels is 0, wanted 1 or more"),
        ({"bias": torch.zeros(19)}, r"bias is \(19,\), wanted \(O,\) with 20 in dimension 0"),
        ({"padding": 3}, "padding is 3, wanted 0, 1 or 2 pixels"),
        ({"x": torch.zeros(1, 2, 7, 8).permute(0, 3, 1, 2), "padding": 0}, "too small for a 3 x 3 window"),
    ],
)
def test_errors(changes, message):
    arguments = {
        "x": torch.zeros(1, 6, 7, 8).permute(0, 3, 1, 2),
        "weights": ops.convolution_weights(torch.zeros(20, 8, 3, 3)),
        "bias": torch.zeros(20),
        "out_channels": 20,
    }
    with pytest.raises(RuntimeError, match=f"fastphoto::convolution: {message}|{message}"):
        ops.convolution(**arguments | changes)


def test_errors_of_weights():
    for bad in (torch.zeros(4, 3, 3), torch.zeros(2, 2, 3, 5)):
        with pytest.raises(RuntimeError, match=r"fastphoto::convolution_weights: weight is .* wanted \(O, I, 3, 3\)"):
            ops.convolution_weights(bad)
