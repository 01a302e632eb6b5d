"""The matting Laplacian of an image: products and energies, on the fly or from a stencil of coefficients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastphoto.ops.library import native, planes, refuse_gradient, register_self_adjoint


def matting_laplacian(image: Tensor, x: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The product L x with the matting Laplacian of an image, without storing L.

    L = sum over the 3 x 3 windows k that lie fully inside the image of
    delta_ij - (1 + (I_i - mu_k)^T (Sigma_k + epsilon / 9 Id)^-1 (I_j - mu_k)) / 9 (Levin et al. 2008).
    L is symmetric, positive semi-definite, and zero on constants. Window statistics are computed in double.

    Args:
        image: (H, W, 3), H and W at least 3, values in [0, 1]; a constant (InputError if it requires a
            gradient).
        x: (H, W, K), same dtype and device.
        epsilon: regularises windows of little variance; finite and above 0.

    Returns:
        L x, (H, W, K). Differentiable in x to any order.
    """
    refuse_gradient("matting_laplacian", "image", image)
    return native.matting_laplacian.default(image, x, epsilon)


@torch.library.register_fake("fastphoto::matting_laplacian")
def _(image: Tensor, x: Tensor, epsilon: float) -> Tensor:
    return planes(x, *x.shape)


register_self_adjoint("matting_laplacian", 1)


def matting_laplacian_energy(image: Tensor, x: Tensor, epsilon: float = 1e-7) -> tuple[Tensor, Tensor]:
    """The energy sum_k x_k^T L x_k and L x in one pass; arguments as in :func:`matting_laplacian`.

    The energy is a sum of squares, sum over windows of sum_i r_i^2 + epsilon |a|^2 with r the residual of
    the best affine model a of x by the image's colours, so it is never negative. Its gradient, 2 L x, costs
    no second pass.

    Returns:
        (energy, L x): a scalar of x's dtype, accumulated in double, and (H, W, K).
    """
    refuse_gradient("matting_laplacian_energy", "image", image)
    return native.matting_laplacian_energy.default(image, x, epsilon)


@torch.library.register_fake("fastphoto::matting_laplacian_energy")
def _(image: Tensor, x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return x.new_empty(()), planes(x, *x.shape)


def matting_laplacian_stencil(image: Tensor, epsilon: float = 1e-7) -> Tensor:
    """The coefficients of L that :func:`stencil_product` needs, 12 for each pixel.

    Plane n at (y, x) is L_ij for i = (y, x) and j = i + (dy, dx), with (dy, dx) in the order (0, 1), (0, 2),
    (1, -2), ..., (1, 2), (2, -2), ..., (2, 2); pairs that leave the image are 0. The other half of L follows
    from its symmetry, the diagonal from its zero row sums. Computed in double, stored in the image's dtype.

    Args:
        image: (H, W, 3), H and W at least 3, values in [0, 1]; a constant (InputError if it requires a
            gradient).
        epsilon: finite and above 0.

    Returns:
        (12, H, W).
    """
    refuse_gradient("matting_laplacian_stencil", "image", image)
    return native.matting_laplacian_stencil.default(image, epsilon)


@torch.library.register_fake("fastphoto::matting_laplacian_stencil")
def _(image: Tensor, epsilon: float) -> Tensor:
    return image.new_empty((12, image.shape[0], image.shape[1]))


def stencil_product(stencil: Tensor, x: Tensor) -> Tensor:
    """L x from the coefficients: y_i = sum over j != i of L_ij (x_j - x_i).

    Several times faster than :func:`matting_laplacian` for 12 stored numbers a pixel, and more accurate on
    smooth x.

    Args:
        stencil: (12, H, W) of :func:`matting_laplacian_stencil`; a constant (InputError if it requires a
            gradient).
        x: (H, W, K), same dtype and device.

    Returns:
        L x, (H, W, K). Differentiable in x to any order.
    """
    refuse_gradient("stencil_product", "stencil", stencil)
    return native.stencil_product.default(stencil, x)


@torch.library.register_fake("fastphoto::stencil_product")
def _(stencil: Tensor, x: Tensor) -> Tensor:
    return planes(x, *x.shape)


register_self_adjoint("stencil_product", 1)


def stencil_energy(stencil: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The energy sum_k x_k^T L x_k and L x in one pass; arguments as in :func:`stencil_product`.

    The energy is -sum over pairs i < j of L_ij (x_i - x_j)^2. Its gradient, 2 L x, costs no second pass.

    Returns:
        (energy, L x): a scalar of x's dtype, accumulated in double, and (H, W, K).
    """
    refuse_gradient("stencil_energy", "stencil", stencil)
    return native.stencil_energy.default(stencil, x)


@torch.library.register_fake("fastphoto::stencil_energy")
def _(stencil: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(()), planes(x, *x.shape)


def _register_energy(name: str, product_name: str) -> None:
    """Registers (e, y) = (x^T L x, L x): de/dx = 2 y, so that no further product is needed for it."""
    product = getattr(native, product_name).default

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


_register_energy("matting_laplacian_energy", "matting_laplacian")


_register_energy("stencil_energy", "stencil_product")
