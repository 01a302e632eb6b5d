"""The kernels between sRGB and CIELAB: values and gradients by definition, layouts, NaN, threads and errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.ops import reference

CONVERSIONS = ["srgb_to_lab", "lab_to_srgb"]


def colours(name: str, height: int = 13, width: int = 29, seed: int = 0) -> Tensor:
    """Return colours on both sides of every threshold, also some that the other space lacks."""
    planes = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if name == "srgb_to_lab":
        return planes.square() * 1.1 - 0.05
    return planes * torch.tensor([120.0, 160, 160]).double()[:, None, None] - torch.tensor([10.0, 80, 80])[
        :, None, None
    ].to(planes)


@pytest.mark.parametrize("name", CONVERSIONS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (13, 29), (90, 101)], ids=str)
def test_value_and_gradient_equal_the_definition(name, size, device, dtype):
    planes = colours(name, *size).to(device, dtype).requires_grad_()
    exact = planes.detach().double().requires_grad_()
    grad = torch.randn(3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(device, dtype)
    found, expected = getattr(ops, name)(planes), getattr(reference, name)(exact)
    single = dtype == torch.float32
    # Half a unit in the last place of numbers up to 128 or to 1; on a GPU, where the arithmetic is float32, more.
    unit = {"srgb_to_lab": 128, "lab_to_srgb": 1}[name] * (2**-24 if single else 2**-45)
    tolerance = unit * (1.01 if device.type == "cpu" else 32)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance)
    (got,) = torch.autograd.grad(found, planes, grad)
    (gradient,) = torch.autograd.grad(expected, exact, grad.double())
    scale = float(gradient.abs().max())
    torch.testing.assert_close(got.double(), gradient, rtol=0, atol=scale * (1e-6 if single else 1e-12))


@pytest.mark.parametrize("name", CONVERSIONS)
def test_gradient_by_differences(name):
    assert torch.autograd.gradcheck(getattr(ops, name), colours(name, 4, 5, seed=3).requires_grad_())


def test_powers_are_exact_over_their_whole_range(dtype):
    """Every grey from black to white, and dark ones, there and back."""
    ramp = torch.linspace(0, 1, 5001, dtype=torch.float64)
    greys = torch.cat([ramp, ramp.pow(6)]).to(dtype).expand(3, 1, -1).contiguous()
    lab = ops.srgb_to_lab(greys)
    torch.testing.assert_close(lab.double(), reference.srgb_to_lab(greys.double()), rtol=2e-7, atol=4e-6)
    torch.testing.assert_close(ops.lab_to_srgb(lab), greys, rtol=0, atol=3e-7 if dtype == torch.float32 else 1e-12)


def test_rounding_does_not_decide_about_derivatives_at_the_border_of_srgb():
    """Colours with a channel of 0 or 1, and black, moved by a rounding error: their derivatives stay."""
    srgb = torch.tensor([[0, 0, 0], [0, 0.3, 0.5], [1, 0.2, 0.7]]).double().T[:, None]
    lab, grad = ops.srgb_to_lab(srgb), torch.tensor([1.0, 2, 3]).double()[:, None, None].expand(3, 1, 3)
    derivatives = []
    for sign in (-1e-9, 0, 1e-9):
        moved = (lab + sign).requires_grad_()
        derivatives.append(torch.autograd.grad(ops.lab_to_srgb(moved), moved, grad)[0])
    torch.testing.assert_close(derivatives[0], derivatives[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(derivatives[2], derivatives[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CONVERSIONS)
def test_nan_is_not_lost(name, device):
    planes = colours(name, 2, 3).float().to(device)
    planes[1, 0, 2] = math.nan
    assert getattr(ops, name)(planes)[:, 0, 2].isnan().any()
    planes[1, 0, 2] = 0.5
    assert getattr(ops, name)(planes).isfinite().all()


@pytest.mark.parametrize("name", CONVERSIONS)
def test_any_layout_has_the_same_bits(name, device):
    planes = colours(name).float().to(device)
    expected = getattr(ops, name)(planes)
    assert torch.equal(getattr(ops, name)(planes.permute(1, 2, 0).contiguous().permute(2, 0, 1)), expected)
    assert torch.equal(getattr(ops, name)(torch.stack([planes, planes], -1)[..., 0]), expected)


@pytest.mark.parametrize("name", CONVERSIONS)
def test_results_do_not_depend_on_the_number_of_threads(name, assert_independent_of_threads):
    planes = colours(name, 120, 111).float()
    backward = getattr(torch.ops.fastphoto, f"{name}_backward")
    assert_independent_of_threads(lambda: [getattr(ops, name)(planes), backward(planes.flip(0), planes)])


@pytest.mark.parametrize("name", CONVERSIONS)
def test_follows_the_rules_of_torch(name):
    planes = colours(name, 4, 5)
    torch.library.opcheck(getattr(torch.ops.fastphoto, name).default, (planes.clone().requires_grad_(),))
    torch.library.opcheck(getattr(torch.ops.fastphoto, f"{name}_backward").default, (planes, planes))


@pytest.mark.parametrize("name", CONVERSIONS)
def test_is_not_differentiable_twice(name):
    planes = colours(name, 4, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(getattr(ops, name)(planes).square().sum(), planes, create_graph=True)
    with pytest.raises(NotImplementedError, match=f"{name} is differentiable once, not twice"):
        torch.autograd.grad(gradient.sum(), planes)


X = torch.rand(3, 4, 5)


@pytest.mark.parametrize("name", CONVERSIONS)
@pytest.mark.parametrize(
    ("planes", "message"),
    [
        pytest.param(X[0], r"is \(4, 5\), expected \(3, H, W\)", id="rank"),
        pytest.param(X[:2], r"is \(2, 4, 5\), expected \(3, H, W\) with 3 in dimension 0", id="channels"),
        pytest.param(X.half(), "has dtype Half, expected Float or Double", id="half"),
        pytest.param(X[:, :0], r"is \(3, 0, 5\), .*no empty dimension", id="empty"),
    ],
)
def test_wrong_colours_are_named(name, planes, message):
    with pytest.raises(RuntimeError, match=f"{name}: {name[: name.index('_')]} {message}"):
        getattr(ops, name)(planes)


@pytest.mark.parametrize(
    ("grad", "message"),
    [
        pytest.param(X[:, :3], r"grad is \(3, 3, 5\), expected the shape of", id="size"),
        pytest.param(X.double(), "grad has dtype Double, expected that of", id="dtype"),
    ],
)
def test_wrong_gradients_are_named(grad, message):
    with pytest.raises(RuntimeError, match=f"srgb_to_lab_backward: {message}"):
        torch.ops.fastphoto.srgb_to_lab_backward(grad, X)
