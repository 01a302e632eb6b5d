"""What torch must know of the native operators besides their kernels: output shapes and derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_ops = torch.ops.fastphoto


def _planes(like: Tensor, height: int, width: int, planes: int) -> Tensor:
    """An (H, W, K) view of planar memory, as every operator on pixels returns it."""
    return like.new_empty((planes, height, width)).permute(1, 2, 0)


# ---- output shapes and strides, for torch.compile and fake tensors -----------------------------------------


@torch.library.register_fake("fastphoto::matting_laplacian")
def _(image: Tensor, x: Tensor, epsilon: float) -> Tensor:
    return _planes(x, *x.shape)


@torch.library.register_fake("fastphoto::matting_laplacian_energy")
def _(image: Tensor, x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return x.new_empty(()), _planes(x, *x.shape)


@torch.library.register_fake("fastphoto::matting_laplacian_stencil")
def _(image: Tensor, epsilon: float) -> Tensor:
    return image.new_empty((12, image.shape[0], image.shape[1]))


@torch.library.register_fake("fastphoto::stencil_product")
def _(stencil: Tensor, x: Tensor) -> Tensor:
    return _planes(x, *x.shape)


@torch.library.register_fake("fastphoto::stencil_energy")
def _(stencil: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(()), _planes(x, *x.shape)


@torch.library.register_fake("fastphoto::masked_gram")
def _(features: Tensor, indices: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    channels = features.shape[0]
    return weights.new_empty((offsets.shape[0] - 1, channels, channels))


@torch.library.register_fake("fastphoto::masked_gram_backward")
def _(grad: Tensor, features: Tensor, indices: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    channels, height, width = features.shape
    across, down, along = features.stride()
    if channels > 1 and across == 1 and down == width * along:
        return features.new_empty((height, width, channels)).permute(2, 0, 1)
    return features.new_empty((channels, height, width))


@torch.library.register_fake("fastphoto::inner_products")
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty((a.shape[0], b.shape[0]), dtype=torch.float64)


@torch.library.register_fake("fastphoto::convolution_weights")
def _(weight: Tensor) -> Tensor:
    return weight.new_empty((36, -(-weight.shape[0] // 16), weight.shape[1], 16))


@torch.library.register_fake("fastphoto::convolution")
def _(
    x: Tensor, weights: Tensor, bias: Tensor | None, out_channels: int, padding: int, reflect: bool, relu: bool
) -> Tensor:
    batch, _, height, width = x.shape
    grown = 2 * padding - 2
    return x.new_empty((batch, height + grown, width + grown, out_channels)).permute(0, 3, 1, 2)


@torch.library.register_fake("fastphoto::max_pool")
def _(x: Tensor, ceil: bool) -> Tensor:
    batch, channels, height, width = x.shape
    extra = 1 if ceil else 0
    return x.new_empty((batch, (height + extra) // 2, (width + extra) // 2, channels)).permute(0, 3, 1, 2)


@torch.library.register_fake("fastphoto::max_pool_backward")
def _(grad: Tensor, x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return x.new_empty((batch, height, width, channels)).permute(0, 3, 1, 2)


@torch.library.register_fake("fastphoto::local_affine_fit")
def _(content: Tensor, result: Tensor, radius: int, epsilon: float) -> Tensor:
    return content.new_empty((content.shape[0], content.shape[1], 3, 4))


@torch.library.register_fake("fastphoto::local_affine_fit_backward")
def _(grad: Tensor, content: Tensor, radius: int, epsilon: float) -> Tensor:
    return _planes(content, *content.shape)


@torch.library.register_fake("fastphoto::local_affine_apply")
def _(maps: Tensor, content: Tensor) -> Tensor:
    return _planes(content, *content.shape)


@torch.library.register_fake("fastphoto::box_sum")
def _(x: Tensor, radius: int) -> Tensor:
    return _planes(x, *x.shape)


@torch.library.register_fake("fastphoto::bilateral_sum")
def _(guide: Tensor, x: Tensor, radius: int, sigma_space: float, sigma_colour: float) -> Tensor:
    return _planes(x, *x.shape)


# ---- derivatives -------------------------------------------------------------------------------------------


def _self_adjoint(name: str, constants: int) -> None:
    """Registers y = L x with L = L^T: the gradient is the operator itself, applied to the gradient.

    The operator's arguments are its fixed leading tensor, if `constants` is 1, then x, then plain numbers.
    """
    op = getattr(_ops, name).default

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:constants])
        ctx.numbers = inputs[constants + 1 :]

    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        product = op(*ctx.saved_tensors, grad, *ctx.numbers)
        return (*[None] * constants, product, *[None] * len(ctx.numbers))

    torch.library.register_autograd(f"fastphoto::{name}", backward, setup_context=setup)


_self_adjoint("matting_laplacian", 1)
_self_adjoint("stencil_product", 1)
_self_adjoint("bilateral_sum", 1)
_self_adjoint("box_sum", 0)


def _quadratic_form(name: str, product_name: str) -> None:
    """Registers (e, y) = (x^T L x, L x): de/dx = 2 y, so that no further product is needed for it."""
    product = getattr(_ops, product_name).default

    def setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs[0], output[1])
        ctx.numbers = inputs[2:]

    def backward(ctx: Any, grad_energy: Tensor | None, grad_product: Tensor | None) -> tuple[Any, ...]:
        constant, y = ctx.saved_tensors
        grad = None
        if grad_energy is not None:
            grad = 2 * grad_energy * y
        if grad_product is not None:
            second = product(constant, grad_product, *ctx.numbers)
            grad = second if grad is None else grad + second
        return (None, grad, *[None] * len(ctx.numbers))

    torch.library.register_autograd(f"fastphoto::{name}", backward, setup_context=setup)


_quadratic_form("matting_laplacian_energy", "matting_laplacian")
_quadratic_form("stencil_energy", "stencil_product")


def _gram_setup(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gram_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return _ops.masked_gram_backward.default(grad, *ctx.saved_tensors), None, None, None


def _gram_second_derivative(ctx: Any, grad: Tensor) -> tuple[None, ...]:
    raise NotImplementedError("fastphoto::masked_gram is differentiable once, not twice")


torch.library.register_autograd("fastphoto::masked_gram", _gram_backward, setup_context=_gram_setup)
torch.library.register_autograd("fastphoto::masked_gram_backward", _gram_second_derivative)


# The fit is linear in the result: its gradient's derivative in the incoming gradient is the fit itself.
def _fit_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    content, _, ctx.radius, ctx.epsilon = inputs
    ctx.save_for_backward(content)


def _fit_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (content,) = ctx.saved_tensors
    return None, _ops.local_affine_fit_backward.default(grad, content, ctx.radius, ctx.epsilon), None, None


def _fit_gradient_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, content, ctx.radius, ctx.epsilon = inputs
    ctx.save_for_backward(content)


def _fit_gradient_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (content,) = ctx.saved_tensors
    return _ops.local_affine_fit.default(content, grad, ctx.radius, ctx.epsilon), None, None, None


torch.library.register_autograd("fastphoto::local_affine_fit", _fit_backward, setup_context=_fit_setup)
torch.library.register_autograd(
    "fastphoto::local_affine_fit_backward", _fit_gradient_backward, setup_context=_fit_gradient_setup
)


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
