"""The peers of the operators: sparse matrices and Gram matrices against the plain reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.baselines.operators import (
    GatheredGram,
    QuadraticForm,
    SymmetricProduct,
    csr_tensor,
    dense_gram,
    gather_lists,
    sparse_matrix,
)
from benchmarks.workloads import relative_error
from fastphoto.ops import reference

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")

EPSILON = 1e-4


def dense_laplacian(image: Tensor) -> Tensor:
    """(H W, H W), by applying the Laplacian to every unit vector."""
    height, width, _ = image.shape
    unit = torch.eye(height * width, dtype=image.dtype)
    return reference.matting_laplacian(image, unit.view(height, width, -1), EPSILON).reshape(height * width, -1)


@pytest.fixture
def small(photo) -> Tensor:
    """(9, 11, 3) float64."""
    return photo[8:17, 10:21].double()


@pytest.mark.parametrize("index", [torch.int32, torch.int64], ids=["int32", "int64"])
def test_csr_tensor_is_the_matting_laplacian(small, index):
    matrix = csr_tensor(reference.matting_laplacian_stencil(small, EPSILON), index)
    assert matrix.crow_indices().dtype == matrix.col_indices().dtype == index
    parts = matrix.crow_indices(), matrix.col_indices(), matrix.values()
    torch.sparse_csr_tensor(*parts, matrix.shape, check_invariants=True)  # columns ascend in each row
    assert relative_error(matrix.to_dense(), dense_laplacian(small)) < 1e-12


def test_sparse_matrix_is_the_matting_laplacian(small):
    matrix = sparse_matrix(reference.matting_laplacian_stencil(small, EPSILON).float())
    assert relative_error(torch.from_numpy(matrix.toarray()), dense_laplacian(small)) < 1e-6


FORMS = {"quadratic": QuadraticForm.apply, "product": lambda matrix, x: (x * SymmetricProduct.apply(matrix, x)).sum()}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_quadratic_form_and_product_have_the_gradients_of_the_matrix(small, form):
    matrix, dense = csr_tensor(reference.matting_laplacian_stencil(small, EPSILON)), dense_laplacian(small)
    x = torch.rand(len(matrix), 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    value, exact = form(matrix, x), (x * (dense @ x)).sum()
    assert float(value.detach()) == pytest.approx(float(exact.detach()), rel=1e-10)
    gradient, exact_gradient = (torch.autograd.grad(3 * each, x)[0] for each in (value, exact))
    assert relative_error(gradient, exact_gradient) < 1e-10


def test_gathered_gram_is_the_dense_one():
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(5, 7, 9, generator=generator, dtype=torch.float64).requires_grad_()
    masks = (2 * torch.rand(4, 7, 9, generator=generator, dtype=torch.float64) - 1).clamp_min(0)
    masks[2] = 0
    direction = torch.randn(4, 5, 5, generator=generator, dtype=torch.float64)
    dense, gathered = dense_gram(features, masks), GatheredGram.apply(features, *gather_lists(masks, torch.float64))
    torch.testing.assert_close(dense, reference.masked_gram(features, masks))
    torch.testing.assert_close(gathered, dense)
    gradients = [torch.autograd.grad(gram, features, direction)[0] for gram in (gathered, dense)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("gram", [dense_gram, lambda f, m: GatheredGram.apply(f, *gather_lists(m, torch.float64))])
def test_gram_without_regions_is_empty(gram):
    assert gram(torch.ones(5, 7, 9, dtype=torch.float64), torch.ones(0, 7, 9)).shape == (0, 5, 5)
