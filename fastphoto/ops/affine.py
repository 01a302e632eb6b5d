"""Local affine colour maps: fitted, applied and smoothed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fastphoto.errors import InputError
from fastphoto.ops.library import native, planes, refuse_gradient
from fastphoto.ops.windows import bilateral_sum, box_sum


def local_affine_fit(content: Tensor, result: Tensor, radius: int = 1, epsilon: float = 1e-3) -> Tensor:
    """The affine colour map of each pixel's window that best takes the content to the result.

    Minimises sum over the window of |A c + b - r|^2 + epsilon |A|^2, with windows of (2 radius + 1)^2
    pixels cropped at the border; the cost does not grow with the radius. Sums and solution are in double.

    Args:
        content: (H, W, 3), values in [0, 1]; a constant (InputError if it requires a gradient).
        result: (H, W, 3), same dtype and device.
        radius: of the window, in pixels, 0 or more.
        epsilon: pulls A to zero where colours vary little; finite and above 0.

    Returns:
        maps, (H, W, 3, 4): A and, in the last column, b. Differentiable in the result to any order.
    """
    refuse_gradient("local_affine_fit", "content", content)
    return native.local_affine_fit.default(content, result, radius, epsilon)


@torch.library.register_fake("fastphoto::local_affine_fit")
def _(content: Tensor, result: Tensor, radius: int, epsilon: float) -> Tensor:
    return content.new_empty((content.shape[0], content.shape[1], 3, 4))


@torch.library.register_fake("fastphoto::local_affine_fit_backward")
def _(grad: Tensor, content: Tensor, radius: int, epsilon: float) -> Tensor:
    return planes(content, *content.shape)


# The fit is linear in the result: its gradient's derivative in the incoming gradient is the fit itself.
def _fit_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    content, _, ctx.radius, ctx.epsilon = inputs
    ctx.save_for_backward(content)


def _fit_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (content,) = ctx.saved_tensors
    return None, native.local_affine_fit_backward.default(grad, content, ctx.radius, ctx.epsilon), None, None


def _fit_gradient_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, content, ctx.radius, ctx.epsilon = inputs
    ctx.save_for_backward(content)


def _fit_gradient_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (content,) = ctx.saved_tensors
    return native.local_affine_fit.default(content, grad, ctx.radius, ctx.epsilon), None, None, None


torch.library.register_autograd("fastphoto::local_affine_fit", _fit_backward, setup_context=_fit_setup)


torch.library.register_autograd(
    "fastphoto::local_affine_fit_backward", _fit_gradient_backward, setup_context=_fit_gradient_setup
)


def local_affine_apply(maps: Tensor, content: Tensor) -> Tensor:
    """A c + b at each content pixel, with maps of any size sampled bilinearly; not clamped.

    Sampling is that of ``interpolate(mode="bilinear", align_corners=False)`` without the upsampled copy.

    Args:
        maps: (h, w, 3, 4).
        content: (H, W, 3), same dtype and device.

    Returns:
        (H, W, 3). Differentiable once, in maps and content.
    """
    return native.local_affine_apply.default(maps, content)


@torch.library.register_fake("fastphoto::local_affine_apply")
def _(maps: Tensor, content: Tensor) -> Tensor:
    return planes(content, *content.shape)


def _apply_setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _interpolation(size: int, map_size: int, like: Tensor) -> Tensor:
    """The matrix (size, map_size) of linear interpolation along one dimension."""
    position = torch.arange(size, dtype=torch.float64, device=like.device)
    source = ((position + 0.5) * map_size / size - 0.5).clamp(min=0)
    low = source.long().clamp(max=map_size - 1)
    fraction = (source - low)[:, None]
    column = torch.arange(map_size, device=like.device)
    at_low, at_high = column == low[:, None], column == (low + 1).clamp(max=map_size - 1)[:, None]
    return (at_low * (1 - fraction) + at_high * fraction).to(like.dtype)


def _apply_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
    maps, content = ctx.saved_tensors
    (map_height, map_width), (height, width) = maps.shape[:2], content.shape[:2]
    grad_maps = grad_content = None
    if ctx.needs_input_grad[0]:
        homogeneous = torch.cat([content, torch.ones_like(content[..., :1])], dim=-1)
        outer = (grad.unsqueeze(-1) * homogeneous.unsqueeze(-2)).reshape(height, width, 12)
        # As matrix products, since what adds in place on a GPU has no fixed order. Maps as large need neither.
        if map_height != height:
            outer = torch.tensordot(_interpolation(height, map_height, outer), outer, ([0], [0]))
        if map_width != width:
            outer = torch.tensordot(_interpolation(width, map_width, outer), outer, ([0], [1])).transpose(0, 1)
        grad_maps = outer.reshape(map_height, map_width, 3, 4)
    if ctx.needs_input_grad[1]:
        planes = maps[..., :3].reshape(map_height, map_width, 9).permute(2, 0, 1)[None]
        sampled = functional.interpolate(planes, (height, width), mode="bilinear", align_corners=False)
        sampled = sampled[0].permute(1, 2, 0).reshape(height, width, 3, 3)
        grad_content = (sampled * grad.unsqueeze(-1)).sum(dim=-2)
    return grad_maps, grad_content


torch.library.register_autograd("fastphoto::local_affine_apply", _apply_backward, setup_context=_apply_setup)


def local_affine_smooth(maps: Tensor, guide: Tensor, radius: int = 15, sigma_colour: float = 0.01) -> Tensor:
    """Maps averaged over neighbours of similar guide colour (Luan et al. 2017), sigma_space = radius / 3.

    Args:
        maps: (H, W, 3, 4).
        guide: (H, W, 3), normally the content; same dtype and device.
        radius: of the window, in pixels, 1 or more.
        sigma_colour: in units of the guide, above 0 or infinite.

    Returns:
        (H, W, 3, 4). Differentiable in maps.
    """
    _check_maps("local_affine_smooth", maps)
    if radius < 1:
        raise InputError(f"local_affine_smooth: radius is {radius}, wanted 1 pixel or more")
    height, width = maps.shape[:2]
    planes = maps.reshape(height, width, 12).permute(2, 0, 1)
    quantities = torch.cat([planes, maps.new_ones((1, height, width))])
    sums = bilateral_sum(guide, quantities.permute(1, 2, 0), radius, radius / 3, sigma_colour)
    return (sums[..., :12] / sums[..., 12:]).reshape(height, width, 3, 4)


def local_affine_smooth_box(maps: Tensor, radius: int) -> Tensor:
    """Maps averaged over the (2 radius + 1)^2 window, cropped at the border.

    Args:
        maps: (H, W, 3, 4).
        radius: in pixels, 0 or more; the cost does not grow with it.

    Returns:
        (H, W, 3, 4). Differentiable in maps.
    """
    _check_maps("local_affine_smooth_box", maps)
    height, width = maps.shape[:2]
    counts = _window_lengths(height, radius, maps)[:, None] * _window_lengths(width, radius, maps)
    return (box_sum(maps.reshape(height, width, 12), radius) / counts[..., None]).reshape(height, width, 3, 4)


def _window_lengths(size: int, radius: int, like: Tensor) -> Tensor:
    position = torch.arange(size, device=like.device)
    lengths = (position + radius).clamp(max=size - 1) - (position - radius).clamp(min=0) + 1
    return lengths.to(like.dtype)


def _check_maps(op: str, maps: Tensor) -> None:
    if maps.dim() != 4 or maps.shape[2:] != (3, 4):
        raise InputError(f"{op}: maps is {tuple(maps.shape)}, wanted (H, W, 3, 4)")
