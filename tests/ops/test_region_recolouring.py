"""Recolourings region by region: values and gradients by definition, bounds, layouts, threads and errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fastphoto import ops
from fastphoto.errors import InputError
from fastphoto.ops import reference

UNKNOWNS = ("curves", "gains", "matrices")
NUMBERS = {"share": 0.5, "most_contrast": 1.2}


def scene(
    height: int, width: int, regions: int = 2, knots: int = 8, dtype: torch.dtype = torch.float64
) -> dict[str, Any]:
    """Tones on and beyond all knots, mattes with parts of 0, and gains on both sides of their bounds."""
    generator = torch.Generator().manual_seed(height)

    def noise(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    mattes = noise(regions, height, width).clamp(0, 1) / regions
    mattes[0, : height // 2] = 0
    tensors = {
        "tones": noise(height, width) * knots + knots / 2,
        "broad": noise(regions, height, width) * 20 + 50,
        "contrast": noise(regions, height, width) * 5,
        "chroma": noise(regions, 2, height, width) * 20,
        "mattes": mattes,
        "centre": noise(regions, 3) * 10,
        "most_gain": noise(regions).abs(),
        "curves": noise(regions, 3, knots, 3, 4) * 10,
        "gains": noise(regions, 3, 4),
        "matrices": noise(regions, 2, 3),
        "rest": noise(3, height, width) * 20,
    }
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def with_unknowns(arguments: dict[str, Any]) -> tuple[dict[str, Any], list[Tensor]]:
    unknowns = [arguments[name].clone().requires_grad_() for name in UNKNOWNS]
    return arguments | dict(zip(UNKNOWNS, unknowns, strict=True)), unknowns


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 7), (40, 33)], ids=str)
def test_value_and_gradients_equal_the_definition(size, device, dtype):
    given = scene(*size, dtype=dtype)
    grad = torch.randn(3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    exact, exact_unknowns = with_unknowns({name: tensor.double() for name, tensor in given.items()})
    expected = reference.region_recolouring(*exact.values(), *NUMBERS.values())
    arguments, unknowns = with_unknowns({name: tensor.to(device) for name, tensor in given.items()})
    found = ops.region_recolouring(**arguments, **NUMBERS)
    relative = 2e-6 if dtype == torch.float32 else 1e-13
    allowed = relative * float(expected.detach().abs().max())
    torch.testing.assert_close(found.cpu().double(), expected, rtol=0, atol=allowed)
    gradients = torch.autograd.grad(found, unknowns, grad.to(device))
    for got, gradient in zip(gradients, torch.autograd.grad(expected, exact_unknowns, grad.double()), strict=True):
        allowed = 5 * relative * float(gradient.abs().max())
        torch.testing.assert_close(got.cpu().double(), gradient, rtol=0, atol=allowed)


def test_gradients_by_differences():
    given, unknowns = with_unknowns(scene(4, 5, knots=3))

    def recoloured(*values: Tensor) -> Tensor:
        return ops.region_recolouring(**(given | dict(zip(UNKNOWNS, values, strict=True))), **NUMBERS)

    assert torch.autograd.gradcheck(recoloured, unknowns)


def test_a_gain_at_its_bound_has_half_a_derivative(device):
    """As torch.minimum has: the start, a gain of 1, is the bound of photos with much noise."""
    given = {name: tensor.to(device) for name, tensor in scene(6, 7).items()}
    given |= {"gains": torch.zeros_like(given["gains"]), "mattes": torch.ones_like(given["mattes"])}
    derivatives = []
    for most in (0.0, 1.0, -1.0):
        arguments, unknowns = with_unknowns(given | {"most_gain": torch.full_like(given["most_gain"], most)})
        lab = ops.region_recolouring(**arguments, **NUMBERS)
        derivatives.append(torch.autograd.grad(lab[0].sum(), unknowns[1])[0])
    torch.testing.assert_close(derivatives[0], derivatives[1] / 2)
    assert not derivatives[2].any()


def test_results_do_not_depend_on_the_number_of_threads(assert_independent_of_threads):
    given, unknowns = with_unknowns(scene(90, 70, dtype=torch.float32))

    def compute() -> list[Tensor]:
        lab = ops.region_recolouring(**given, **NUMBERS)
        return [lab, *torch.autograd.grad(lab, unknowns, lab.detach())]

    assert_independent_of_threads(compute)


def test_any_layout_has_the_same_bits(device):
    given = {name: tensor.to(device) for name, tensor in scene(9, 11, dtype=torch.float32).items()}
    expected = ops.region_recolouring(**given, **NUMBERS)
    spaced = {name: torch.stack([tensor, tensor], -1)[..., 0] for name, tensor in given.items()}
    assert torch.equal(ops.region_recolouring(**spaced, **NUMBERS), expected)


def test_follows_the_rules_of_torch():
    given, _ = with_unknowns(scene(4, 5))
    torch.library.opcheck(torch.ops.fastphoto.region_recolouring.default, (*given.values(), *NUMBERS.values()))
    constants = [tensor.detach() for name, tensor in given.items() if name != "rest"]
    backward = torch.ops.fastphoto.region_recolouring_backward.default
    torch.library.opcheck(backward, (given["rest"], *constants, *NUMBERS.values()))


def test_is_not_differentiable_twice():
    given, unknowns = with_unknowns(scene(4, 5))
    value = ops.region_recolouring(**given, **NUMBERS).square().sum()
    (gradient, *_) = torch.autograd.grad(value, unknowns, create_graph=True)
    with pytest.raises(NotImplementedError, match="region_recolouring is differentiable once, not twice"):
        torch.autograd.grad(gradient.sum(), unknowns[0])


def test_constants_with_a_gradient_are_refused():
    given = scene(4, 5)
    given["mattes"].requires_grad_()
    with pytest.raises(InputError, match="region_recolouring: mattes requires a gradient"):
        ops.region_recolouring(**given, **NUMBERS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"tones": torch.ones(4)}, r"tones is \(4,\), expected \(H, W\)", id="tones"),
        pytest.param({"broad": torch.ones(2, 4, 6).double()}, "expected .* with 5 in dimension 2", id="size"),
        pytest.param({"mattes": torch.ones(1, 4, 5).double()}, "expected .* with 2 in dimension 0", id="regions"),
        pytest.param({"curves": torch.ones(2, 3, 8, 1, 4).double()}, "with 1 in dimension 1", id="grid"),
        pytest.param({"rest": torch.ones(3, 4, 5)}, "rest has dtype Float, expected that of tones", id="dtype"),
        pytest.param({"most_contrast": 0.0}, "most_contrast is 0, expected a finite number above 0", id="bound"),
    ],
)
def test_wrong_arguments_are_named(changed, message):
    with pytest.raises(RuntimeError, match=f"region_recolouring: .*{message}"):
        ops.region_recolouring(**(scene(4, 5) | NUMBERS | changed))


def test_a_grid_of_one_cell_is_refused():
    given = scene(4, 5)
    given |= {"curves": given["curves"][..., :1], "gains": given["gains"][..., :1]}
    with pytest.raises(RuntimeError, match="expected gh and gw at least 2"):
        ops.region_recolouring(**given, **NUMBERS)
