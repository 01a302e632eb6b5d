"""Recolourings region by region in L*a*b*: one kernel on the CPU, PyTorch's own operators elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastphoto.ops.library import native, refuse_gradient


def region_recolouring(
    tones: Tensor,
    broad: Tensor,
    contrast: Tensor,
    chroma: Tensor,
    mattes: Tensor,
    centre: Tensor,
    most_gain: Tensor,
    curves: Tensor,
    gains: Tensor,
    matrices: Tensor,
    rest: Tensor,
    *,
    share: float,
    most_contrast: float,
) -> Tensor:
    """Recolour a photo region by region with curves, gains and matrices, in L*a*b*.

    Region r has broad tones b_r, local contrast d_r, chroma c_r and a matte m_r. The result is
    rest + sum_r m_r w_r with the region's new colours w_r:

        L*:     b_r + t_r + exp(min(s tanh(g_r / s), most_r)) d_r
        chroma: c_r + u_r + M_r ((share b_r, c_r) - centre_r)

    The curves (t_r, u_r) are interpolated linearly at each pixel, between the cells of a grid whose first and last lie
    at the first and last pixel, and between knots at the whole numbers of `tones`; beyond the outer knots they fall to
    0 within 1. The gains' logarithms g_r are interpolated on the same grid.

    Args:
        tones: where on the curves each pixel is, (H, W), float32 or float64, from 0 at the first knot to T - 1.
        broad: broad tones b, (R, H, W).
        contrast: local contrast d, (R, H, W).
        chroma: a* and b*, (R, 2, H, W).
        mattes: weights of the regions, (R, H, W).
        centre: (R, 3).
        most_gain: largest logarithm of each region's gain, (R,).
        curves: dL*, da* and db*, (R, 3, T, gh, gw), with gh and gw at least 2.
        gains: logarithms of gains, (R, gh, gw).
        matrices: (R, 2, 3).
        rest: what no region covers, L*a*b* times its share, (3, H, W).
        share: factor of the broad tones beside the chroma.
        most_contrast: s, the bound of the gains' logarithms, above 0.

    Returns:
        L*a*b*, (3, H, W). Differentiable once, in the curves, gains and matrices.

    Raises:
        InputError: another argument requires a gradient.
        RuntimeError: a wrong shape, dtype, device or number.

    Example:
        >>> plane, grid = torch.zeros(1, 4, 6), torch.zeros(1, 3, 2, 2, 2)
        >>> grid[:, 0] = 10  # 10 lighter at every tone and place
        >>> lab = region_recolouring(
        ...     plane[0], plane + 50, plane, plane[:, None].expand(1, 2, 4, 6), plane + 1, torch.zeros(1, 3),
        ...     torch.zeros(1), grid, grid[:, 1, 0], torch.zeros(1, 2, 3), torch.zeros(3, 4, 6),
        ...     share=0.5, most_contrast=1.0,
        ... )  # fmt: skip
        >>> lab[:, 0, 0]
        tensor([60.,  0.,  0.])
    """
    constants = {"tones": tones, "broad": broad, "contrast": contrast, "chroma": chroma, "mattes": mattes}
    constants |= {"centre": centre, "most_gain": most_gain, "rest": rest}
    for name, constant in constants.items():
        refuse_gradient("region_recolouring", name, constant)
    arguments = (tones, broad, contrast, chroma, mattes, centre, most_gain, curves, gains, matrices, rest)
    if tones.is_cuda:
        return region_recolouring_by_torch(*arguments, share, most_contrast)
    return native.region_recolouring.default(*arguments, share, most_contrast)


def region_recolouring_by_torch(
    tones: Tensor,
    broad: Tensor,
    contrast: Tensor,
    chroma: Tensor,
    mattes: Tensor,
    centre: Tensor,
    most_gain: Tensor,
    curves: Tensor,
    gains: Tensor,
    matrices: Tensor,
    rest: Tensor,
    share: float,
    most_contrast: float,
) -> Tensor:
    """Return the same by products with matrices of interpolation: their gradient is the same in every run."""
    height, width = tones.shape
    down = _interpolation(curves.shape[3], height, curves)
    across = _interpolation(curves.shape[4], width, curves)
    change = curves.new_zeros(len(curves), 3, height, width)
    for knot in range(curves.shape[2]):
        weight = (1 - (tones - knot).abs()).clamp_min(0)
        change = change + (down @ curves[:, :, knot] @ across.T) * weight
    gain = most_contrast * torch.tanh(down @ gains @ across.T / most_contrast)
    gain = gain.minimum(most_gain[:, None, None]).exp()
    lightness = broad + change[:, 0] + contrast * gain
    away = torch.cat([broad[:, None] * share, chroma], 1) - centre[..., None, None]
    moved = chroma + change[:, 1:] + torch.einsum("rij,rjhw->rihw", matrices, away)
    return (torch.cat([lightness[:, None], moved], 1) * mattes[:, None]).sum(0) + rest


def _interpolation(cells: int, pixels: int, like: Tensor) -> Tensor:
    """Return the matrix (pixels, cells) of linear interpolation between cells at the first and last pixel."""
    position = torch.linspace(0, cells - 1, pixels, dtype=like.dtype, device=like.device)
    return (1 - (position[:, None] - torch.arange(cells, device=like.device)).abs()).clamp_min(0)


# The fake kernels: torch.compile traces without data, and needs the shapes of the results.
@torch.library.register_fake("fastphoto::region_recolouring")
def _fake_region_recolouring(tones: Tensor, *others: Any) -> Tensor:
    return tones.new_empty((3, *tones.shape))


@torch.library.register_fake("fastphoto::region_recolouring_backward")
def _fake_region_recolouring_backward(grad: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    curves, gains, matrices = others[7:10]
    return curves.new_empty(curves.shape), gains.new_empty(gains.shape), matrices.new_empty(matrices.shape)


# Autograd cannot look into the kernel, so its gradient is registered here. The gradient is an operator too.
def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:10])
    ctx.numbers = inputs[11:]


def _gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    grads = native.region_recolouring_backward.default(grad, *ctx.saved_tensors, *ctx.numbers)
    return (*[None] * 7, *grads, *[None] * 3)


torch.library.register_autograd("fastphoto::region_recolouring", _gradient, setup_context=_setup)


# Without this a second derivative would silently be zero.
def _second_derivative(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
    raise NotImplementedError("fastphoto::region_recolouring is differentiable once, not twice")


torch.library.register_autograd("fastphoto::region_recolouring_backward", _second_derivative)
