"""Sums over the window around each pixel: plain (box_sum), and weighted by similarity (bilateral_sum)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.ops.library import empty_planes, native, refuse_gradient, register_self_adjoint

# ---- box_sum


def box_sum(x: Tensor, radius: int) -> Tensor:
    """Sum over the window of (2 radius + 1)^2 pixels around each pixel, cropped at the border.

    The cost does not grow with the radius.

    Args:
        x: quantities to sum, (H, W, K), float32 or float64.
        radius: radius of the window in pixels, 0 or more.

    Returns:
        Sums, (H, W, K), accumulated in double. Differentiable to any order.

    Raises:
        RuntimeError: a wrong shape, dtype or radius.

    Example:
        >>> box_sum(torch.ones(3, 3, 1), 1)[..., 0].tolist()
        [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    return native.box_sum.default(x, radius)


# The fake kernel: torch.compile traces without data, and needs the shape and memory layout of the sums.
@torch.library.register_fake("fastphoto::box_sum")
def _fake_box_sum(x: Tensor, radius: int) -> Tensor:
    return empty_planes(x, *x.shape)


# The operator is its own gradient: pixel i is in the window of j whenever j is in the window of i.
register_self_adjoint("box_sum", constants=0)


# ---- bilateral_sum


def bilateral_sum(
    guide: Tensor, x: Tensor, radius: int, sigma_space: float, sigma_colour: float = float("inf")
) -> Tensor:
    """Sum over the window around each pixel, weighted by nearness in space and in the guide's colour.

    y_i = sum over j of exp(-|i - j|^2 / (2 sigma_space^2)) exp(-(|g_i - g_j|^2 / 3) / (2 sigma_colour^2)) x_j, over
    the window of (2 radius + 1)^2 pixels, cropped at the border. Divide by the sums of ones to get means. The cost
    grows with the square of the radius.

    Args:
        guide: picture whose colours are compared, (H, W, 3); a constant.
        x: quantities to sum, (H, W, K), same dtype and device.
        radius: radius of the window in pixels, 0 or more.
        sigma_space: standard deviation in pixels, above 0 or infinite.
        sigma_colour: standard deviation in units of the guide, above 0; infinite: the guide has no influence.

    Returns:
        Sums, (H, W, K), differentiable in x to any order.

    Raises:
        InputError: the guide requires a gradient.
        RuntimeError: a wrong shape, dtype, device or number.

    Example:
        >>> guide = torch.zeros(2, 3, 3)
        >>> guide[:, 2] = 1  # two black columns and a white one
        >>> bilateral_sum(guide, torch.ones(2, 3, 1), 2, sigma_space=float("inf"), sigma_colour=0.01)[..., 0].tolist()
        [[4.0, 4.0, 2.0], [4.0, 4.0, 2.0]]
    """
    refuse_gradient("bilateral_sum", "guide", guide)
    return native.bilateral_sum.default(guide, x, radius, sigma_space, sigma_colour)


@torch.library.register_fake("fastphoto::bilateral_sum")
def _fake_bilateral_sum(guide: Tensor, x: Tensor, radius: int, sigma_space: float, sigma_colour: float) -> Tensor:
    return empty_planes(x, *x.shape)


# The operator is its own gradient: the weight of a pair is the same in both directions.
register_self_adjoint("bilateral_sum", constants=1)
