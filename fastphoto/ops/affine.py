"""Local affine colour maps: fit them to a result, apply them at any size, and smooth them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fastphoto.errors import InputError
from fastphoto.ops.library import empty_planes, native, refuse_gradient, register_self_adjoint
from fastphoto.ops.windows import bilateral_sum, box_sum

# ---- local_affine_fit


def local_affine_fit(content: Tensor, result: Tensor, radius: int = 1, epsilon: float = 1e-3) -> Tensor:
    """Fit the affine colour map of each pixel's window that best takes the content to the result.

    A map minimises the sum over the window of |A c + b - r|^2, plus epsilon |A|^2. Windows have (2 radius + 1)^2
    pixels and are cropped at the border; the cost does not grow with the radius. Sums and the solution are in
    double precision.

    Args:
        content: colours to map, (H, W, 3), values in [0, 1]; a constant.
        result: colours to reach, (H, W, 3), same dtype and device.
        radius: radius of the window in pixels, 0 or more.
        epsilon: regularisation, which pulls A to zero where colours vary little; finite and above 0.

    Returns:
        Maps, (H, W, 3, 4): A in the first three columns and b in the last. Differentiable in the result to any order.

    Raises:
        InputError: the content requires a gradient.
        RuntimeError: a wrong shape, dtype, device or number.

    Example:
        >>> content = torch.rand(8, 10, 3).double()
        >>> maps = local_affine_fit(content, 0.5 * content + 0.2, radius=2, epsilon=1e-9)
        >>> torch.allclose(maps[4, 5, :, 3], torch.tensor(0.2).double())  # b; and A is 0.5 Id
        True
    """
    refuse_gradient("local_affine_fit", "content", content)
    return native.local_affine_fit.default(content, result, radius, epsilon)


# The fake kernel: torch.compile traces without data, and needs the shape and memory layout of the maps.
@torch.library.register_fake("fastphoto::local_affine_fit")
def _fake_local_affine_fit(content: Tensor, result: Tensor, radius: int, epsilon: float) -> Tensor:
    return content.new_empty((content.shape[0], content.shape[1], 3, 4))


# Autograd cannot look into the kernel, so its gradient is registered here. The gradient is an operator too, and needs
# its own fake kernel.
def _fit_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    content, _, ctx.radius, ctx.epsilon = inputs
    ctx.save_for_backward(content)


def _fit_gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (content,) = ctx.saved_tensors
    return None, native.local_affine_fit_backward.default(grad, content, ctx.radius, ctx.epsilon), None, None


torch.library.register_autograd("fastphoto::local_affine_fit", _fit_gradient, setup_context=_fit_setup)


@torch.library.register_fake("fastphoto::local_affine_fit_backward")
def _fake_local_affine_fit_backward(grad: Tensor, content: Tensor, radius: int, epsilon: float) -> Tensor:
    return empty_planes(content, *content.shape)


# The fit is linear in the result. Its backward pass is linear in the incoming gradient, and the gradient of that is
# the fit itself.
def _fit_backward_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, content, ctx.radius, ctx.epsilon = inputs
    ctx.save_for_backward(content)


def _fit_backward_gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (content,) = ctx.saved_tensors
    return native.local_affine_fit.default(content, grad, ctx.radius, ctx.epsilon), None, None, None


torch.library.register_autograd(
    "fastphoto::local_affine_fit_backward", _fit_backward_gradient, setup_context=_fit_backward_setup
)


# ---- local_affine_sum: fit, sum over windows and apply, in one


def local_affine_factors(content: Tensor, radius: int, epsilon: float) -> Tensor:
    """Return what :func:`local_affine_sum` needs of the content, 9 numbers for each window; only on the CPU.

    Args:
        content: colours to map, (H, W, 3), float32 or float64, values in [0, 1]; a constant.
        radius: radius of the window in pixels, 0 or more.
        epsilon: regularisation, see :func:`local_affine_fit`.

    Returns:
        Means and factors of the windows' normal matrices, (9, H, W) float64. Not differentiable.

    Raises:
        InputError: the content requires a gradient.
        RuntimeError: a wrong shape, dtype, device or number.

    Example:
        >>> local_affine_factors(torch.rand(8, 10, 3), radius=2, epsilon=1e-3).shape
        torch.Size([9, 8, 10])
    """
    refuse_gradient("local_affine_factors", "content", content)
    return native.local_affine_factors.default(content, radius, epsilon)


@torch.library.register_fake("fastphoto::local_affine_factors")
def _fake_local_affine_factors(content: Tensor, radius: int, epsilon: float) -> Tensor:
    return content.new_empty((9, content.shape[0], content.shape[1]), dtype=torch.float64)


def local_affine_sum(content: Tensor, factors: Tensor, x: Tensor, radius: int) -> Tensor:
    """Return y_i = sum over the windows k that hold pixel i of A_k c_i + b_k; only on the CPU.

    (A_k, b_k) is the map of window k that takes the content to x, as :func:`local_affine_fit` finds it. Divided by the
    number of windows this is :func:`local_affine_apply` of the maps that :func:`local_affine_smooth_box` averages with
    the same radius, at half its cost. The operator is symmetric, and so it is its own gradient.

    Args:
        content: colours to map, (H, W, 3), values in [0, 1]; a constant.
        factors: what :func:`local_affine_factors` returns for this content and radius; a constant.
        x: colours to reach, (H, W, 3), same dtype and device.
        radius: radius of the window in pixels, 0 or more.

    Returns:
        Sums, (H, W, 3), differentiable in x to any order.

    Raises:
        InputError: the content or the factors require a gradient.
        RuntimeError: a wrong shape, dtype, device or number.

    Example:
        >>> content = torch.rand(8, 10, 3).double()
        >>> factors = local_affine_factors(content, 2, 1e-9)
        >>> sums = local_affine_sum(content, factors, 0.5 * content + 0.2, 2)
        >>> windows = box_sum(torch.ones(8, 10, 1).double(), 2)
        >>> torch.allclose(sums / windows, 0.5 * content + 0.2)
        True
    """
    refuse_gradient("local_affine_sum", "content", content)
    refuse_gradient("local_affine_sum", "factors", factors)
    return native.local_affine_sum.default(content, factors, x, radius)


@torch.library.register_fake("fastphoto::local_affine_sum")
def _fake_local_affine_sum(content: Tensor, factors: Tensor, x: Tensor, radius: int) -> Tensor:
    return empty_planes(x, *x.shape)


# The weight of pixel j in pixel i is a sum over the windows that hold both, which is the same in both directions.
register_self_adjoint("local_affine_sum", constants=2)


# ---- local_affine_apply


def local_affine_apply(maps: Tensor, content: Tensor) -> Tensor:
    """Apply affine colour maps to the content: A c + b at each pixel, not clamped.

    Maps of another size are sampled as by ``interpolate(mode="bilinear", align_corners=False)``, but the enlarged maps
    are not stored.

    Args:
        maps: affine colour maps, (h, w, 3, 4).
        content: colours to map, (H, W, 3), same dtype and device.

    Returns:
        Mapped colours, (H, W, 3). Differentiable once, in the maps and the content.

    Raises:
        RuntimeError: a wrong shape, dtype or device.

    Example:
        >>> invert = torch.cat([-torch.eye(3), torch.ones(3, 1)], dim=1)  # c -> 1 - c
        >>> content = torch.rand(8, 10, 3)
        >>> torch.allclose(local_affine_apply(invert.expand(2, 2, 3, 4), content), 1 - content)
        True
    """
    return native.local_affine_apply.default(maps, content)


@torch.library.register_fake("fastphoto::local_affine_apply")
def _fake_local_affine_apply(maps: Tensor, content: Tensor) -> Tensor:
    return empty_planes(content, *content.shape)


# The gradient is composed of PyTorch's own operators.
def _apply_setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _apply_gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
    maps, content = ctx.saved_tensors
    (map_height, map_width), (height, width) = maps.shape[:2], content.shape[:2]
    grad_maps = grad_content = None
    if ctx.needs_input_grad[0]:
        homogeneous = torch.cat([content, torch.ones_like(content[..., :1])], dim=-1)
        outer = (grad.unsqueeze(-1) * homogeneous.unsqueeze(-2)).reshape(height, width, 12)
        # The transpose of bilinear sampling, as matrix products: adding in place has no fixed order on a GPU.
        if map_height != height:
            outer = torch.tensordot(_interpolation_matrix(height, map_height, outer), outer, ([0], [0]))
        if map_width != width:
            outer = torch.tensordot(_interpolation_matrix(width, map_width, outer), outer, ([0], [1])).transpose(0, 1)
        grad_maps = outer.reshape(map_height, map_width, 3, 4)
    if ctx.needs_input_grad[1]:
        matrices = maps[..., :3].reshape(map_height, map_width, 9).permute(2, 0, 1)[None]
        sampled = functional.interpolate(matrices, (height, width), mode="bilinear", align_corners=False)
        sampled = sampled[0].permute(1, 2, 0).reshape(height, width, 3, 3)
        grad_content = (sampled * grad.unsqueeze(-1)).sum(dim=-2)
    return grad_maps, grad_content


def _interpolation_matrix(size: int, map_size: int, like: Tensor) -> Tensor:
    """Return the matrix (size, map_size) of linear interpolation along one dimension."""
    position = torch.arange(size, dtype=torch.float64, device=like.device)
    source = ((position + 0.5) * map_size / size - 0.5).clamp(min=0)
    low = source.long().clamp(max=map_size - 1)
    fraction = (source - low)[:, None]
    column = torch.arange(map_size, device=like.device)
    at_low, at_high = column == low[:, None], column == (low + 1).clamp(max=map_size - 1)[:, None]
    return (at_low * (1 - fraction) + at_high * fraction).to(like.dtype)


torch.library.register_autograd("fastphoto::local_affine_apply", _apply_gradient, setup_context=_apply_setup)


# ---- Smoothing, built on box_sum and bilateral_sum, which have their own fake kernels and gradients


def local_affine_smooth(maps: Tensor, guide: Tensor, radius: int = 15, sigma_colour: float = 0.01) -> Tensor:
    """Average maps over neighbours of similar guide colour, as Luan et al. (2017) smooth their result.

    Weights fall with the distance (sigma_space = radius / 3) and with the difference in guide colour, see
    :func:`bilateral_sum`.

    Args:
        maps: affine colour maps, (H, W, 3, 4).
        guide: picture whose colours are compared, (H, W, 3), normally the content; same dtype and device; a constant.
        radius: radius of the window in pixels, 1 or more.
        sigma_colour: standard deviation in units of the guide, above 0 or infinite.

    Returns:
        Averaged maps, (H, W, 3, 4), differentiable in the maps.

    Raises:
        InputError: maps of a wrong shape, a radius below 1, or a guide that requires a gradient.
        RuntimeError: a guide of a wrong shape, dtype or device, or a wrong sigma_colour.

    Example:
        >>> maps = torch.rand(3, 4).expand(8, 10, 3, 4)  # one map everywhere stays as it is
        >>> torch.allclose(local_affine_smooth(maps, torch.rand(8, 10, 3), radius=2, sigma_colour=0.1), maps)
        True
    """
    _check_maps("local_affine_smooth", maps)
    if radius < 1:
        raise InputError(f"local_affine_smooth: radius is {radius}, expected 1 pixel or more")
    height, width = maps.shape[:2]
    planes = maps.reshape(height, width, 12).permute(2, 0, 1)
    quantities = torch.cat([planes, maps.new_ones((1, height, width))])  # the sum of ones is the sum of the weights
    sums = bilateral_sum(guide, quantities.permute(1, 2, 0), radius, radius / 3, sigma_colour)
    return (sums[..., :12] / sums[..., 12:]).reshape(height, width, 3, 4)


def local_affine_smooth_box(maps: Tensor, radius: int) -> Tensor:
    """Average maps over the window of (2 radius + 1)^2 pixels, cropped at the border.

    Args:
        maps: affine colour maps, (H, W, 3, 4).
        radius: radius of the window in pixels, 0 or more; the cost does not grow with it.

    Returns:
        Averaged maps, (H, W, 3, 4), differentiable in the maps.

    Raises:
        InputError: maps of a wrong shape.
        RuntimeError: a negative radius, or a wrong dtype.

    Example:
        >>> maps = torch.rand(3, 4).expand(8, 10, 3, 4)  # one map everywhere stays as it is
        >>> torch.allclose(local_affine_smooth_box(maps, radius=2), maps)
        True
    """
    _check_maps("local_affine_smooth_box", maps)
    height, width = maps.shape[:2]
    counts = _window_lengths(height, radius, maps)[:, None] * _window_lengths(width, radius, maps)
    return (box_sum(maps.reshape(height, width, 12), radius) / counts[..., None]).reshape(height, width, 3, 4)


def _window_lengths(size: int, radius: int, like: Tensor) -> Tensor:
    """Return how many pixels the window around each position has along one dimension."""
    position = torch.arange(size, device=like.device)
    lengths = (position + radius).clamp(max=size - 1) - (position - radius).clamp(min=0) + 1
    return lengths.to(like.dtype)


def _check_maps(op: str, maps: Tensor) -> None:
    if maps.dim() != 4 or maps.shape[2:] != (3, 4):
        raise InputError(f"{op}: maps is {tuple(maps.shape)}, expected (H, W, 3, 4)")
