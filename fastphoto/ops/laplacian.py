"""The matting Laplacian as an object: a loss module for PyTorch and an operator for SciPy's solvers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fastphoto.ops.matting import (
    STENCIL_OFFSETS,
    matting_laplacian,
    matting_laplacian_energy,
    matting_laplacian_stencil,
    stencil_energy,
    stencil_product,
)

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse.linalg import LinearOperator


class MattingLaplacian(nn.Module):
    """The matting Laplacian L of one image, with its energy, product, diagonal and SciPy operator.

    As a module it returns the energy sum_k x_k^T L x_k of x (H, W, K), the photorealism loss of Luan et al. (2017),
    which is small where x is locally an affine function of the image's colours. The gradient is 2 L x.

    Args:
        image: picture that defines L, (H, W, 3), H and W at least 3, values in [0, 1], float32 or float64; a constant.
        epsilon: regularisation of windows whose colours vary little, finite and above 0.
        low_memory: whether to keep only the image and recompute its windows in every product, which is slower; if
            not, 12 coefficients are stored for each pixel.

    Raises:
        RuntimeError: a wrong shape, dtype or number.

    Example:
        >>> image = torch.rand(8, 10, 3)
        >>> laplacian = MattingLaplacian(image)
        >>> bool(laplacian(2 * image + 0.1) < laplacian(torch.rand(8, 10, 3)))  # an affine function of the colours
        True
        >>> laplacian.product(image).shape, laplacian.diagonal().shape
        (torch.Size([8, 10, 3]), torch.Size([8, 10]))
    """

    _constant: Tensor  # the image with low_memory, else the stencil

    def __init__(self, image: Tensor, epsilon: float = 1e-7, *, low_memory: bool = False) -> None:
        super().__init__()
        self.height, self.width = image.shape[:2]
        self.epsilon = epsilon
        self.low_memory = low_memory
        constant = image.detach() if low_memory else matting_laplacian_stencil(image.detach(), epsilon)
        self.register_buffer("_constant", constant, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the energy of x (H, W, K), a scalar of at least 0 up to rounding."""
        if self.low_memory:
            return matting_laplacian_energy(self._constant, x, self.epsilon)[0]
        return stencil_energy(self._constant, x)[0]

    def product(self, x: Tensor) -> Tensor:
        """Return L x, (H, W, K), for x (H, W, K)."""
        return self._product(self._constant, x)

    def _product(self, constant: Tensor, x: Tensor) -> Tensor:
        if self.low_memory:
            return matting_laplacian(constant, x, self.epsilon)
        return stencil_product(constant, x)

    def diagonal(self) -> Tensor:
        """Return the diagonal of L, (H, W), which a Jacobi preconditioner divides by."""
        stencil = self._constant
        if self.low_memory:
            stencil = matting_laplacian_stencil(self._constant, self.epsilon)
        # The rows of L sum to zero, so the diagonal is minus the sum of the coefficients of a pixel's pairs.
        diagonal = stencil.new_zeros((self.height, self.width))
        for (dy, dx), coefficients in zip(STENCIL_OFFSETS, stencil, strict=True):
            left, right = max(0, -dx), self.width - max(0, dx)
            pairs = coefficients[: self.height - dy, left:right]
            diagonal[: self.height - dy, left:right] -= pairs
            diagonal[dy:, left + dx : right + dx] -= pairs
        return diagonal

    def linear_operator(self) -> LinearOperator:
        """Return L as a SciPy LinearOperator, (H W, H W) float64, on the CPU, with pixels in reading order."""
        from scipy.sparse.linalg import LinearOperator  # here, because loading it takes a third of a second

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
