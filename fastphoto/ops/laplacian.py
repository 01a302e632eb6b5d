"""The matting Laplacian as an object: a loss module for PyTorch and an operator for scipy's solvers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fastphoto import ops

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse.linalg import LinearOperator

_OFFSETS = [(0, 1), (0, 2)] + [(dy, dx) for dy in (1, 2) for dx in range(-2, 3)]


class MattingLaplacian(nn.Module):
    """The matting Laplacian L of one image.

    As a module it returns the energy sum_k x_k^T L x_k of x (H, W, K), the photorealism loss of Luan et al.
    2017: small where x is locally an affine function of the image's colours. The gradient is 2 L x.

    Args:
        image: (H, W, 3), H and W at least 3, values in [0, 1], float32 or float64; a constant.
        epsilon: regularises windows of little variance; finite and above 0.
        low_memory: keep only the image and recompute its windows in every product, instead of 12 stored
            coefficients a pixel; slower.
    """

    def __init__(self, image: Tensor, epsilon: float = 1e-7, *, low_memory: bool = False) -> None:
        super().__init__()
        self.height, self.width = image.shape[:2]
        self.epsilon = epsilon
        self.low_memory = low_memory
        constant = image.detach() if low_memory else ops.matting_laplacian_stencil(image.detach(), epsilon)
        self.register_buffer("_constant", constant, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The energy of x (H, W, K), a scalar of at least 0 but for rounding."""
        if self.low_memory:
            return ops.matting_laplacian_energy(self._constant, x, self.epsilon)[0]
        return ops.stencil_energy(self._constant, x)[0]

    def product(self, x: Tensor) -> Tensor:
        """L x for x (H, W, K)."""
        return self._product(self._constant, x)

    def _product(self, constant: Tensor, x: Tensor) -> Tensor:
        if self.low_memory:
            return ops.matting_laplacian(constant, x, self.epsilon)
        return ops.stencil_product(constant, x)

    def diagonal(self) -> Tensor:
        """The diagonal of L, (H, W): what a Jacobi preconditioner divides by."""
        stencil = self._constant
        if self.low_memory:
            stencil = ops.matting_laplacian_stencil(self._constant, self.epsilon)
        diagonal = stencil.new_zeros((self.height, self.width))
        for (dy, dx), coefficients in zip(_OFFSETS, stencil, strict=True):
            left, right = max(0, -dx), self.width - max(0, dx)
            pairs = coefficients[: self.height - dy, left:right]
            diagonal[: self.height - dy, left:right] -= pairs
            diagonal[dy:, left + dx : right + dx] -= pairs
        return diagonal

    def linear_operator(self) -> LinearOperator:
        """L as a scipy LinearOperator of shape (H W, H W), float64, pixels in reading order, on the CPU."""
        from scipy.sparse.linalg import LinearOperator

        constant = self._constant.to("cpu", torch.float64)

        def matmat(columns: np.ndarray) -> np.ndarray:
            x = torch.from_numpy(columns.T.astype("float64", order="C")).reshape(-1, self.height, self.width)
            product = self._product(constant, x.permute(1, 2, 0)).permute(2, 0, 1)
            return product.reshape(-1, self.height * self.width).numpy().T

        def matvec(column: np.ndarray) -> np.ndarray:
            return matmat(column.reshape(-1, 1))[:, 0]

        size = self.height * self.width
        return LinearOperator(
            (size, size), matvec=matvec, rmatvec=matvec, matmat=matmat, rmatmat=matmat, dtype="float64"
        )
