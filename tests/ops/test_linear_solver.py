"""Conjugate gradients: the solution of a system, whatever the shape, and the limit on steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastphoto import ops

SHAPE = (5, 6, 2)


@pytest.fixture
def matrix() -> Tensor:
    """A symmetric positive definite matrix whose diagonal varies a lot."""
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(60, 60, generator=generator, dtype=torch.float64) / 60
    return factor @ factor.T + torch.diag(10 ** torch.linspace(-2, 2, 60, dtype=torch.float64))


@pytest.fixture
def right() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def solve(matrix: Tensor, right: Tensor, tolerance: float = 1e-10, steps: int = 1000) -> Tensor:
    diagonal = matrix.diagonal().reshape(SHAPE)
    start = torch.zeros_like(right)
    return ops.conjugate_gradients(
        lambda x: (matrix @ x.reshape(-1)).reshape(SHAPE), right, start, diagonal, tolerance, steps
    )


def test_solves_the_system_in_the_shape_of_the_right_hand_side(matrix, right):
    expected = torch.linalg.solve(matrix, right.reshape(-1)).reshape(SHAPE)
    torch.testing.assert_close(solve(matrix, right), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("tolerance", [1e-1, 1e-4])
def test_stops_at_the_tolerance(matrix, right, tolerance):
    residual = matrix @ solve(matrix, right, tolerance).reshape(-1) - right.reshape(-1)
    assert residual.norm() <= tolerance * right.norm()


def test_every_step_brings_the_solution_nearer(matrix, right):
    expected = torch.linalg.solve(matrix, right.reshape(-1))
    errors = [solve(matrix, right, steps=steps).reshape(-1) - expected for steps in (1, 2, 4, 8)]
    energies = [(error @ matrix @ error).item() for error in errors]
    assert energies == sorted(energies, reverse=True), "a later solution is farther away in the norm of A"
