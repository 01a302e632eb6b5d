"""MattingLaplacian as a module and as a SciPy operator, against its matrix, and the example that is built on it."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from locations import ROOT
from scipy import sparse
from torch import Tensor

from fastphoto.ops import MattingLaplacian


@pytest.fixture(params=[False, True], ids=["stencil", "low memory"])
def laplacian(request: pytest.FixtureRequest, photo: Tensor) -> MattingLaplacian:
    return MattingLaplacian(photo, low_memory=request.param)


@pytest.fixture
def matrix(photo: Tensor, laplacian_matrix) -> sparse.csr_matrix:
    return laplacian_matrix(photo)


@pytest.fixture
def columns() -> np.ndarray:
    """Two quantities on the photo's pixels, (H W, 2)."""
    return torch.rand(40 * 56, 2, generator=torch.Generator().manual_seed(16), dtype=torch.float64).numpy()


def test_energy_and_product(laplacian, matrix, columns):
    x = torch.from_numpy(columns).float().reshape(40, 56, 2)
    assert laplacian(x).item() == pytest.approx((columns * (matrix @ columns)).sum(), rel=1e-4)
    np.testing.assert_allclose(laplacian.product(x).numpy().reshape(-1, 2), matrix @ columns, rtol=0, atol=1e-5)


def test_diagonal(laplacian, matrix):
    np.testing.assert_allclose(laplacian.diagonal().numpy().ravel(), matrix.diagonal(), rtol=1e-5)


def test_linear_operator(laplacian, matrix, columns):
    operator = laplacian.linear_operator()
    assert operator.shape == matrix.shape and operator.dtype == np.float64
    np.testing.assert_allclose(operator @ columns, matrix @ columns, rtol=0, atol=2e-6)
    np.testing.assert_allclose(operator @ columns[:, 0], matrix @ columns[:, 0], rtol=0, atol=2e-6)


def test_example_of_closed_form_matting_finds_the_alpha(capsys):
    path = ROOT / "examples" / "closed_form_matting.py"
    spec = importlib.util.spec_from_file_location("closed_form_matting", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    residual, error = example.main(["--size", "40"])
    assert residual < 1e-5 and error < 1e-3
    assert "mean squared error" in capsys.readouterr().out
