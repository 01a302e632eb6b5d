"""The recolouring: what its unknowns stand for, what they cannot do, and what they cost."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.colour.match import match_colours, recolour_regions
from fastphoto.colour.spaces import lab_to_srgb, srgb_to_lab
from fastphoto.optimisation.recolouring import (
    _MOST_CHROMA,
    _MOST_CONTRAST,
    _UNITS,
    _VISIBLE_CHROMA_NOISE,
    _VISIBLE_NOISE,
    Recolouring,
)


def random(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_region(content: Tensor, image: Tensor | None = None) -> Recolouring:
    """The recolouring of a content (3, H, W) as a whole, from an image or else from the content itself."""
    return Recolouring(content, (content if image is None else image)[None], torch.ones_like(content[:1]))


def of_pair(height: int = 48, width: int = 64, dtype: torch.dtype = torch.float64) -> Recolouring:
    """The recolouring of sky and land to those of the dusk."""
    content, style = day(height, width), dusk()
    images = recolour_regions(content.muted, style.muted, content.masks, style.masks)
    return Recolouring(content.muted.to(dtype), images.to(dtype), content.masks.to(dtype))


@dataclass(frozen=True)
class Parts:
    """Views of unknowns, by what they stand for."""

    curves: Tensor  # (R, 3, tones): of each region as a whole
    cells: Tensor  # (R, 3, tones, gh, gw): what each grid cell adds
    gains: Tensor  # (R, gh, gw)
    matrices: Tensor  # (R, 2, 3)

    @property
    def all(self) -> tuple[Tensor, ...]:
        return self.curves, self.cells, self.gains, self.matrices


def parts(recolouring: Recolouring, x: Tensor) -> Parts:
    regions, height, width = recolouring.grid
    places = height * width
    tones = (len(x) // regions - 6 - places) // (3 * (1 + places))
    sizes = [3 * tones * regions, 3 * tones * places * regions, places * regions, 6 * regions]
    curves, cells, gains, matrices = x.split(sizes)
    return Parts(
        curves.view(regions, 3, tones),
        cells.view(regions, 3, tones, height, width),
        gains.view(regions, height, width),
        matrices.view(regions, 2, 3),
    )


def same_everywhere(recolouring: Recolouring, scale: float, seed: int = 1) -> Tensor:
    """Random unknowns that do not vary from place to place."""
    x = recolouring.zeros()
    found = parts(recolouring, x)
    for number, part in enumerate((found.curves, found.cells, found.gains, found.matrices)):
        places = 2 if part is found.cells or part is found.gains else 0
        size = (*part.shape[: part.ndim - places], *(1,) * places)
        part[:] = scale * random(*size, seed=seed + number).to(x)
    found.curves.mul_(_UNITS[1] / _UNITS[0])
    return x


def anything(recolouring: Recolouring, scale: float, seed: int = 0) -> Tensor:
    """Random unknowns; a region's curves are as large as what its cells add."""
    x = scale * random(len(recolouring.zeros()), seed=seed)
    parts(recolouring, x).curves.mul_(_UNITS[1] / _UNITS[0])
    return x


# ---- zeros


def test_zeros_give_the_start_image():
    content, style = day(), dusk()
    images = recolour_regions(content.muted, style.muted, content.masks, style.masks)
    recolouring = Recolouring(content.muted, images, content.masks)
    start = match_colours(content.muted, style.muted, content.masks, style.masks)
    torch.testing.assert_close(recolouring(recolouring.zeros()), start, atol=5e-4, rtol=0)
    assert torch.equal(recolouring.fit(content.pixels), recolouring.zeros())


def test_zeros_blend_soft_mattes_in_cielab():
    content = day().muted.double()
    ramp = torch.linspace(0, 1, 64, dtype=torch.float64).expand(48, 64)
    images, mattes = torch.stack([0.5 * content, 1 - content]), torch.stack([ramp * 0.6, (1 - ramp) * 0.6])
    recolouring = Recolouring(content, images, mattes)
    planes = [(0.6 * ramp, images[0]), (0.6 * (1 - ramp), images[1]), (torch.full((48, 64), 0.4).double(), content)]
    expected = lab_to_srgb(sum((share * srgb_to_lab(image) for share, image in planes), torch.zeros(1)))
    torch.testing.assert_close(recolouring(recolouring.zeros()), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("scale", [0.0, 0.05, 1.0])
def test_pixels_outside_of_all_mattes_keep_their_colour(scale):
    content = day().pixels.double()
    mattes = day().masks.double()
    mattes[:, 10:30, 5:40] = 0
    recolouring = Recolouring(content, torch.stack([0.5 * content, 1 - content]), mattes)
    image = recolouring(scale * random(len(recolouring.zeros())))
    free = mattes.sum(0) == 0
    torch.testing.assert_close(image[:, free], content[:, free], atol=1e-6, rtol=0)
    assert (image - content)[:, ~free].abs().mean() > 0.05


# ---- the unknowns


def test_each_region_has_its_own_unknowns():
    recolouring = of_pair()
    for r in (0, 1):
        x = recolouring.zeros()
        for part in parts(recolouring, x).all:
            part[r] = (0.2 if part.ndim == 3 else 0.05) * random(*part[r].shape, seed=r)
        change = (recolouring(x) - recolouring(recolouring.zeros())).abs().amax(0)
        inside = day().masks[r] > 0
        assert change[inside].mean() > 0.01 and change[~inside].max() == 0


def test_a_tone_curve_is_linear_between_its_knots():
    """Knots at tones of equal distance: one that is moved changes tones up to its neighbours, half-way half."""
    ramp = torch.linspace(0, 1, 140, dtype=torch.float64)
    content = lab_to_srgb(torch.stack([100 * ramp, 0 * ramp, 0 * ramp])[:, None].expand(3, 20, 140).contiguous())
    recolouring = one_region(content)
    for channel, size in ((0, 5.0), (1, 4.0), (2, -4.0)):
        x = recolouring.zeros()
        curves = parts(recolouring, x).curves
        curves[0, channel, 3] = size / _UNITS[0]
        change = (srgb_to_lab(recolouring(x)) - srgb_to_lab(content))[:, 10]
        step = 100 / (curves.shape[2] - 1)
        expected = size * (1 - (100 * ramp - 3 * step).abs() / step).clamp_min(0)
        # The tones are a smoothed lightness: near the ramp's ends and at the kinks they differ a little.
        torch.testing.assert_close(change[channel], expected, atol=0.3, rtol=0)
        others = [c for c in range(3) if c != channel]
        assert change[others].abs().max() < 1e-3


def test_a_cell_adds_to_its_regions_curve_where_the_content_varies():
    """A change in the grid's first column fades out linearly towards the second."""
    waves = 50 + 20 * torch.sin(torch.arange(90) / 5.0)[:, None].double().expand(90, 120)
    content = lab_to_srgb(torch.stack([waves, 0 * waves, 0 * waves]))
    recolouring = one_region(content)
    x = recolouring.zeros()
    parts(recolouring, x).cells[0, 0, :, :, 0] = 5 / _UNITS[1]
    change = (srgb_to_lab(recolouring(x)) - srgb_to_lab(content))[0, 10:-10]
    reach = 119 / (recolouring.grid[2] - 1)
    fading = (1 - torch.arange(120, dtype=torch.float64) / reach).clamp_min(0)
    torch.testing.assert_close(change, change[:, :1] * fading, atol=1e-6, rtol=0)
    assert 0.5 < change[:, 0].mean() < 5, "as free as the content's tones vary"


def test_a_matrix_turns_chroma_around_the_mean():
    content = day().muted.double()
    recolouring = one_region(content)
    x = recolouring.zeros()
    parts(recolouring, x).matrices[0] = torch.tensor([[0.0, 0.2, -0.1], [0.0, 0.3, 0.1]])
    before, after = srgb_to_lab(content), srgb_to_lab(recolouring(x))
    chroma = before[1:] - before[1:].mean((1, 2), keepdim=True)
    expected = torch.stack([0.2 * chroma[0] - 0.1 * chroma[1], 0.3 * chroma[0] + 0.1 * chroma[1]])
    torch.testing.assert_close(after[1:] - before[1:], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(after[0], before[0], atol=1e-3, rtol=0)


def test_derivatives_by_finite_differences():
    content, style = day(14, 18), dusk(16, 16)
    images = recolour_regions(content.muted, style.muted, content.masks, style.masks)
    recolouring = Recolouring(content.muted.double(), images.double(), content.masks.double() * 0.9)
    x = (0.02 * random(len(recolouring.zeros()))).requires_grad_()
    assert torch.autograd.gradcheck(recolouring, x, fast_mode=True)
    assert torch.autograd.gradcheck(recolouring.roughness, x, fast_mode=True)


@pytest.mark.parametrize("scale", [0.0, 0.1, 10.0, 1e4])
@pytest.mark.parametrize(
    "content",
    [day(24, 32).pixels, torch.zeros(3, 24, 32), torch.ones(3, 24, 32), torch.full((3, 24, 32), 0.5)],
    ids=["photo", "black", "white", "grey"],
)
def test_any_unknowns_give_an_image_in_range_and_a_finite_gradient(content, scale):
    recolouring = Recolouring(content, torch.stack([content, 1 - content]), torch.full((2, 24, 32), 0.5))
    x = (scale * random(len(recolouring.zeros())).float()).requires_grad_()
    image = recolouring(x)
    (gradient,) = torch.autograd.grad(image.square().sum() + recolouring.roughness(x), x)
    assert torch.isfinite(image).all() and image.min() >= 0 and image.max() <= 1
    assert torch.isfinite(gradient).all()


# ---- what it cannot do


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("colour", [(0.5, 0.45, 0.4), (0.02, 0.02, 0.05), (0.9, 0.93, 0.97), (0.0, 0.0, 0.0)], ids=str)
def test_a_flat_content_stays_flat(colour, seed):
    """For any unknowns."""
    content = torch.tensor(colour, dtype=torch.float64)[:, None, None].expand(3, 40, 56).contiguous()
    recolouring = one_region(content, 0.2 + 0.5 * content)
    for x in (same_everywhere(recolouring, 0.2, seed), anything(recolouring, 0.2, seed)):
        image = recolouring(x)
        assert (image - image[:, :1, :1]).abs().max() < 1e-6
        assert (image - recolouring(recolouring.zeros())).abs().max() > 0.02


@pytest.mark.parametrize("seed", range(3))
def test_flat_parts_of_a_content_stay_flat_beside_an_edge(seed):
    """Also for unknowns that vary from place to place; the window around the edge is let out."""
    content = torch.where(torch.arange(96) < 48, 0.25, 0.7).double().expand(3, 64, 96).contiguous()
    recolouring = one_region(content)
    for x in (same_everywhere(recolouring, 0.2, seed), anything(recolouring, 0.2, seed)):
        image = recolouring(x)
        for part in (image[:, :, :36], image[:, :, 60:]):
            assert (part - part[:, :1, :1]).abs().max() < 1 / 255
        assert (image - content).abs().mean() > 0.02


@pytest.mark.parametrize("seed", range(3))
def test_a_faint_gradient_stays_without_bands(seed):
    """A curve that bends at its knots may bend the gradient, but unknowns of one place do not show."""
    ramp = 50 + 1.5 * torch.linspace(-1, 1, 96).double().expand(64, 96)
    content = lab_to_srgb(torch.stack([ramp, 0 * ramp, 0 * ramp]))
    recolouring = one_region(content)
    x = 0.05 * random(len(recolouring.zeros()), seed=seed)
    for part in (parts(recolouring, x).curves, parts(recolouring, x).matrices):
        part[:] = 0
    change = srgb_to_lab(recolouring(x)) - srgb_to_lab(content)
    assert change.abs().max() < 1, "a cell of a plain gradient departs from its region"


def stripes(height: int = 96, width: int = 128, contrast: float = 0.5) -> Tensor:
    """A grey content (3, H, W) with columns of alternating lightness, which do not pass for noise: rows are equal."""
    lightness = 50 + contrast * (1 - 2 * (torch.arange(width) % 2).double())
    lab = torch.stack([lightness, 0 * lightness, 0 * lightness])[:, None]
    return lab_to_srgb(lab.expand(3, height, width).contiguous())


def detail(image: Tensor) -> float:
    """Mean difference of L* between neighbouring columns."""
    return float(srgb_to_lab(image)[0].diff(dim=1).abs().mean())


@pytest.mark.parametrize(("pushed", "least"), [(0.1, 0.7), (1.0, 0.5), (1e4, 0.5)])
def test_local_contrast_grows_and_shrinks_within_bounds(pushed, least):
    content = stripes()
    recolouring = one_region(content)
    change = []
    for sign in (1, -1):
        x = recolouring.zeros()
        parts(recolouring, x).gains[:] = sign * pushed / _UNITS[2]
        change.append(math.log(detail(recolouring(x)) / detail(content)))
    usual = least * min(pushed, _MOST_CONTRAST)
    assert usual < change[0] <= _MOST_CONTRAST and usual < -change[1] <= _MOST_CONTRAST


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("amplified", [1.0, 2.0])
def test_noise_is_not_made_visible(deviation, amplified):
    """Pushed as far as it goes, noise stays below a bound on the deviation of L*, unless the start has more."""
    noise = deviation * random(128, 192)
    lab = torch.stack([50 + noise, 0 * noise, 0 * noise])
    recolouring = one_region(lab_to_srgb(lab), lab_to_srgb(torch.stack([50 + amplified * noise, 0 * noise, 0 * noise])))
    x = recolouring.zeros()
    parts(recolouring, x).gains[:] = 1e4
    got = float(srgb_to_lab(recolouring(x))[0].std())
    start = deviation * amplified
    # The windows leave a part of the noise in the broad tones, which no gain amplifies.
    bound = max(_VISIBLE_NOISE, start)
    assert 0.8 * min(bound, start * math.exp(_MOST_CONTRAST / 2)) < got < 1.1 * bound


# ---- sizes


@pytest.mark.parametrize("deviation", [0.3, 0.8, 3.0])
def test_noise_of_chroma_is_not_made_visible(deviation):
    """Whatever the matrix, noise stays below a bound on the deviation of a* and b*, unless the start has more."""
    lab = torch.stack([50 + 0 * random(128, 192), deviation * random(128, 192), deviation * random(128, 192, seed=1)])
    recolouring = one_region(lab_to_srgb(lab))
    x = recolouring.zeros()
    parts(recolouring, x).matrices[:] = 100 * random(2, 3)
    start, result = (srgb_to_lab(recolouring(unknowns))[1:].std((1, 2)) for unknowns in (recolouring.zeros(), x))
    assert (result <= 1.1 * max(deviation, min(_VISIBLE_CHROMA_NOISE, (1 + _MOST_CHROMA) * deviation))).all()
    assert deviation > _VISIBLE_CHROMA_NOISE or not torch.allclose(result, start, rtol=0.02)


@pytest.mark.parametrize("size", [(60, 80), (48, 64), (40, 53), (119, 160)])
def test_the_same_unknowns_mean_the_same_at_a_smaller_size(size):
    full = of_pair(120, 160)
    small = full.resized(size)
    assert small.zeros().shape == full.zeros().shape
    x = anything(full, 0.1, seed=4)
    for unknowns in (full.zeros(), x):
        image = torch.nn.functional.interpolate(full(unknowns)[None], size, mode="bilinear", antialias=True)[0]
        assert small(unknowns).shape == (3, *size)
        # What differs is whether pixels are averaged in CIELAB or sRGB, and before or after the curves.
        assert (small(unknowns) - image).abs().mean() < 4e-3
    assert (small(x) - small(full.zeros())).abs().mean() > 0.02
    assert float(small.roughness(x)) == float(full.roughness(x))


def test_its_own_size_is_itself():
    recolouring = of_pair()
    assert recolouring.resized((48, 64)) is recolouring


def test_gradients_at_a_smaller_size_point_the_same_way():
    full = of_pair(120, 160)
    x = 0.03 * random(len(full.zeros()), seed=4)
    gradients = []
    for recolouring in (full, full.resized((60, 80))):
        unknowns = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(recolouring(unknowns).square().mean(), unknowns)
        gradients.append(gradient)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (200, 16), (9, 40)])
def test_small_and_narrow_photos(size):
    content = day(*size).pixels
    recolouring = one_region(content)
    torch.testing.assert_close(recolouring(recolouring.zeros()), content, atol=5e-4, rtol=0)
    assert torch.isfinite(recolouring(0.1 * random(len(recolouring.zeros())).float())).all()


# ---- what unknowns cost


def test_no_change_costs_nothing_and_any_change_something():
    recolouring = of_pair()
    assert float(recolouring.roughness(recolouring.zeros())) == 0
    for part in range(4):
        x = recolouring.zeros()
        parts(recolouring, x).all[part].view(-1)[1] = 0.01
        assert float(recolouring.roughness(x)) > 0


def test_cost_grows_with_the_square():
    recolouring = of_pair()
    x = 0.1 * random(len(recolouring.zeros()))
    once, twice, away = (float(recolouring.roughness(factor * x)) for factor in (1, 2, -1))
    assert twice == pytest.approx(4 * once) and away == pytest.approx(once)


def cost(recolouring: Recolouring, curve: Tensor | float = 0.0, cells: Tensor | float = 0.0) -> float:
    """Cost of a lightness curve, broadcast to (tones,), and of what cells add to it, (tones, gh, gw)."""
    x = recolouring.zeros()
    parts(recolouring, x).curves[0, 0] = curve
    parts(recolouring, x).cells[0, 0] = cells
    return float(recolouring.roughness(x))


def test_the_rougher_a_change_the_more_it_costs():
    """Changes of the same size: even, then along tones, then from tone to tone."""
    recolouring = one_region(day().muted.double())
    tone = torch.arange(parts(recolouring, recolouring.zeros()).curves.shape[2]).double()
    along = tone - tone.mean()
    along = along / along.square().mean().sqrt()
    costs = [cost(recolouring, 0.1 * curve) for curve in (1.0, along, 1 - 2 * (tone % 2))]
    assert all(1.2 * less < more for less, more in itertools.pairwise(costs)), costs


def test_a_change_from_cell_to_cell_costs_more_than_one_of_all():
    recolouring = one_region(day().muted.double())
    _, rows, columns = recolouring.grid
    board = (1 - 2.0 * ((torch.arange(rows)[:, None] + torch.arange(columns)) % 2)).double()
    assert cost(recolouring, cells=0.1 * board) > 5 * cost(recolouring, cells=0.1)
    assert cost(recolouring, cells=0.1) > cost(recolouring)
