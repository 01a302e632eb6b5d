"""Large symmetric systems of linear equations, solved by SciPy's conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor,
    diagonal: Tensor,
    tolerance: float,
    steps: int = 1000,
) -> Tensor:
    """Solve A x = right for a symmetric positive definite matrix A, given as a function.

    Each step brings x nearer to the solution in the norm x^T A x, so that the last x is the best one.

    Args:
        product: function x -> A x.
        right: right-hand side, float64 on the CPU, of any shape.
        start: first guess of x, of the same shape and dtype.
        diagonal: diagonal of A, of the same shape and dtype, all above 0; used as the Jacobi preconditioner.
        tolerance: relative residual |A x - right| / |right| at which to stop.
        steps: largest number of steps.

    Returns:
        x, in the shape of `right`.

    Example:
        >>> diagonal = torch.tensor([[1.0, 2.0], [4.0, 5.0]]).double()
        >>> right = torch.ones(2, 2).double()
        >>> conjugate_gradients(lambda x: diagonal * x, right, torch.zeros_like(right), diagonal, 1e-9).tolist()
        [[1.0, 0.5], [0.25, 0.2]]
    """
    from scipy.sparse.linalg import LinearOperator, cg  # here, because loading it takes a third of a second

    def operator(apply: Callable[[Tensor], Tensor]) -> LinearOperator:
        def flat(values: np.ndarray) -> np.ndarray:
            return apply(torch.from_numpy(values).reshape(right.shape)).reshape(-1).numpy()

        return LinearOperator((right.numel(), right.numel()), matvec=flat, dtype=np.float64)

    solution, _ = cg(
        operator(product),
        right.reshape(-1).numpy(),
        x0=start.reshape(-1).numpy(),
        rtol=tolerance,
        maxiter=steps,
        M=operator(lambda residual: residual / diagonal),
    )
    return torch.from_numpy(solution).reshape(right.shape)
