"""The distance between sorted numbers: values, gradients, ties, layouts, threads and errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference


def numbers(rows: int, columns: int, seed: int = 0) -> Tensor:
    """Return numbers of both signs and many magnitudes, none of them twice."""
    noise = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return noise * (5 * noise.flip(1)).exp()


def ascending(values: Tensor, offsets: list[int]) -> Tensor:
    sizes = [end - begin for begin, end in zip(offsets[:-1], offsets[1:], strict=True)]
    return torch.cat([part.sort(1)[0] for part in values.split(sizes, 1)], 1)


OFFSETS = [[0, 1], [0, 2, 3], [0, 700], [0, 5, 2300, 2304], [0, 4096, 8192, 12288, 20000]]


@pytest.mark.parametrize("offsets", OFFSETS, ids=str)
@pytest.mark.parametrize("rows", [1, 7])
def test_value_and_gradient_equal_the_definition(rows, offsets, device, dtype):
    values = numbers(rows, offsets[-1]).to(device, dtype).requires_grad_()
    target, bounds = ascending(numbers(rows, offsets[-1], 1), offsets).to(device, dtype), torch.tensor(offsets)
    weights = torch.arange(1.0, len(offsets)).to(device, dtype)
    same = values.detach().double().requires_grad_()
    distance, expected = ops.sorted_distance(values, target, bounds), reference.sorted_distance(same, target, bounds)
    tolerance = {"rtol": 1e-5 if dtype == torch.float32 else 1e-12, "atol": 0}
    torch.testing.assert_close(distance.double(), expected, **tolerance)
    (got,) = torch.autograd.grad((distance * weights).sum(), values)
    (gradient,) = torch.autograd.grad((expected * weights).sum(), same)
    # A residual is a difference of two numbers, and so has the rounding error of the larger one.
    torch.testing.assert_close(got.double(), gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))


def test_gradient_by_differences():
    values, target = torch.rand(2, 3, 12, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    offsets = [0, 4, 12]
    values, target = values.requires_grad_(), ascending(target, offsets)
    assert torch.autograd.gradcheck(lambda x: ops.sorted_distance(x, target, torch.tensor(offsets)), values)


def test_equal_numbers_keep_the_order_of_their_columns():
    values, target = torch.tensor([[2.0, 1.0, 2.0, 2.0]]).requires_grad_(), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    distance = ops.sorted_distance(values, target, torch.tensor([0, 4]))
    assert distance.tolist() == [5 / 4]
    assert torch.autograd.grad(distance.sum(), values)[0].tolist() == [[0, 0, -0.5, -1]]


def test_infinite_numbers_are_the_outermost_and_nan_stays(device):
    values = torch.tensor([[0.0, math.inf, -math.inf, -1.0], [1.0, math.nan, 2.0, 3.0]]).to(device)
    target = torch.zeros(2, 4).to(device)
    bounds = torch.tensor([0, 4])
    assert ops.sorted_distance(values[:1], target[:1], bounds).tolist() == [math.inf]
    assert ops.sorted_distance(values[1:], target[1:], bounds).isnan().all()


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    values, offsets = numbers(5, 3000).float(), [0, 100, 3000]
    target = ascending(numbers(5, 3000, 1), offsets).float()
    assert_independent_of_threads(lambda: torch.ops.fastphoto.sorted_distance(values, target, torch.tensor(offsets)))


def test_any_layout_has_the_same_bits(device):
    values, offsets = numbers(4, 50).float().to(device), [0, 20, 50]
    target = ascending(numbers(4, 50, 1), offsets).float().to(device)
    expected = ops.sorted_distance(values, target, torch.tensor(offsets))
    columns = values.t().contiguous().t(), target.t().contiguous().t()
    assert torch.equal(ops.sorted_distance(*columns, torch.tensor(offsets)), expected)


def test_follows_the_rules_of_torch():
    values, offsets = numbers(3, 20).requires_grad_(), [0, 5, 20]
    target = ascending(numbers(3, 20, 1), offsets)
    operator = torch.ops.fastphoto.sorted_distance.default
    torch.library.opcheck(operator, (values, target, torch.tensor(offsets)))


def test_is_not_differentiable_twice():
    values = numbers(1, 4).requires_grad_()
    distance = ops.sorted_distance(values, torch.zeros(1, 4).double(), torch.tensor([0, 4]))
    with pytest.raises(NotImplementedError, match="sorted_distance is differentiable once, not twice"):
        torch.autograd.grad(distance.sum() ** 2, values, create_graph=True)


def test_a_target_with_a_gradient_is_refused():
    target = torch.zeros(1, 2).requires_grad_()
    with pytest.raises(InputError, match="sorted_distance: target requires a gradient"):
        ops.sorted_distance(torch.ones(1, 2), target, torch.tensor([0, 2]))


X, BOUNDS = torch.ones(2, 5), torch.tensor([0, 2, 5])


@pytest.mark.parametrize(
    ("values", "target", "offsets", "message"),
    [
        pytest.param(X[0], X, BOUNDS, r"values is \(5,\), expected \(K, N\)", id="rank"),
        pytest.param(X, X[:, :4], BOUNDS, r"target is \(2, 4\), expected the shape of values, \(2, 5\)", id="target"),
        pytest.param(X, X.double(), BOUNDS, "target has dtype Double, expected that of values", id="dtype"),
        pytest.param(X.half(), X.half(), BOUNDS, "values has dtype Half", id="half"),
        pytest.param(X[:, :0], X[:, :0], BOUNDS, "no empty dimension", id="empty"),
        pytest.param(X, X, BOUNDS.int(), "offsets has dtype Int, expected Long", id="offsets dtype"),
        pytest.param(X, X, BOUNDS[:1], r"offsets is \(1,\), expected \(R \+ 1,\)", id="no segment"),
        pytest.param(X, X, torch.tensor([0, 4]), "offsets runs from 0 to 4, expected 0 to 5", id="end"),
        pytest.param(X, X, torch.tensor([0, 3, 3, 5]), "offsets does not ascend at region 1", id="empty segment"),
    ],
)
def test_wrong_arguments_are_named(values, target, offsets, message):
    with pytest.raises(RuntimeError, match=f"sorted_distance: .*{message}"):
        ops.sorted_distance(values, target, offsets)
