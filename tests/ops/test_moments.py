"""Means and variances by region: values and gradients by definition, accuracy, layouts, threads and errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference


def activations(*size: int, seed: int = 0) -> Tensor:
    """Return (C, H, W) in channels-last memory."""
    values = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values[None].to(memory_format=torch.channels_last)[0]


def shares(regions: int, height: int, width: int) -> Tensor:
    """Return soft weights, many of them 0, and none that are all 0."""
    noise = torch.randn(regions, height, width, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    noise[:, 0, 0] = 1
    return noise.clamp_min(0)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 1, 9), (16, 5, 7), (19, 40, 33)], ids=str)
@pytest.mark.parametrize("regions", [1, 3])
def test_value_and_gradient_equal_the_definition(regions, size, device, dtype):
    exact, weights = activations(*size).requires_grad_(), shares(regions, *size[1:])
    grads = torch.randn(2, regions, size[0], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = reference.region_moments(exact, weights)
    features = exact.detach().to(device, dtype).requires_grad_()
    found = ops.region_moments(features, weights.to(device, dtype))
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    for got, moment in zip(found, expected, strict=True):
        torch.testing.assert_close(got.cpu().double(), moment, rtol=0, atol=tolerance)
    (gradient,) = torch.autograd.grad(expected, exact, list(grads))
    (got,) = torch.autograd.grad(found, features, [grad.to(device, dtype) for grad in grads])
    allowed = tolerance * float(gradient.abs().max())
    torch.testing.assert_close(got.cpu().double(), gradient, rtol=0, atol=allowed)


def test_gradient_by_differences():
    weights = shares(2, 3, 4)
    assert torch.autograd.gradcheck(lambda x: ops.region_moments(x, weights), activations(3, 3, 4).requires_grad_())


def test_a_deviation_far_below_the_mean_is_not_lost(device):
    features = (100 + 1e-3 * activations(4, 50, 60)).float()
    weights = shares(2, 50, 60)
    expected = reference.region_moments(features.double(), weights)[1]
    found = ops.region_moments(features.to(device), weights.float().to(device))[1]
    torch.testing.assert_close(found.cpu().double(), expected, rtol=1e-2, atol=0)


def test_a_region_without_weight_has_no_moments_and_no_gradient(device):
    features, weights = activations(3, 4, 5).to(device).requires_grad_(), torch.zeros(1, 4, 5).double().to(device)
    mean, variance = ops.region_moments(features, weights)
    assert not mean.any()
    assert not torch.autograd.grad(mean.sum() + variance.sum(), features)[0].any()


def test_any_layout_gives_the_same_bits(device):
    features, weights = activations(5, 9, 8).float().to(device), shares(2, 9, 8).float().to(device)
    expected = ops.region_moments(features, weights)
    found = ops.region_moments(features.contiguous(), torch.stack([weights, weights], -1)[..., 0])
    assert all(map(torch.equal, found, expected))


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    features, weights = activations(7, 90, 80).float(), shares(3, 90, 80).float()
    grads = [torch.ones(3, 7), torch.ones(3, 7)]

    def compute() -> list[Tensor]:
        mean, variance = ops.region_moments(features, weights)
        return [mean, variance, torch.ops.fastphoto.region_moments_backward(*grads, features, weights, mean)]

    assert_independent_of_threads(compute)


def test_follows_the_rules_of_torch():
    features, weights = activations(3, 4, 5), shares(2, 4, 5)
    mean, variance = ops.region_moments(features, weights)
    torch.library.opcheck(torch.ops.fastphoto.region_moments.default, (features.clone().requires_grad_(), weights))
    backward = torch.ops.fastphoto.region_moments_backward.default
    torch.library.opcheck(backward, (mean, variance, features, weights, mean))


def test_is_not_differentiable_twice():
    features, weights = activations(3, 4, 5).requires_grad_(), shares(2, 4, 5)
    mean, _ = ops.region_moments(features, weights)
    (gradient,) = torch.autograd.grad(mean.square().sum(), features, create_graph=True)
    with pytest.raises(NotImplementedError, match="region_moments is differentiable once, not twice"):
        torch.autograd.grad(gradient.sum(), features)


X, SHARES = torch.rand(3, 4, 5), torch.ones(2, 4, 5)


@pytest.mark.parametrize(
    ("features", "weights", "message"),
    [
        pytest.param(X[0], SHARES, r"features is \(4, 5\), expected \(C, H, W\)", id="rank"),
        pytest.param(X, SHARES[:, :3], r"shares is \(2, 3, 5\), expected \(R, H, W\) with 4 in dimension 1", id="size"),
        pytest.param(X, SHARES.double(), "shares has dtype Double, expected that of features, Float", id="dtype"),
        pytest.param(X.half(), SHARES.half(), "features has dtype Half", id="half"),
    ],
)
def test_wrong_arguments_are_named(features, weights, message):
    with pytest.raises(RuntimeError, match=f"region_moments: {message}"):
        ops.region_moments(features, weights)


def test_shares_with_a_gradient_are_refused():
    with pytest.raises(InputError, match="region_moments: shares requires a gradient"):
        ops.region_moments(X, SHARES.clone().requires_grad_())
