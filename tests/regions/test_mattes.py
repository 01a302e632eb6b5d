"""Mattes: masks drawn roughly follow the content's edges, against a dense solution of the same equations."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day
from torch import Tensor

from fastphoto.regions import mattes
from fastphoto.regions.mattes import matte_masks


def two_halves(mask: Tensor) -> Tensor:
    """The masks (2, H, W) of a region and of the rest."""
    return torch.stack([mask, ~mask]).float()


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Row and column of each pixel, (H, W)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return y, x


def noise(*size: int, seed: int = 3) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(seed))


# ---- borders


@pytest.mark.parametrize("drawn", [-4, -2, 0, 3, 4])
@pytest.mark.parametrize("slant", [0, 3])
def test_a_border_moves_to_the_contents_edge(drawn, slant):
    """The mask is drawn so many pixels beside the edge; the matte is as if it were drawn at the edge."""
    y, x = grid(48, 64)
    edge = 32 + (y - 24) // slant if slant else torch.full_like(y, 32)
    content = torch.where(x < edge, 0.3, 0.7) + 0.02 * noise(3, 48, 64)
    matte = matte_masks(two_halves(x < edge + drawn), content, radius=6)
    wrong = (matte[0] - (x < edge).float()).abs()
    assert wrong.max() < 0.5 and wrong.mean() < 0.02
    # Shares are enlarged in float32, whose weights sum to one up to rounding.
    assert wrong[(x < edge + min(drawn, 0) - 12) | (x >= edge + max(drawn, 0) + 12)].max() < 1e-6


def test_a_border_moves_no_farther_than_the_radius():
    _, x = grid(40, 60)
    content = torch.where(x < 30, 0.3, 0.7).expand(3, -1, -1)
    masks = two_halves(x < 20)
    change = (matte_masks(masks, content, radius=3) - masks)[0].abs()
    assert change[(x < 20 - 3) | (x >= 20 + 3)].max() < 0.2
    assert change[(x < 20 - 8) | (x >= 20 + 8)].max() < 0.05


def test_a_border_stays_where_the_content_has_no_edge():
    """In a flat content the matte is a soft step around the border that was drawn."""
    _, x = grid(30, 60)
    matte = matte_masks(two_halves(x < 30), torch.full((3, 30, 60), 0.4), radius=5)[0, 15]
    assert (matte[:12] == 1).all() and (matte[48:] == 0).all()
    assert (matte.diff() <= 1e-3).all(), "the step is not monotone"
    assert float(matte.sum()) == pytest.approx(30, abs=0.3)


def test_three_regions_and_more_find_their_own_edges():
    """Four at once: the equations are solved for three masks at a time."""
    _, x = grid(40, 96)
    true, drawn = (sum((x >= bound).int() for bound in bounds) for bounds in ((24, 48, 72), (21, 50, 75)))
    colours = torch.tensor([[0.9, 0.2, 0.1], [0.2, 0.8, 0.2], [0.1, 0.2, 0.9], [0.7, 0.7, 0.1]])
    content = colours.T[:, true] + 0.02 * noise(3, 40, 96)
    masks, expected = (torch.stack([m == r for r in range(4)]).float() for m in (drawn, true))
    matte = matte_masks(masks, content, radius=5)
    assert (matte - expected).abs().max() < 0.5 < (masks - expected).abs().max()
    assert (matte - expected).abs().mean() < 0.2 * (masks - expected).abs().mean()


def test_thin_structures_beside_a_border_get_their_region():
    """Dark hairs that stick out of a region into a light background, where the mask was drawn straight."""
    y, x = grid(60, 60)
    hairs = (y >= 30) | ((y >= 24) & (x % 6 == 0))
    content = torch.where(hairs, 0.2, 0.8) + 0.01 * noise(3, 60, 60)
    drawn = y >= 30
    matte = matte_masks(two_halves(drawn), content, radius=8)[0]
    hair, gap = (hairs & ~drawn)[:, 6:54], (~hairs & (y >= 24))[:, 6:54]
    assert matte[:, 6:54][hair].mean() > 0.8
    assert matte[:, 6:54][gap].mean() < 0.2


# ---- larger photos


@pytest.mark.parametrize("size", [(420, 700), (700, 525), (351, 351)])
def test_a_larger_photo_gets_mattes_at_its_own_size(size):
    """The radius is in pixels of a photo with a long side of 350; edges stay as sharp as the photo's own."""
    y, x = grid(*size)
    scale = max(size) / 350
    edge = size[1] // 2 + y // 8
    content = torch.where(x < edge, 0.3, 0.7) + 0.02 * noise(3, *size)
    matte = matte_masks(two_halves(x < edge + int(4 * scale)), content, radius=6)
    assert matte.shape == (2, *size)
    wrong = (matte[0] - (x < edge).float()).abs()
    assert wrong.mean() < 0.01
    assert (wrong > 0.5).float().mean() < 1e-3
    assert wrong[(x < edge - 20 * scale) | (x >= edge + 20 * scale)].max() < 1e-6


# ---- the sum of the masks


def covering(kind: str) -> tuple[Tensor, Tensor]:
    """Masks (R, 48, 64), and what the mattes must add up to."""
    photo = day(48, 64)
    y, x = grid(48, 64)
    masks = photo.masks.clone()
    if kind == "soft":
        ramp = ((x - 16) / 32).clamp(0, 1)
        masks = torch.stack([ramp, 1 - ramp])
    elif kind == "a hole":
        masks[:, 15:35, 20:45] = 0
    elif kind == "overlapping":
        masks[1, 10:] = 1
    elif kind == "faint":
        masks *= 0.3
    return masks, masks.sum(0).clamp_max(1)


@pytest.mark.parametrize("kind", ["whole", "soft", "a hole", "overlapping", "faint"])
@pytest.mark.parametrize("radius", [1, 5, 30])
def test_mattes_add_up_to_what_the_masks_add_up_to(kind, radius):
    masks, expected = covering(kind)
    matte = matte_masks(masks, day(48, 64).pixels, radius)
    assert matte.min() >= 0 and matte.max() <= 1 + 1e-6
    torch.testing.assert_close(matte.sum(0), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_pixels_of_a_region_stay_in_one_where_its_edge_to_no_region_was_drawn_wrongly(side):
    """Beside what no region covers; the content must not show through."""
    _, x = grid(40, 60)
    edge = 30 + (4 if side == "inside" else -4)
    content = torch.where(x < edge, 0.3, 0.7).expand(3, -1, -1)
    masks = torch.stack([(x < 12), (x >= 12) & (x < 30)]).float()
    matte = matte_masks(masks, content, radius=5)
    torch.testing.assert_close(matte.sum(0), masks.sum(0), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("rows", "columns"), [((2, 6), (2, 6)), ((0, 40), (20, 23))], ids=["spot", "line"])
def test_a_region_too_thin_to_be_certain_is_not_swallowed(rows, columns):
    """In a larger region of the same colour."""
    thin = torch.zeros(40, 48, dtype=torch.bool)
    thin[slice(*rows), slice(*columns)] = True
    matte = matte_masks(two_halves(thin), torch.full((3, 40, 48), 0.5), radius=5)
    assert matte[0][thin].min() > 0.5
    assert matte[0][~thin].mean() < 0.2


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
def test_no_region_is_lost(share):
    """Four pixels of a photo that is shrunk to a third, hard or soft."""
    spot = torch.zeros(700, 1050)
    spot[300:302, 301:303] = share
    matte = matte_masks(torch.stack([spot, 1 - spot]), day(700, 1050).pixels, radius=5)
    assert (matte.sum((1, 2)) > 0).all()
    assert torch.isfinite(matte).all()


# ---- what is left alone


def test_one_region_is_returned_as_it_is():
    masks = day(40, 48).masks[:1]
    assert matte_masks(masks, day(40, 48).pixels) is masks


def test_radius_zero_moves_nothing():
    masks = day(40, 48).masks
    assert matte_masks(masks, day(40, 48).pixels, radius=0) is masks


@pytest.mark.parametrize("size", [(2, 40), (40, 2), (1, 1)])
def test_photos_without_a_window_are_left_alone(size):
    masks = two_halves(torch.zeros(size, dtype=torch.bool))
    assert torch.equal(matte_masks(masks, noise(3, *size)), masks)


def test_inputs_are_only_read():
    photo = day(40, 48)
    masks, pixels = photo.masks, photo.pixels
    before = masks.clone(), pixels.clone()
    matte_masks(masks, pixels)
    assert torch.equal(masks, before[0]) and torch.equal(pixels, before[1])


# ---- against the definition


def dense_laplacian(content: Tensor, epsilon: float) -> Tensor:
    """The matting Laplacian (N, N) of a content (3, H, W): the sum of what ridge regression leaves in each window."""
    _, height, width = content.shape
    matrix = torch.zeros(height * width, height * width, dtype=torch.float64)
    number = torch.arange(height * width).view(height, width)
    for y in range(height - 2):
        for x in range(width - 2):
            pixels = number[y : y + 3, x : x + 3].flatten()
            colours = content.flatten(1)[:, pixels].T.double()
            colours = colours - colours.mean(0)
            explained = colours @ torch.linalg.inv(colours.T @ colours + epsilon * torch.eye(3).double()) @ colours.T
            matrix[pixels[:, None], pixels] += torch.eye(9).double() - 1 / 9 - explained
    return matrix


def certain_pixels(masks: Tensor, radius: int) -> Tensor:
    """Pixels (H, W) whose whole neighbourhood belongs to one region, or to none."""
    height, width = masks.shape[1:]
    certain = torch.zeros(height, width, dtype=torch.bool)
    for y in range(height):
        for x in range(width):
            near = masks[:, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].flatten(1)
            certain[y, x] = bool((near == 1).all(1).any() or (near == 0).all())
    return certain


@pytest.mark.parametrize("radius", [2, 3])
@pytest.mark.parametrize("content", ["noise", "an edge", "one colour"])
def test_mattes_solve_the_equations(content, radius, monkeypatch):
    """With steps enough to converge; the equations are solved densely in float64."""
    monkeypatch.setattr(mattes, "_STEPS", 400)
    y, x = grid(14, 18)
    pixels = {
        "noise": noise(3, 14, 18),
        "an edge": torch.where(x >= 9 + y // 4, 0.8, 0.3) + 0.05 * noise(3, 14, 18),
        "one colour": torch.full((3, 14, 18), 0.5),
    }[content]
    masks = two_halves(x < 7)
    pull = torch.diag(certain_pixels(masks, radius).double().flatten() + mattes._PULL)
    matrix = dense_laplacian(pixels, mattes._EPSILON) + pull
    solution = torch.linalg.solve(matrix, pull @ masks.flatten(1).T.double()).T.reshape(2, 14, 18).clamp(0, 1)
    shown = torch.where(solution < 1 / 255, 0, solution)
    expected = (shown / shown.sum(0)).float()
    # The residual of float32 is 1e-7 of values up to 1; the pull of 1e-4 amplifies it a thousandfold at most.
    torch.testing.assert_close(matte_masks(masks, pixels, radius), expected, atol=2e-3, rtol=0)


def test_the_usual_steps_come_near_the_solution(monkeypatch):
    photo = day(120, 160)
    masks = photo.masks.roll(3, 1)
    usual = matte_masks(masks, photo.pixels)
    monkeypatch.setattr(mattes, "_STEPS", 1000)
    converged = matte_masks(masks, photo.pixels)
    assert (usual - converged).abs().mean() < 0.2 * (masks - converged).abs().mean()
