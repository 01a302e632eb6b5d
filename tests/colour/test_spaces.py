"""Colour spaces: CIELAB against published values and back, and the axes of the opponent space."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from fastphoto.colour.spaces import LUMA, OPPONENT, lab_to_srgb, srgb_to_lab

# Well-known values of sRGB's greys and corners under D65.
COLOURS = {
    "black": ((0, 0, 0), (0, 0, 0)),
    "white": ((1, 1, 1), (100, 0, 0)),
    "grey": ((0.5, 0.5, 0.5), (53.389, 0, 0)),
    "red": ((1, 0, 0), (53.241, 80.092, 67.203)),
    "green": ((0, 1, 0), (87.735, -86.183, 83.179)),
    "blue": ((0, 0, 1), (32.297, 79.188, -107.860)),
    "yellow": ((1, 1, 0), (97.139, -21.554, 94.478)),
}


@pytest.mark.parametrize(("rgb", "lab"), COLOURS.values(), ids=COLOURS)
def test_cielab_of_known_colours(rgb, lab):
    planes = np.array(rgb, float)[:, None, None] * np.ones((3, 2, 4))
    converted = srgb_to_lab(planes)
    assert converted.shape == (3, 2, 4)
    np.testing.assert_allclose(converted, np.array(lab)[:, None, None] * np.ones((3, 2, 4)), atol=0.02)


def test_lightness_grows_with_grey_across_the_bends_of_both_curves():
    greys = np.linspace(0, 1, 1001)
    lightness = srgb_to_lab(np.broadcast_to(greys, (3, 1, 1001)))[0, 0]
    steps = np.diff(lightness)
    assert (steps > 0).all()
    assert np.abs(np.diff(steps)).max() < 0.01, "L* jumps or bends sharply"


# ---- arrays and tensors


def assert_same_lab(got: np.ndarray, expected: np.ndarray) -> None:
    """Compare up to rounding: a* is 500 times a difference of two roots in [0, 1], wrong by four last digits each."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=500 * 4 * 4 * np.finfo(expected.dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_and_tensors_give_the_same(dtype):
    planes = np.random.default_rng(0).random((3, 5, 7)).astype(dtype)
    before = planes.copy()
    lab, same = srgb_to_lab(planes), srgb_to_lab(torch.from_numpy(planes))
    assert isinstance(lab, np.ndarray) and isinstance(same, torch.Tensor)
    assert lab.dtype == planes.dtype
    assert_same_lab(lab, same.numpy())
    assert np.array_equal(planes, before), "the input was changed"


def test_a_view_of_an_array():
    planes = np.random.default_rng(0).random((7, 5, 3)).transpose(2, 1, 0)[:, ::-1]
    assert_same_lab(srgb_to_lab(planes), srgb_to_lab(np.ascontiguousarray(planes)))


# ---- back to sRGB


def all_colours(steps: int = 18) -> torch.Tensor:
    """(3, steps, steps^2) float64: the cube of sRGB, its corners and edges included."""
    axis = torch.linspace(0, 1, steps, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis, axis).T.reshape(3, steps, steps**2)


def luminance(srgb: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear light (3, ...) of IEC 61966-2-1, and its relative luminance by the weights of ITU-R BT.709."""
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055).clamp_min(0) ** 2.4)
    return linear, torch.tensordot(torch.tensor([0.2126729, 0.7151522, 0.0721750]).to(srgb), linear, 1)


def test_the_way_there_and_back_changes_nothing():
    colours = all_colours()
    # On the cube's faces the inverse is a hair outside, from matrices of seven digits, and becomes that much paler.
    torch.testing.assert_close(lab_to_srgb(srgb_to_lab(colours)), colours, atol=1e-6, rtol=0)
    single = colours.float()
    # CIELAB's 500 (f_x - f_y) loses three digits of float32, and the curve near black is 12.92 times as steep.
    torch.testing.assert_close(lab_to_srgb(srgb_to_lab(single)), single, atol=2e-4, rtol=0)


def far_colours() -> torch.Tensor:
    """(3, N) float64 in CIELAB, most of them outside of sRGB."""
    lightness = torch.linspace(1, 99, 15, dtype=torch.float64)
    chroma = torch.tensor([0.0, 5, 30, 80, 150, 300], dtype=torch.float64)
    hue = torch.arange(0, 24, dtype=torch.float64) * math.pi / 12
    lightness, chroma, hue = torch.cartesian_prod(lightness, chroma, hue).T
    return torch.stack([lightness, chroma * hue.cos(), chroma * hue.sin()])


def test_every_colour_becomes_one_of_srgb():
    lab = far_colours()
    for dtype in (torch.float64, torch.float32):
        srgb = lab_to_srgb(lab.to(dtype)[:, None])
        assert srgb.dtype == dtype and torch.isfinite(srgb).all()
        assert srgb.min() >= 0 and srgb.max() <= 1
    extreme = torch.tensor([[-50.0, 0, 0, 100, 100, 500], [0, 90, -90, 90, -90, 0], [0, 90, 0, 90, 0, -400]])
    srgb = lab_to_srgb(extreme[:, None])
    assert torch.isfinite(srgb).all() and srgb.min() >= 0 and srgb.max() <= 1
    assert srgb[:, 0, :3].max() < 1e-6 and srgb[:, 0, 3:].min() > 1 - 1e-6, "beyond black and white is another colour"


def test_colours_that_srgb_lacks_keep_lightness_and_hue():
    """In linear light they move towards the grey of their luminance, as far as needed and no farther."""
    lab = far_colours()
    srgb = lab_to_srgb(lab[:, None])[:, 0]
    torch.testing.assert_close(srgb_to_lab(srgb[:, None])[0, 0], lab[0], atol=1e-4, rtol=0)
    f = torch.stack([(lab[0] + 16) / 116 + lab[1] / 500, (lab[0] + 16) / 116, (lab[0] + 16) / 116 - lab[2] / 200])
    xyz = torch.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    white = torch.tensor([0.95047, 1, 1.08883]).double()
    wanted = torch.tensor(  # IEC 61966-2-1, to the seven digits that are usual
        [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
    ).double() @ (white[:, None] * xyz)
    linear, grey = luminance(srgb)
    before, after = wanted - xyz[1], linear - grey
    share = (before * after).sum(0) / before.square().sum(0).clamp_min(1e-12)
    assert (after - share * before).abs().max() < 1e-4, "another hue"
    inside = (wanted.min(0)[0] >= 0) & (wanted.max(0)[0] <= 1)
    assert (share[inside & (lab[1:].square().sum(0) > 1)] > 0.999).all(), "a colour of sRGB was changed"
    assert (~inside).sum() > 500
    full = torch.minimum(srgb.min(0)[0], 1 - srgb.max(0)[0])[~inside]
    assert full.max() < 1e-3, "paler than needed"


def test_the_way_back_is_continuous_where_colours_leave_srgb():
    for hue in torch.arange(0, 6.3, 0.3).tolist():
        chroma = torch.linspace(0, 200, 4001, dtype=torch.float64)
        lab = torch.stack([torch.full_like(chroma, 60), chroma * math.cos(hue), chroma * math.sin(hue)])
        steps = lab_to_srgb(lab[:, None]).diff(dim=2).abs()
        assert steps.max() < 0.01


# ---- gradients


CORNERS = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3))).T[:, None]  # black, white and pure colours
DARK = torch.tensor([[0.0, 1e-8, 1e-4, 0.001, 0.04045, 1 / 255]]).expand(3, -1)[:, None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("values", [(-0.3, -0.3, -0.3), (-0.2, 0.5, 1.3), (1.2, 1.2, 1.2)], ids=str)
def test_values_outside_of_the_range_have_finite_colours_and_gradients(values, dtype):
    """The solver's images are not clamped."""
    srgb = torch.tensor(values, dtype=dtype)[:, None, None].requires_grad_()
    lab = srgb_to_lab(srgb)
    (gradient,) = torch.autograd.grad(lab.sum(), srgb)
    assert torch.isfinite(lab).all() and torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("colours", [CORNERS, DARK, 1 - DARK], ids=["corners", "dark", "light"])
def test_gradients_are_finite_everywhere(colours, dtype):
    srgb = colours.to(dtype).requires_grad_()
    (there,) = torch.autograd.grad(srgb_to_lab(srgb).sum(), srgb)
    assert torch.isfinite(there).all() and there.abs().max() < 1e4
    lab = srgb_to_lab(colours.to(dtype)).requires_grad_()
    (back,) = torch.autograd.grad(lab_to_srgb(lab).sum(), lab)
    assert torch.isfinite(back).all() and back.abs().max() < 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_far_outside_of_srgb(dtype):
    lab = torch.cat([far_colours(), far_colours() * 3 - 100], 1).to(dtype)[:, None].requires_grad_()
    (gradient,) = torch.autograd.grad(lab_to_srgb(lab).sum(), lab)
    assert torch.isfinite(gradient).all() and gradient.abs().max() < 10


def test_derivatives_by_finite_differences():
    """Inside the pieces of the curves; at their joints there is no derivative."""
    random = torch.Generator().manual_seed(1)
    srgb = torch.rand(3, 6, 7, generator=random, dtype=torch.float64) * 0.9 + 0.05
    srgb[:, 0, :3] = torch.tensor([0.001, 0.01, 0.03])
    assert torch.autograd.gradcheck(srgb_to_lab, srgb.requires_grad_())
    lab = far_colours()[:, 3:-3:37][:, None]
    assert torch.autograd.gradcheck(lab_to_srgb, lab.requires_grad_())


# ---- the opponent space


def test_opponent_axes_are_luma_and_two_colour_differences():
    luma, *differences = OPPONENT
    assert torch.equal(luma, torch.tensor([4 * weight for weight in LUMA]))
    assert sum(LUMA) == pytest.approx(1)
    for difference in differences:
        assert float(difference.sum()) == pytest.approx(0, abs=1e-6), "greys have a colour"
        assert float(difference.norm()) == pytest.approx(1)
