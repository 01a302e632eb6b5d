"""The matting Laplacian of an image: its products and energies, computed on the fly or from stored coefficients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastphoto.ops.library import empty_planes, native, refuse_gradient, register_self_adjoint

# (dy, dx) from a pixel to the neighbour whose coefficient a plane of the stencil stores, as in
# csrc/matting_laplacian.h.
STENCIL_OFFSETS = [(0, 1), (0, 2)] + [(dy, dx) for dy in (1, 2) for dx in range(-2, 3)]


# ---- matting_laplacian: L x from the image itself


def matting_laplacian(image: Tensor, x: Tensor, epsilon: float = 1e-7) -> Tensor:
    """Return the product L x with the matting Laplacian of an image, without storing L.

    L sums over the 3 x 3 windows k that lie fully inside the image (Levin et al. 2008):
    L_ij = sum over k of delta_ij - (1 + (I_i - mu_k)^T (Sigma_k + epsilon / 9 Id)^-1 (I_j - mu_k)) / 9.
    It is symmetric, positive semi-definite, and zero on constants. Window statistics are computed in double.

    Args:
        image: picture that defines L, (H, W, 3), H and W at least 3, values in [0, 1]; a constant.
        x: quantities on the image's pixels, (H, W, K), same dtype and device.
        epsilon: regularisation of windows whose colours vary little, finite and above 0.

    Returns:
        L x, (H, W, K), differentiable in x to any order.

    Raises:
        InputError: the image requires a gradient.
        RuntimeError: a wrong shape, dtype, device or number.

    Example:
        >>> image, x = torch.rand(8, 10, 3), torch.ones(8, 10, 2)
        >>> bool(matting_laplacian(image, x).abs().max() < 1e-6)  # L is zero on constants
        True
    """
    refuse_gradient("matting_laplacian", "image", image)
    return native.matting_laplacian.default(image, x, epsilon)


# The fake kernel: torch.compile traces without data, and needs the shape and memory layout of L x.
@torch.library.register_fake("fastphoto::matting_laplacian")
def _fake_matting_laplacian(image: Tensor, x: Tensor, epsilon: float) -> Tensor:
    return empty_planes(x, *x.shape)


# L is symmetric, so the operator is its own gradient.
register_self_adjoint("matting_laplacian", constants=1)


# ---- matting_laplacian_energy: x^T L x and L x in one pass


def matting_laplacian_energy(image: Tensor, x: Tensor, epsilon: float = 1e-7) -> tuple[Tensor, Tensor]:
    """Return the energy sum_k x_k^T L x_k, and L x, in one pass.

    The energy is computed as a sum of squares and so is never negative: the sum over windows of
    sum_i r_i^2 + epsilon |a|^2, where a is the best affine model of x by the image's colours and r its residual.
    Its gradient, 2 L x, needs no second pass.

    Args:
        image: picture that defines L, (H, W, 3), H and W at least 3, values in [0, 1]; a constant.
        x: quantities on the image's pixels, (H, W, K), same dtype and device.
        epsilon: regularisation of windows whose colours vary little, finite and above 0.

    Returns:
        The energy, a scalar of x's dtype that is accumulated in double, and L x, (H, W, K); both differentiable in x
        to any order.

    Raises:
        InputError: the image requires a gradient.
        RuntimeError: a wrong shape, dtype, device or number.

    Example:
        >>> image = torch.rand(8, 10, 3)
        >>> energy, product = matting_laplacian_energy(image, 2 * image + 0.1)  # affine in the image: almost no energy
        >>> energy.shape, product.shape, bool(0 <= energy < 1e-4)
        (torch.Size([]), torch.Size([8, 10, 3]), True)
    """
    refuse_gradient("matting_laplacian_energy", "image", image)
    return native.matting_laplacian_energy.default(image, x, epsilon)


@torch.library.register_fake("fastphoto::matting_laplacian_energy")
def _fake_matting_laplacian_energy(image: Tensor, x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return x.new_empty(()), empty_planes(x, *x.shape)


def _register_energy(name: str, product_name: str) -> None:
    """Register the gradient of (e, y) = (x^T L x, L x): de/dx = 2 y, which takes no further product."""
    product = getattr(native, product_name).default

    def setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs[0], output[1])
        ctx.numbers = inputs[2:]

    def gradient(ctx: Any, grad_energy: Tensor | None, grad_product: Tensor | None) -> tuple[Any, ...]:
        constant, y = ctx.saved_tensors
        grad = None
        if grad_energy is not None:
            grad = 2 * grad_energy * y
        if grad_product is not None:
            second = product(constant, grad_product, *ctx.numbers)
            grad = second if grad is None else grad + second
        return (None, grad, *[None] * len(ctx.numbers))

    torch.library.register_autograd(f"fastphoto::{name}", gradient, setup_context=setup)


_register_energy("matting_laplacian_energy", product_name="matting_laplacian")


# ---- matting_laplacian_stencil: the coefficients of L


def matting_laplacian_stencil(image: Tensor, epsilon: float = 1e-7) -> Tensor:
    """Return the coefficients of L that :func:`stencil_product` and :func:`stencil_energy` take, 12 for each pixel.

    Plane n at (y, x) is L_ij for i = (y, x) and j = i + (dy, dx), with (dy, dx) in the order (0, 1), (0, 2),
    (1, -2), ..., (1, 2), (2, -2), ..., (2, 2). It is 0 where j lies outside the image. The other half of L follows
    from its symmetry, the diagonal from its zero row sums. Coefficients are computed in double.

    Args:
        image: picture that defines L, (H, W, 3), H and W at least 3, values in [0, 1]; a constant.
        epsilon: regularisation of windows whose colours vary little, finite and above 0.

    Returns:
        The coefficients, (12, H, W), in the image's dtype. Not differentiable.

    Raises:
        InputError: the image requires a gradient.
        RuntimeError: a wrong shape, dtype or number.

    Example:
        >>> matting_laplacian_stencil(torch.rand(8, 10, 3)).shape
        torch.Size([12, 8, 10])
    """
    refuse_gradient("matting_laplacian_stencil", "image", image)
    return native.matting_laplacian_stencil.default(image, epsilon)


@torch.library.register_fake("fastphoto::matting_laplacian_stencil")
def _fake_matting_laplacian_stencil(image: Tensor, epsilon: float) -> Tensor:
    return image.new_empty((12, image.shape[0], image.shape[1]))


# ---- stencil_product: L x from the coefficients


def stencil_product(stencil: Tensor, x: Tensor) -> Tensor:
    """Return L x from the coefficients of L: y_i = sum over j != i of L_ij (x_j - x_i).

    This is several times faster than :func:`matting_laplacian`, at the cost of 12 stored numbers for each pixel, and
    more accurate where x is smooth.

    Args:
        stencil: coefficients from :func:`matting_laplacian_stencil`, (12, H, W); a constant.
        x: quantities on the image's pixels, (H, W, K), same dtype and device.

    Returns:
        L x, (H, W, K), differentiable in x to any order.

    Raises:
        InputError: the stencil requires a gradient.
        RuntimeError: a wrong shape, dtype or device.

    Example:
        >>> image, x = torch.rand(8, 10, 3).double(), torch.rand(8, 10, 2).double()
        >>> stencil = matting_laplacian_stencil(image)
        >>> torch.allclose(stencil_product(stencil, x), matting_laplacian(image, x))
        True
    """
    refuse_gradient("stencil_product", "stencil", stencil)
    return native.stencil_product.default(stencil, x)


@torch.library.register_fake("fastphoto::stencil_product")
def _fake_stencil_product(stencil: Tensor, x: Tensor) -> Tensor:
    return empty_planes(x, *x.shape)


register_self_adjoint("stencil_product", constants=1)


# ---- stencil_energy: x^T L x and L x from the coefficients


def stencil_energy(stencil: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the energy sum_k x_k^T L x_k, and L x, in one pass over the coefficients of L.

    The energy is computed as -sum over pairs i < j of L_ij (x_i - x_j)^2. Its gradient, 2 L x, needs no second pass.

    Args:
        stencil: coefficients from :func:`matting_laplacian_stencil`, (12, H, W); a constant.
        x: quantities on the image's pixels, (H, W, K), same dtype and device.

    Returns:
        The energy, a scalar of x's dtype that is accumulated in double, and L x, (H, W, K); both differentiable in x
        to any order.

    Raises:
        InputError: the stencil requires a gradient.
        RuntimeError: a wrong shape, dtype or device.

    Example:
        >>> stencil, x = matting_laplacian_stencil(torch.rand(8, 10, 3)), torch.rand(8, 10, 1).requires_grad_()
        >>> energy, product = stencil_energy(stencil, x)
        >>> energy.backward()
        >>> torch.equal(x.grad, 2 * product)
        True
    """
    refuse_gradient("stencil_energy", "stencil", stencil)
    return native.stencil_energy.default(stencil, x)


@torch.library.register_fake("fastphoto::stencil_energy")
def _fake_stencil_energy(stencil: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(()), empty_planes(x, *x.shape)


_register_energy("stencil_energy", product_name="stencil_product")
