"""What the operators' tests share: the matrix of the matting Laplacian, and a check of the threads' influence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor


@pytest.fixture
def assert_independent_of_threads() -> Callable[[Callable[[], Sequence[Tensor]]], None]:
    """Return a function that calls another one with 1, 2 and 5 threads and compares the bits of all its tensors."""

    def check(compute: Callable[[], Sequence[Tensor]]) -> None:
        threads = torch.get_num_threads()
        results = {}
        try:
            for count in (1, 2, 5):
                torch.set_num_threads(count)
                results[count] = compute()
        finally:
            torch.set_num_threads(threads)
        for count in (2, 5):
            for number, (one, other) in enumerate(zip(results[1], results[count], strict=True)):
                assert torch.equal(one, other), f"tensor {number} has other bits with {count} threads than with one"

    return check


@pytest.fixture
def laplacian_matrix() -> Callable[[Tensor], sparse.csr_matrix]:
    """Return a function that builds L of an image as a float64 matrix, pair by pair as in Levin et al. (2008)."""
    return _laplacian_matrix


def _laplacian_matrix(image: Tensor, epsilon: float = 1e-7) -> sparse.csr_matrix:
    values = image.double().numpy()
    height, width, _ = values.shape
    number = np.arange(height * width).reshape(height, width)
    rows, columns, entries = [], [], []
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            colours = values[y - 1 : y + 2, x - 1 : x + 2].reshape(9, 3)
            pixels = number[y - 1 : y + 2, x - 1 : x + 2].ravel()
            d = colours - colours.mean(0)
            # Whitened: an explicit inverse is too inaccurate on grey edges, even in double.
            whitened = np.linalg.solve(np.linalg.cholesky(d.T @ d / 9 + epsilon / 9 * np.eye(3)), d.T)
            rows.append(np.repeat(pixels, 9))
            columns.append(np.tile(pixels, 9))
            entries.append((np.eye(9) - (1 + whitened.T @ whitened) / 9).ravel())
    entries, rows, columns = (np.concatenate(part) for part in (entries, rows, columns))
    return sparse.csr_matrix((entries, (rows, columns)), shape=(height * width,) * 2)
