"""The matting Laplacian in both forms: its definition, properties, derivatives, layouts and errors."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from locations import ROOT
from scipy import sparse
from torch import Tensor

import fastphoto
from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference
from fastphoto.ops.laplacian import MattingLaplacian
from fastphoto.photos.read import read_photo

SIZES = [(3, 3), (3, 9), (8, 3), (4, 4), (5, 5), (17, 70), (37, 21)]
FORMS = ["on_the_fly", "stencil"]


def laplacian(form: str, image: Tensor, epsilon: float = 1e-7):
    """(product, energy) of one form of the operator, as functions of x."""
    if form == "on_the_fly":
        return (
            lambda x: ops.matting_laplacian(image, x, epsilon),
            lambda x: ops.matting_laplacian_energy(image, x, epsilon),
        )
    stencil = ops.matting_laplacian_stencil(image, epsilon)
    return lambda x: ops.stencil_product(stencil, x), lambda x: ops.stencil_energy(stencil, x)


def planar(*size: int, seed: int = 0, dtype=torch.float64, device="cpu") -> Tensor:
    """Random (H, W, K) in the layout the operators work in."""
    height, width, planes = size
    values = torch.rand(planes, height, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return values.permute(1, 2, 0).to(device)


def definition(image: Tensor, epsilon: float = 1e-7) -> sparse.csr_matrix:
    """L as a float64 matrix, pair by pair as in Levin et al."""
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


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_product_and_energy_equal_the_definition(form, size, device, dtype):
    image, x = planar(*size, 3, seed=1), planar(*size, 2, seed=2)
    wanted_energy, wanted = reference.matting_laplacian_energy(image, x, 1e-3)
    product, energy = laplacian(form, image.to(device, dtype), 1e-3)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-11
    close = {"rtol": tolerance, "atol": tolerance * wanted.abs().max().item()}
    got_energy, got = energy(x.to(device, dtype))
    torch.testing.assert_close(got.cpu().double(), wanted, **close)
    torch.testing.assert_close(product(x.to(device, dtype)).cpu().double(), wanted, **close)
    torch.testing.assert_close(got_energy.cpu().double(), wanted_energy, rtol=10 * tolerance, atol=0)


@pytest.mark.parametrize("size", [(3, 3), (4, 3), (3, 5), (6, 7)], ids=str)
def test_stencil_holds_the_matrix_entries_in_the_documented_order(size, device, dtype):
    image = planar(*size, 3, seed=3)
    wanted = reference.matting_laplacian_stencil(image, 1e-3)
    got = ops.matting_laplacian_stencil(image.to(device, dtype), 1e-3)
    assert got.shape == (12, *size) and got.dtype == dtype
    torch.testing.assert_close(got.cpu().double(), wanted, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12)


def hard_images(photo: Tensor) -> dict[str, Tensor]:
    """8-bit pictures whose windows are badly conditioned in different ways."""
    y, x = torch.meshgrid(torch.arange(40), torch.arange(56), indexing="ij")
    ramp = torch.stack([x / 70 + 0.1, y / 80 + 0.2, (x + y) / 130], -1)
    checker = ((x + y) % 2).float()[..., None].expand(-1, -1, 3)
    demo = Path(fastphoto.__file__).parent / "photos" / "demo" / "lake-at-sunset" / "content.jpg"
    photograph = read_photo(demo).pixels[:, 120:160, 250:306]  # a snowy peak against the sky
    return {
        "photograph": photograph.permute(1, 2, 0).contiguous(),
        "rendered photo": photo,
        "smooth": torch.round(ramp * 255) / 255,
        "grey checkerboard": checker.contiguous(),
        "constant": torch.full((40, 56, 3), 0.6),
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["photograph", "rendered photo", "smooth", "grey checkerboard", "constant"])
def test_float32_error_against_the_float64_matrix_on_hard_images(name, form, photo, device):
    image = hard_images(photo)[name]
    x = planar(40, 56, 3, seed=4).float()
    matrix = definition(image)
    columns = x.double().numpy().reshape(-1, 3)
    wanted = matrix @ columns
    energy, got = laplacian(form, image.to(device))[1](x.to(device))
    error = np.linalg.norm(got.cpu().double().numpy().reshape(-1, 3) - wanted) / np.linalg.norm(wanted)
    assert error <= (1e-6 if form == "stencil" else 1e-5)
    assert energy.item() == pytest.approx((columns * wanted).sum(), rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["photograph", "rendered photo", "smooth", "grey checkerboard", "constant"])
def test_colours_affine_in_the_image_are_nearly_free(name, form, photo, device):
    image = hard_images(photo)[name]
    x = image @ torch.tensor([[0.5, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.0, 0.6]]) + 0.1
    energy, product = laplacian(form, image.to(device))[1](x.to(device))
    columns = x.double().numpy().reshape(-1, 3)
    wanted = definition(image) @ columns
    assert np.abs(product.cpu().double().numpy().reshape(-1, 3) - wanted).max() <= 1e-6
    assert energy.item() == pytest.approx((columns * wanted).sum(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_symmetric_positive_and_zero_on_constants(form, photo, device):
    product, energy = laplacian(form, photo.to(device))
    x, y = planar(40, 56, 1, seed=5).float().to(device), planar(40, 56, 1, seed=6).float().to(device)
    assert (x * product(y)).sum().item() == pytest.approx((y * product(x)).sum().item(), rel=1e-5)
    assert energy(x)[0].item() > 0
    constant = torch.full_like(x, 0.3)
    bound = 0 if form == "stencil" else 1e-7
    assert product(constant).abs().max().item() <= bound
    assert 0 <= energy(constant)[0].item() <= bound


@pytest.mark.parametrize("form", FORMS)
def test_first_and_second_derivatives(form, device):
    product, energy = laplacian(form, planar(5, 6, 3, seed=7, device=device), 1e-2)
    x = planar(5, 6, 2, seed=8, device=device).requires_grad_()
    for function in (product, energy, lambda x: energy(x)[0]):
        assert torch.autograd.gradcheck(function, x)
        assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_of_the_energy_is_twice_the_product(form, photo):
    _, energy = laplacian(form, photo)
    x = planar(40, 56, 3, seed=9).float().requires_grad_()
    value, product = energy(x)
    value.backward()
    torch.testing.assert_close(x.grad, 2 * product.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_any_memory_layout_gives_the_same_bits(form, photo):
    product, _ = laplacian(form, photo)
    x = planar(40, 56, 4, seed=10).float()
    wanted = product(x)
    assert wanted.permute(2, 0, 1).is_contiguous(), "results are views of planes"
    interleaved = x.contiguous()
    wide = torch.zeros(80, 60, 8)
    wide[::2, 3:59, ::2] = x
    for layout in (interleaved, wide[::2, 3:59, ::2], x.transpose(0, 1).contiguous().transpose(0, 1)):
        torch.testing.assert_close(product(layout), wanted, rtol=0, atol=0)
    repeated = x[..., :1].expand(-1, -1, 4)
    torch.testing.assert_close(product(repeated), wanted[..., :1].expand(-1, -1, 4), rtol=0, atol=0)
    interleaved_image = laplacian(form, photo.contiguous())[0]
    torch.testing.assert_close(interleaved_image(x), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_results_do_not_depend_on_the_number_of_threads(form):
    image, x = planar(75, 90, 3, seed=11).float(), planar(75, 90, 3, seed=12).float()
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            product, energy = laplacian(form, image)
            results.append([product(x), *energy(x)])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert torch.equal(one, two)


def test_operators_follow_the_rules_of_torch():
    image, x = planar(6, 7, 3, seed=13), planar(6, 7, 2, seed=14).requires_grad_()
    stencil = ops.matting_laplacian_stencil(image)
    library = torch.ops.fastphoto
    torch.library.opcheck(library.matting_laplacian.default, (image, x, 1e-3))
    torch.library.opcheck(library.matting_laplacian_energy.default, (image, x, 1e-3))
    torch.library.opcheck(library.matting_laplacian_stencil.default, (image, 1e-3))
    torch.library.opcheck(library.stencil_product.default, (stencil, x))
    torch.library.opcheck(library.stencil_energy.default, (stencil, x))


def test_compiles_without_graph_breaks(photo):
    stencil = ops.matting_laplacian_stencil(photo)

    def loss(x):
        return ops.stencil_energy(stencil, x)[0] + ops.matting_laplacian_energy(photo, 2 * x)[0]

    x = planar(40, 56, 3, seed=15).float()
    eager, compiled = x.clone().requires_grad_(), x.clone().requires_grad_()
    loss(eager).backward()
    torch.compile(loss, fullgraph=True, backend="aot_eager")(compiled).backward()
    torch.testing.assert_close(compiled.grad, eager.grad)


IMAGE, X, STENCIL = torch.rand(5, 6, 3), torch.rand(5, 6, 2), torch.rand(12, 5, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ops.matting_laplacian(IMAGE[..., :2], X),
            r"matting_laplacian: image is \(5, 6, 2\), wanted",
        ),
        (lambda: ops.matting_laplacian(IMAGE[:2], X[:2]), r"image is \(2, 6, 3\).*at least 3"),
        (lambda: ops.matting_laplacian(IMAGE, X[0]), r"x is \(6, 2\), wanted \(H, W, K\)"),
        (
            lambda: ops.matting_laplacian(IMAGE, X[:4]),
            r"x is \(4, 6, 2\), wanted the height and width of image",
        ),
        (
            lambda: ops.matting_laplacian(IMAGE, X.double()),
            r"x has dtype Double, wanted that of image, Float",
        ),
        (
            lambda: ops.matting_laplacian(IMAGE.half(), X.half()),
            r"image has dtype Half, wanted Float or Double",
        ),
        (lambda: ops.matting_laplacian(IMAGE, X, 0.0), r"epsilon is 0, wanted a finite number above 0"),
        (lambda: ops.matting_laplacian(IMAGE, X, float("nan")), r"epsilon is nan"),
        (lambda: ops.matting_laplacian_energy(IMAGE, X, -1.0), r"matting_laplacian_energy: epsilon is -1"),
        (
            lambda: ops.matting_laplacian_stencil(IMAGE, float("inf")),
            r"matting_laplacian_stencil: epsilon is inf",
        ),
        (lambda: ops.matting_laplacian(IMAGE, X[..., :0]), r"x is \(5, 6, 0\).*no empty dimension"),
        (
            lambda: ops.stencil_product(STENCIL[:9], X),
            r"stencil_product: stencil is \(9, 5, 6\), wanted \(12, H, W\)",
        ),
        (
            lambda: ops.stencil_product(STENCIL, X[:, :5]),
            r"x is \(5, 5, 2\), wanted \(H, W, K\) of the stencil",
        ),
        (lambda: ops.stencil_energy(STENCIL, X.double()), r"x has dtype Double, wanted that of stencil"),
        (lambda: ops.stencil_product(STENCIL[:, :2], X[:2]), r"wanted H and W at least 3"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_constants_must_not_require_a_gradient():
    image, stencil = IMAGE.clone().requires_grad_(), STENCIL.clone().requires_grad_()
    for call in (
        lambda: ops.matting_laplacian(image, X),
        lambda: ops.matting_laplacian_energy(image, X),
        lambda: ops.matting_laplacian_stencil(image),
        lambda: ops.stencil_product(stencil, X),
        lambda: ops.stencil_energy(stencil, X),
    ):
        with pytest.raises(InputError, match=r"requires a gradient.*detach"):
            call()
    with torch.no_grad():
        ops.matting_laplacian(image, X)


@pytest.mark.parametrize("low_memory", [False, True])
def test_module_and_linear_operator_are_the_matrix(low_memory, photo):
    matrix = definition(photo)
    module = MattingLaplacian(photo, low_memory=low_memory)
    x = planar(40, 56, 2, seed=16)
    columns = x.numpy().reshape(-1, 2)
    operator = module.linear_operator()
    assert operator.shape == matrix.shape and operator.dtype == np.float64
    np.testing.assert_allclose(operator @ columns, matrix @ columns, rtol=0, atol=2e-6)
    np.testing.assert_allclose(operator @ columns[:, 0], matrix @ columns[:, 0], rtol=0, atol=2e-6)
    np.testing.assert_allclose(module.diagonal().numpy().ravel(), matrix.diagonal(), rtol=1e-5)
    energy = module(x.float())
    assert energy.item() == pytest.approx((columns * (matrix @ columns)).sum(), rel=1e-4)
    np.testing.assert_allclose(module.product(x.float()).numpy().reshape(-1, 2), matrix @ columns, rtol=0, atol=1e-5)


def test_example_of_closed_form_matting_finds_the_alpha(tmp_path, capsys):
    path = ROOT / "examples" / "closed_form_matting.py"
    spec = importlib.util.spec_from_file_location("closed_form_matting", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    residual, error = example.main(["--size", "40"])
    assert residual < 1e-5 and error < 1e-3
    assert "mean squared error" in capsys.readouterr().out
