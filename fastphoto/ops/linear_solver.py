"""Large symmetric systems of tensors, solved by scipy's conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor,
    diagonal: Tensor,
    tolerance: float,
    steps: int = 1000,
) -> Tensor:
    """x with A x = right, A symmetric and positive definite and given by its product, from a start.

    product: x -> A x; right, start and diagonal (that of A, the preconditioner): float64 of one shape, on the CPU. It
    ends where |A x - right| <= tolerance |right|, or after so many steps; each step brings x nearer to the solution in
    the norm x^T A x, so that the last one is the best.
    """
    from scipy.sparse.linalg import LinearOperator, cg  # here, for loading it takes a third of a second

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
