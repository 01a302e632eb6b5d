"""Local contrast beyond a limit: values, gradients, odd sizes, layouts, threads and errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Return a noisy picture in L*a*b*, (3, H, W), calm at its left."""
    noise = torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ramp = torch.linspace(0, 1, width, dtype=torch.float64)
    return 50 + 10 * ramp * noise + 20 * ramp


def pixels_of_bands(height: int, width: int, bands: int) -> int:
    return sum(-(-height // 2**band) * -(-width // 2**band) for band in range(bands))


def constants(height: int, width: int, bands: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Importance in [1, 5] and limits that about half of the contrasts exceed."""
    generator = torch.Generator().manual_seed(seed)
    pixels = pixels_of_bands(height, width, bands)
    importance, limit = torch.rand(2, pixels, generator=generator, dtype=torch.float64)
    return 1 + 4 * importance, 15 * limit


SIZES = [(2, 2, 1), (3, 2, 1), (2, 9, 1), (5, 4, 2), (16, 24, 3), (19, 33, 4), (33, 16, 4), (108, 192, 4)]


@pytest.mark.parametrize(("height", "width", "bands"), SIZES)
def test_value_and_gradient_equal_the_definition(height, width, bands, device, dtype):
    lab = picture(height, width).to(device, dtype).requires_grad_()
    importance, limit = (numbers.to(device, dtype) for numbers in constants(height, width, bands))
    same = lab.detach().double().requires_grad_()
    value = ops.contrast_excess(lab, importance, limit, bands)
    expected = reference.contrast_excess(same, importance.double(), limit.double(), bands)
    assert float(expected) > 0 and value.shape == () and value.dtype == dtype
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=0)
    (got,), (gradient,) = torch.autograd.grad(3 * value, lab), torch.autograd.grad(3 * expected, same)
    torch.testing.assert_close(got.double(), gradient, rtol=tolerance, atol=tolerance * float(gradient.abs().max()))


def test_gradient_by_differences():
    importance, limit = constants(7, 10, 3)
    lab = picture(7, 10).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ops.contrast_excess(x, importance, limit, 3), lab)


def test_a_flat_picture_has_the_least_contrast_and_no_gradient(device):
    lab = torch.full((3, 9, 12), 50.0, device=device, requires_grad=True)
    ones = torch.ones(pixels_of_bands(9, 12, 2), device=device)
    value = ops.contrast_excess(lab, ones, 0 * ones, 2)
    assert float(value.detach()) == pytest.approx(2 * 1e-4, rel=1e-3)
    (gradient,) = torch.autograd.grad(value, lab)
    assert float(gradient.abs().max()) < 1e-6
    assert float(ops.contrast_excess(lab, ones, 0.02 * ones, 2).detach()) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_give_a_loss_that_is_not(bad):
    lab = picture(16, 16)
    lab[1, 8, 8] = bad
    assert not torch.isfinite(ops.contrast_excess(lab, *constants(16, 16, 2), 2))


def test_any_layout_gives_the_same_bits():
    lab, (importance, limit) = picture(19, 33), constants(19, 33, 3)
    expected = ops.contrast_excess(lab, importance, limit, 3)
    layouts = [lab.permute(1, 2, 0).contiguous().permute(2, 0, 1), torch.stack([lab, lab], 3)[..., 1]]
    assert all(torch.equal(ops.contrast_excess(x, importance, limit, 3), expected) for x in layouts)
    spread = torch.stack([importance, limit], 1)
    assert torch.equal(ops.contrast_excess(lab, spread[:, 0], spread[:, 1], 3), expected)


def test_threads_do_not_change_bits(assert_independent_of_threads):
    lab, pair = picture(300, 140), constants(300, 140, 4)
    assert_independent_of_threads(lambda: torch.ops.fastphoto.contrast_excess(lab, *pair, 4))


def test_opcheck():
    lab, pair = picture(12, 14).requires_grad_(), constants(12, 14, 2)
    torch.library.opcheck(torch.ops.fastphoto.contrast_excess.default, (lab, *pair, 2))


def test_a_second_derivative_is_refused():
    lab = picture(8, 8).requires_grad_()
    value = ops.contrast_excess(lab, *constants(8, 8, 1), 1)
    with pytest.raises(NotImplementedError, match="contrast_excess is differentiable once, not twice"):
        torch.autograd.grad(value.square(), lab, create_graph=True)


@pytest.mark.parametrize("name", ["importance", "limit"])
def test_constants_have_no_gradient(name):
    pair = dict(zip(("importance", "limit"), constants(8, 8, 1), strict=True))
    pair[name].requires_grad_()
    with pytest.raises(InputError, match=f"contrast_excess: {name} requires a gradient"):
        ops.contrast_excess(picture(8, 8), **pair, bands=1)


LAB, ONES = torch.ones(3, 8, 6), torch.ones(48)


@pytest.mark.parametrize(
    ("lab", "importance", "limit", "bands", "message"),
    [
        pytest.param(LAB[0], ONES, ONES, 1, r"lab is \(8, 6\), expected \(3, H, W\)", id="rank"),
        pytest.param(LAB[:2], ONES, ONES, 1, r"lab is \(2, 8, 6\), expected \(3, H, W\)", id="channels"),
        pytest.param(LAB.int(), ONES, ONES, 1, "lab has dtype Int, expected Float or Double", id="dtype"),
        pytest.param(LAB, ONES, ONES, 0, "bands is 0, expected 1 or more", id="no bands"),
        pytest.param(
            LAB, ONES, ONES, 4, r"lab is \(3, 8, 6\), expected 2 x 2 pixels or more in each of 4 bands", id="small"
        ),
        pytest.param(
            LAB, ONES[1:], ONES, 1, r"importance is \(47,\), expected \(48,\), the pixels of 1 bands", id="importance"
        ),
        pytest.param(LAB, ONES, ONES, 2, r"importance is \(48,\), expected \(60,\), the pixels of 2 bands", id="bands"),
        pytest.param(LAB, ONES, ONES.double(), 1, "limit has dtype Double, expected that of lab, Float", id="limit"),
    ],
)
def test_errors_name_argument_and_expectation(lab, importance, limit, bands, message):
    with pytest.raises(RuntimeError, match=f"fastphoto::contrast_excess: {message}"):
        ops.contrast_excess(lab, importance, limit, bands)
