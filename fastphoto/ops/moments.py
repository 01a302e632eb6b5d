"""Means and variances of activations by region: one kernel on the CPU, PyTorch's own operators elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastphoto.ops.library import native, refuse_gradient


def region_moments(features: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted mean and variance of each channel in each region.

    Args:
        features: activations, (C, H, W), float32 or float64; channels-last memory is used without a copy.
        shares: weights of the pixels in each region, (R, H, W), 0 or more, same dtype and device; a constant.

    Returns:
        Means (R, C) and variances (R, C), 0 for a region without weight. Differentiable once, in the features.

    Raises:
        InputError: the shares require a gradient.
        RuntimeError: a wrong shape, dtype or device.

    Example:
        >>> features = torch.tensor([[[1.0, 3.0, 9.0]]])
        >>> mean, variance = region_moments(features, torch.tensor([[[1.0, 1.0, 0.0]]]))
        >>> mean.tolist(), variance.tolist()
        ([[2.0]], [[1.0]])
    """
    refuse_gradient("region_moments", "shares", shares)
    if features.is_cuda:
        return region_moments_by_torch(features, shares)
    mean, variance = native.region_moments.default(features, shares)
    return mean, variance


def region_moments_by_torch(features: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same by matrix products."""
    flat = shares.flatten(1)
    flat = flat / flat.sum(1, keepdim=True).clamp_min(1e-30)
    values = features.flatten(1).T
    mean = flat @ values
    # Squares are taken around the mean of all pixels: otherwise float32 loses a deviation far below the mean.
    middle = values.detach().mean(0)
    return mean, flat @ (values - middle).square() - (mean - middle).square()


# The fake kernels: torch.compile traces without data, and needs the shapes and memory formats of the results.
@torch.library.register_fake("fastphoto::region_moments")
def _fake_region_moments(features: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    size = (shares.shape[0], features.shape[0])
    return features.new_empty(size), features.new_empty(size)


@torch.library.register_fake("fastphoto::region_moments_backward")
def _fake_region_moments_backward(
    grad_mean: Tensor, grad_variance: Tensor, features: Tensor, shares: Tensor, mean: Tensor
) -> Tensor:
    channels, height, width = features.shape
    return features.new_empty((height, width, channels)).permute(2, 0, 1)


# Autograd cannot look into the kernel, so its gradient is registered here. The gradient is an operator too.
def _setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[0])


def _gradient(ctx: Any, grad_mean: Tensor, grad_variance: Tensor) -> tuple[Tensor, None]:
    return native.region_moments_backward.default(grad_mean, grad_variance, *ctx.saved_tensors), None


torch.library.register_autograd("fastphoto::region_moments", _gradient, setup_context=_setup)


# Without this a second derivative would silently be zero.
def _second_derivative(ctx: Any, grad: Tensor) -> tuple[None, ...]:
    raise NotImplementedError("fastphoto::region_moments is differentiable once, not twice")


torch.library.register_autograd("fastphoto::region_moments_backward", _second_derivative)
