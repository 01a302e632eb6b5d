"""The bilateral grid: slicing against trilinear interpolation in loops, fitting against its normal equations."""

from __future__ import annotations

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.colour.bilateral_grid import BilateralGrid

# Odd sides, one below a cell, and one that cells divide.
SIZES = [(13, 17, 5, 4), (5, 7, 16, 8), (16, 32, 16, 2), (2, 3, 16, 3), (9, 9, 1, 2)]


def random(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def colours(height: int, width: int, seed: int = 0) -> Tensor:
    """Random colours, black and white among them."""
    content = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    content[:, 0, 0], content[:, -1, -1] = 0, 1
    return content


def position(content: Tensor, shape: tuple[int, ...], y: int, x: int) -> list[float]:
    """A pixel's luma, y and x in units of cells; the outermost pixels lie on the outermost cells."""
    _, height, width = content.shape
    red, green, blue = content[:, y, x].tolist()
    fractions = 0.299 * red + 0.587 * green + 0.114 * blue, y / (height - 1), x / (width - 1)
    return [fraction * (cells - 1) for fraction, cells in zip(fractions, shape[1:], strict=True)]


def trilinear_weights(content: Tensor, shape: tuple[int, ...], y: int, x: int) -> dict[tuple[int, int, int], float]:
    """{cell: weight} of the eight cells around a pixel."""
    weights: dict[tuple[int, int, int], float] = {}
    for corner in range(8):
        cell, weight = [], 1.0
        for axis, at in enumerate(position(content, shape, y, x)):
            low = min(int(at), shape[1 + axis] - 2)
            upper = corner >> axis & 1
            cell.append(low + upper)
            weight *= at - low if upper else 1 - (at - low)
        weights[cell[0], cell[1], cell[2]] = weight
    return weights


@pytest.mark.parametrize(("height", "width", "cell", "levels"), SIZES)
def test_slicing_is_trilinear_interpolation(height, width, cell, levels):
    content = colours(height, width)
    grid = BilateralGrid(content, cell, levels)
    assert grid.shape == (12, levels, -(-height // cell) + 1, -(-width // cell) + 1)
    maps = random(*grid.shape)
    expected = torch.zeros(3, height, width).double()
    for y in range(height):
        for x in range(width):
            colour = torch.cat([content[:, y, x], torch.ones(1).double()])
            for (d, i, j), weight in trilinear_weights(content, grid.shape, y, x).items():
                expected[:, y, x] += weight * maps[:, d, i, j].view(3, 4) @ colour
    torch.testing.assert_close(grid(maps), expected, atol=1e-12, rtol=0)


def test_slicing_has_an_exact_gradient():
    grid = BilateralGrid(colours(5, 6), 3, 3)
    assert torch.autograd.gradcheck(grid, random(*grid.shape).requires_grad_())


@pytest.mark.parametrize("ridge", [1e-3, 0.5])
@pytest.mark.parametrize(("height", "width", "cell", "levels"), SIZES)
def test_fit_is_the_least_squares_solution_of_every_cell(height, width, cell, levels, ridge):
    """The gradient of the sum over a cell's pixels of w |M c - v|^2 + ridge |M - 1|^2 is zero."""
    content, image = colours(height, width), random(3, height, width)
    grid = BilateralGrid(content, cell, levels)
    fitted = grid.fit(image, ridge)
    assert fitted.shape == grid.shape
    maps = fitted.reshape(3, 4, *grid.shape[1:])
    slope = ridge * (maps - torch.eye(3, 4).double()[:, :, None, None, None])
    for y in range(height):
        for x in range(width):
            colour = torch.cat([content[:, y, x], torch.ones(1).double()])
            for (d, i, j), weight in trilinear_weights(content, grid.shape, y, x).items():
                missed = maps[:, :, d, i, j] @ colour - image[:, y, x]
                slope[:, :, d, i, j] += weight * missed[:, None] * colour
    assert float(slope.abs().max()) < 1e-9


def test_fit_of_the_content_is_the_identity():
    content = day().pixels
    grid = BilateralGrid(content)
    identity = torch.eye(3, 4).flatten()[:, None, None, None].expand(grid.shape)
    torch.testing.assert_close(grid.fit(content), identity, atol=1e-3, rtol=0)
    torch.testing.assert_close(grid(grid.fit(content)), content, atol=1e-4, rtol=0)


def test_cells_without_pixels_are_the_identity():
    content = 0.1 * colours(20, 24)
    maps = BilateralGrid(content, 8, 8).fit(random(3, 20, 24))
    identity = torch.eye(3, 4).flatten().double()[:, None, None, None]
    assert float((maps[:, 2:] - identity).abs().max()) < 1e-12, "cells above a luma of 1/7 are not the identity"
    assert float((maps[:, :2] - identity).abs().max()) > 0.1


def rms(image: Tensor) -> float:
    return float(image.square().mean().sqrt())


@pytest.mark.parametrize("size", [(48, 64), (17, 31), (6, 9)])
def test_fit_reproduces_a_recolouring_of_the_whole_photo(size):
    content = day().pixels[:, : size[0], : size[1]]
    mix = torch.tensor([[0.8, 0.1, -0.1], [0.0, 1.1, 0.1], [0.2, -0.1, 0.7]])
    image = torch.einsum("oc,chw->ohw", mix, content) + torch.tensor([0.1, -0.05, 0.02])[:, None, None]
    grid = BilateralGrid(content)
    assert rms(image - content) > 0.05 and rms(grid(grid.fit(image)) - image) < 3e-3
    assert rms(grid(grid.fit(image, 1e-6)) - image) < 1e-4, "an error remains without the ridge"


def test_fit_reproduces_maps_that_vary_over_position_and_luma():
    """Affine maps that fade from left to right and from dark to light, unlike any single map."""
    content = day(96, 128).pixels.double()
    across = torch.linspace(0, 1, 128).double()
    luma = 0.299 * content[0] + 0.587 * content[1] + 0.114 * content[2]
    image = content * (0.5 + 0.6 * across) + 0.3 * luma * (1 - across) * torch.tensor([1.0, 0.2, -0.5])[:, None, None]
    flat = torch.cat([content, torch.ones_like(content[:1])]).flatten(1)
    single = torch.linalg.lstsq(flat.T, image.flatten(1).T).solution.T @ flat
    grid = BilateralGrid(content)
    assert rms(grid(grid.fit(image)) - image) < 0.1 * rms(single.view_as(image) - image)


def test_fit_of_another_photo_keeps_the_contents_edges_only():
    """The grid can only recolour the content: it matches the other photo's colours at its own scale, not its edges."""
    content, other = day().pixels, dusk(48, 64).pixels
    grid = BilateralGrid(content)
    made = grid(grid.fit(other))
    assert 0.02 < rms(made - other) < 0.7 * rms(other - other.mean((1, 2), keepdim=True))
    assert rms(made - other) < rms(content - other)


def test_a_fitted_grid_does_not_require_a_gradient():
    grid = BilateralGrid(day().pixels)
    with torch.no_grad():
        assert not grid.fit(dusk(48, 64).pixels).requires_grad


def test_the_grids_tensors_are_buffers():
    """`.to()` and `state_dict()` see them."""
    content = day().pixels
    grid = BilateralGrid(content)
    assert {name for name, _ in grid.named_buffers()} == {"coordinates", "colours"}
    maps = grid.fit(content)
    torch.testing.assert_close(grid.double()(maps.double()).float(), BilateralGrid(content)(maps), atol=1e-5, rtol=0)


def test_maps_of_pixels_make_the_image():
    content = colours(20, 24)
    grid = BilateralGrid(content, 8, 4)
    maps = random(*grid.shape)
    applied = torch.einsum("hwij,jhw->ihw", grid.maps(maps), torch.cat([content, torch.ones_like(content[:1])]))
    torch.testing.assert_close(applied, grid(maps))


def test_cells_without_pixels_continue_their_neighbours():
    """Dark pixels fit the dark levels; the bright ones have none, and borrow: otherwise they stay near the identity."""
    content = colours(40, 40) * 0.4
    grid = BilateralGrid(content, 10, 8)
    image = 0.2 + 0.5 * content
    for borrow, low, high in ((0.0, 0.1, 1.0), (1.0, 0.0, 0.02)):
        maps = grid.fit(image, ridge=1e-6, borrow=borrow)
        bright = BilateralGrid(content + 0.5, 10, 8)
        error = (bright(maps) - (0.2 + 0.5 * (content + 0.5))).abs().max()
        assert low < error < high
