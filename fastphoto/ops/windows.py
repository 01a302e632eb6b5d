"""Sums over the window of each pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.ops.library import native, planes, refuse_gradient, register_self_adjoint


def box_sum(x: Tensor, radius: int) -> Tensor:
    """The sum over each pixel's window of (2 radius + 1)^2 pixels, cropped at the border.

    Args:
        x: (H, W, K).
        radius: in pixels, 0 or more; the cost does not grow with it.

    Returns:
        (H, W, K), accumulated in double. Differentiable to any order.
    """
    return native.box_sum.default(x, radius)


@torch.library.register_fake("fastphoto::box_sum")
def _(x: Tensor, radius: int) -> Tensor:
    return planes(x, *x.shape)


register_self_adjoint("box_sum", 0)


def bilateral_sum(
    guide: Tensor, x: Tensor, radius: int, sigma_space: float, sigma_colour: float = float("inf")
) -> Tensor:
    """The sum over each pixel's window, weighted by nearness in space and in the guide's colour.

    y_i = sum_j exp(-|i - j|^2 / (2 sigma_space^2)) exp(-(|g_i - g_j|^2 / 3) / (2 sigma_colour^2)) x_j over
    the (2 radius + 1)^2 window, cropped at the border. Divide by the sum for ones to get a mean.

    Args:
        guide: (H, W, 3); a constant (InputError if it requires a gradient).
        x: (H, W, K), same dtype and device.
        radius: in pixels, 0 or more; the cost grows with its square.
        sigma_space: in pixels, above 0 or infinite.
        sigma_colour: in units of the guide, above 0 or infinite (then the guide has no influence).

    Returns:
        (H, W, K). Differentiable in x to any order.
    """
    refuse_gradient("bilateral_sum", "guide", guide)
    return native.bilateral_sum.default(guide, x, radius, sigma_space, sigma_colour)


@torch.library.register_fake("fastphoto::bilateral_sum")
def _(guide: Tensor, x: Tensor, radius: int, sigma_space: float, sigma_colour: float) -> Tensor:
    return planes(x, *x.shape)


register_self_adjoint("bilateral_sum", 1)
