"""The matting Laplacian's operators in both forms: definition, accuracy, derivatives, layouts, threads and errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import fastphoto
from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference
from fastphoto.photos.read import read_photo

SIZES = [(3, 3), (3, 9), (8, 3), (4, 4), (5, 5), (17, 70), (37, 21)]
both_forms = pytest.mark.parametrize("form", ["on_the_fly", "stencil"])

Product = Callable[[Tensor], Tensor]
Energy = Callable[[Tensor], tuple[Tensor, Tensor]]


def laplacian(form: str, image: Tensor, epsilon: float = 1e-7) -> tuple[Product, Energy]:
    """Return the product and the energy of one form of the operator, as functions of x."""
    if form == "on_the_fly":
        return (
            lambda x: ops.matting_laplacian(image, x, epsilon),
            lambda x: ops.matting_laplacian_energy(image, x, epsilon),
        )
    stencil = ops.matting_laplacian_stencil(image, epsilon)
    return lambda x: ops.stencil_product(stencil, x), lambda x: ops.stencil_energy(stencil, x)


def planar(*size: int, seed: int = 0, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Tensor:
    """Return random numbers, (H, W, K), in the layout that the operators work in."""
    height, width, planes = size
    values = torch.rand(planes, height, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return values.permute(1, 2, 0).to(device)


# ---- values


@pytest.mark.parametrize("size", SIZES, ids=str)
@both_forms
def test_product_and_energy_equal_the_definition(form, size, device, dtype):
    image, x = planar(*size, 3, seed=1), planar(*size, 2, seed=2)
    expected_energy, expected = reference.matting_laplacian_energy(image, x, 1e-3)
    product, energy = laplacian(form, image.to(device, dtype), 1e-3)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-11
    close = {"rtol": tolerance, "atol": tolerance * expected.abs().max().item()}
    got_energy, got = energy(x.to(device, dtype))
    torch.testing.assert_close(got.cpu().double(), expected, **close)
    torch.testing.assert_close(product(x.to(device, dtype)).cpu().double(), expected, **close)
    torch.testing.assert_close(got_energy.cpu().double(), expected_energy, rtol=10 * tolerance, atol=0)


@pytest.mark.parametrize("size", [(3, 3), (4, 3), (3, 5), (6, 7)], ids=str)
def test_stencil_holds_the_matrix_entries_in_the_documented_order(size, device, dtype):
    image = planar(*size, 3, seed=3)
    expected = reference.matting_laplacian_stencil(image, 1e-3)
    got = ops.matting_laplacian_stencil(image.to(device, dtype), 1e-3)
    assert got.shape == (12, *size) and got.dtype == dtype
    torch.testing.assert_close(got.cpu().double(), expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12)


HARD_IMAGES = ["photograph", "rendered photo", "smooth", "grey checkerboard", "constant"]


@pytest.fixture(params=HARD_IMAGES)
def hard_image(request: pytest.FixtureRequest, photo: Tensor) -> Tensor:
    """An 8-bit picture, (40, 56, 3), whose windows are badly conditioned."""
    y, x = torch.meshgrid(torch.arange(40), torch.arange(56), indexing="ij")
    ramp = torch.stack([x / 70 + 0.1, y / 80 + 0.2, (x + y) / 130], -1)
    checker = ((x + y) % 2).float()[..., None].expand(-1, -1, 3)
    demo = Path(fastphoto.__file__).parent / "photos" / "demo" / "lake-at-sunset" / "content.jpg"
    photograph = read_photo(demo).pixels[:, 120:160, 250:306]  # a snowy peak against the sky
    images = {
        "photograph": photograph.permute(1, 2, 0).contiguous(),
        "rendered photo": photo,
        "smooth": torch.round(ramp * 255) / 255,
        "grey checkerboard": checker.contiguous(),
        "constant": torch.full((40, 56, 3), 0.6),
    }
    return images[request.param]


@both_forms
def test_float32_error_against_the_float64_matrix_on_hard_images(form, hard_image, device, laplacian_matrix):
    x = planar(40, 56, 3, seed=4).float()
    columns = x.double().numpy().reshape(-1, 3)
    expected = laplacian_matrix(hard_image) @ columns
    energy, got = laplacian(form, hard_image.to(device))[1](x.to(device))
    error = np.linalg.norm(got.cpu().double().numpy().reshape(-1, 3) - expected) / np.linalg.norm(expected)
    assert error <= (1e-6 if form == "stencil" else 1e-5)
    assert energy.item() == pytest.approx((columns * expected).sum(), rel=1e-4)


@both_forms
def test_colours_affine_in_the_image_are_nearly_free(form, hard_image, device, laplacian_matrix):
    x = hard_image @ torch.tensor([[0.5, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.0, 0.6]]) + 0.1
    energy, product = laplacian(form, hard_image.to(device))[1](x.to(device))
    columns = x.double().numpy().reshape(-1, 3)
    expected = laplacian_matrix(hard_image) @ columns
    assert np.abs(product.cpu().double().numpy().reshape(-1, 3) - expected).max() <= 1e-6
    assert energy.item() == pytest.approx((columns * expected).sum(), rel=1e-4, abs=1e-6)


@both_forms
def test_symmetric_and_positive(form, photo, device):
    product, energy = laplacian(form, photo.to(device))
    x, y = planar(40, 56, 1, seed=5).float().to(device), planar(40, 56, 1, seed=6).float().to(device)
    assert (x * product(y)).sum().item() == pytest.approx((y * product(x)).sum().item(), rel=1e-5)
    assert energy(x)[0].item() > 0


@pytest.mark.parametrize(("form", "bound"), [("on_the_fly", 1e-7), ("stencil", 0)])
def test_zero_on_constants(form, bound, photo, device):
    product, energy = laplacian(form, photo.to(device))
    constant = torch.full((40, 56, 1), 0.3, device=device)
    assert product(constant).abs().max().item() <= bound
    assert 0 <= energy(constant)[0].item() <= bound


# ---- derivatives


@pytest.mark.parametrize("output", ["product", "energy", "both"])
@both_forms
def test_first_and_second_derivatives(form, output, device):
    product, energy = laplacian(form, planar(5, 6, 3, seed=7, device=device), 1e-2)
    function = {"product": product, "energy": lambda x: energy(x)[0], "both": energy}[output]
    x = planar(5, 6, 2, seed=8, device=device).requires_grad_()
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


@both_forms
def test_gradient_of_the_energy_is_twice_the_product(form, photo):
    _, energy = laplacian(form, photo)
    x = planar(40, 56, 3, seed=9).float().requires_grad_()
    value, product = energy(x)
    value.backward()
    torch.testing.assert_close(x.grad, 2 * product.detach(), rtol=0, atol=0)


# ---- layouts, threads, torch.compile


@pytest.mark.parametrize("layout", ["interleaved", "strided", "transposed"])
@both_forms
def test_any_memory_layout_gives_the_same_bits(form, layout, photo):
    product, _ = laplacian(form, photo)
    x = planar(40, 56, 4, seed=10).float()
    wide = torch.zeros(80, 60, 8)
    wide[::2, 3:59, ::2] = x
    laid = {
        "interleaved": x.contiguous(),
        "strided": wide[::2, 3:59, ::2],
        "transposed": x.transpose(0, 1).contiguous().transpose(0, 1),
    }[layout]
    torch.testing.assert_close(product(laid), product(x), rtol=0, atol=0)


@both_forms
def test_repeated_planes_and_an_interleaved_image_give_the_same_bits(form, photo):
    product, _ = laplacian(form, photo)
    x = planar(40, 56, 4, seed=10).float()
    expected = product(x)
    assert expected.permute(2, 0, 1).is_contiguous(), "the result is not a view of contiguous planes"
    repeated = x[..., :1].expand(-1, -1, 4)
    torch.testing.assert_close(product(repeated), expected[..., :1].expand(-1, -1, 4), rtol=0, atol=0)
    of_interleaved_image, _ = laplacian(form, photo.contiguous())
    torch.testing.assert_close(of_interleaved_image(x), expected, rtol=0, atol=0)


@both_forms
def test_results_do_not_depend_on_the_number_of_threads(form, assert_independent_of_threads):
    image, x = planar(75, 90, 3, seed=11).float(), planar(75, 90, 3, seed=12).float()

    def compute() -> list[Tensor]:
        product, energy = laplacian(form, image)
        return [product(x), *energy(x)]

    assert_independent_of_threads(compute)


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


# ---- errors

IMAGE, X, STENCIL = torch.rand(5, 6, 3), torch.rand(5, 6, 2), torch.rand(12, 5, 6)


@pytest.mark.parametrize(
    ("image", "x", "message"),
    [
        pytest.param(IMAGE[..., :2], X, r"image is \(5, 6, 2\), expected \(H, W, 3\)", id="two colours"),
        pytest.param(IMAGE[:2], X[:2], r"image is \(2, 6, 3\).*at least 3", id="too small"),
        pytest.param(IMAGE, X[0], r"x is \(6, 2\), expected \(H, W, K\)", id="rank"),
        pytest.param(IMAGE, X[:4], r"x is \(4, 6, 2\), expected the height and width of image", id="other size"),
        pytest.param(IMAGE, X[..., :0], r"x is \(5, 6, 0\).*no empty dimension", id="no planes"),
        pytest.param(IMAGE, X.double(), r"x has dtype Double, expected that of image, Float", id="other dtype"),
        pytest.param(IMAGE.half(), X.half(), r"image has dtype Half, expected Float or Double", id="half"),
    ],
)
def test_wrong_tensors_are_named(image, x, message):
    with pytest.raises(RuntimeError, match=f"fastphoto::matting_laplacian: {message}"):
        ops.matting_laplacian(image, x)


@pytest.mark.parametrize(("epsilon", "shown"), [(0.0, "0"), (-1.0, "-1"), (float("nan"), "nan"), (float("inf"), "inf")])
@pytest.mark.parametrize("name", ["matting_laplacian", "matting_laplacian_energy", "matting_laplacian_stencil"])
def test_wrong_epsilon_is_named(name, epsilon, shown):
    arguments = (IMAGE,) if name == "matting_laplacian_stencil" else (IMAGE, X)
    with pytest.raises(RuntimeError, match=rf"{name}: epsilon is {shown}, expected a finite number above 0"):
        getattr(ops, name)(*arguments, epsilon)


@pytest.mark.parametrize(
    ("stencil", "x", "message"),
    [
        pytest.param(STENCIL[:9], X, r"stencil is \(9, 5, 6\), expected \(12, H, W\)", id="nine planes"),
        pytest.param(STENCIL, X[:, :5], r"x is \(5, 5, 2\), expected \(H, W, K\) of the stencil", id="other size"),
        pytest.param(STENCIL, X.double(), "x has dtype Double, expected that of stencil, Float", id="other dtype"),
        pytest.param(STENCIL[:, :2], X[:2], "expected H and W at least 3", id="too small"),
    ],
)
@pytest.mark.parametrize("name", ["stencil_product", "stencil_energy"])
def test_wrong_stencils_are_named(name, stencil, x, message):
    with pytest.raises(RuntimeError, match=f"{name}: .*{message}"):
        getattr(ops, name)(stencil, x)


@pytest.mark.parametrize(
    ("name", "constant", "others"),
    [
        ("matting_laplacian", IMAGE, (X,)),
        ("matting_laplacian_energy", IMAGE, (X,)),
        ("matting_laplacian_stencil", IMAGE, ()),
        ("stencil_product", STENCIL, (X,)),
        ("stencil_energy", STENCIL, (X,)),
    ],
)
def test_constants_must_not_require_a_gradient(name, constant, others):
    constant = constant.clone().requires_grad_()
    with pytest.raises(InputError, match=rf"{name}: .* requires a gradient.*detach"):
        getattr(ops, name)(constant, *others)
    with torch.no_grad():
        getattr(ops, name)(constant, *others)
