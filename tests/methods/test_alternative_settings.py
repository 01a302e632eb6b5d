"""Settings that no paper's preset has: other style statistics, windows, unknowns and solvers do what they are for."""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor
from watched_steps import steps_alone

import fastphoto
from fastphoto.colour.bilateral_grid import BilateralGrid
from fastphoto.encoders.encoder import load_encoder
from fastphoto.optimisation.losses import WideWindowLoss
from fastphoto.optimisation.presets import PRESETS
from fastphoto.optimisation.progress import Progress
from fastphoto.optimisation.settings import Solver
from fastphoto.optimisation.style_losses import Statistic, style_loss
from fastphoto.regions.resizing import resize_masks

CONTENT, STYLE = day(64, 80), dusk(72, 64)


def transferred(**settings: Any) -> Tensor:
    """The result, (3, H, W), of the pair without masks."""
    return fastphoto.transfer(CONTENT.pixels, STYLE.pixels, size=80, **settings)


# ---- style statistics ----------------------------------------------------------------------------------------


def activations(image: Tensor, layer: str) -> Tensor:
    """What the embedded encoder makes of an image in one layer."""
    return load_encoder("embedded")(image, (layer,))[layer]


def distance(statistic: str, image: Tensor, layer: str) -> float:
    """Distance of an image from the style in one statistic of the same regions, relative to the style's.

    It is measured by the losses that tests/optimisation/test_style_losses.py compares with their definitions.
    """
    features, style = activations(image, layer), activations(STYLE.pixels, layer)
    masks, style_masks = (
        resize_masks(photo.masks, tuple(f.shape[1:])) for photo, f in ((CONTENT, features), (STYLE, style))
    )
    return float(style_loss(style, masks, style_masks, statistic)(features))


@functools.cache
def in_the_style_of(statistic: str) -> Tensor:
    return fastphoto.transfer(
        CONTENT.pixels,
        STYLE.pixels,
        CONTENT.mask_picture,
        STYLE.mask_picture,
        size=80,
        preset="gatys-photo",
        normalisation="relative",
        content_weight=1e-3,
        gamut_weight=1.0,
        style_weights=1.0,
        style_statistic=statistic,
        steps=20,
    )


@pytest.mark.parametrize("statistic", get_args(Statistic))
def test_statistic_is_brought_to_the_styles_region_by_region(statistic):
    result = in_the_style_of(statistic)
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1"):
        assert distance(statistic, result, layer) < 0.6 * distance(statistic, CONTENT.pixels, layer), layer
    # Sky to sky and land to land: the colours follow.
    expected, before, after = STYLE.mean_colours(), CONTENT.mean_colours(), CONTENT.mean_colours(result)
    assert ((after - expected).norm(dim=1) < 0.5 * (before - expected).norm(dim=1)).all()


# ---- windows of the matting Laplacian ------------------------------------------------------------------------


def test_wide_windows_keep_to_colour_maps_of_wide_windows():
    settings = {"preset": "painterly", "projection": False, "steps": 12, "result": "image", "photorealism_radius": 2}
    wide = WideWindowLoss(CONTENT.pixels.double(), 2, 1e-6, 1.0)
    energy = [
        float(wide(transferred(photorealism_weight=weight, **settings).double())) for weight in (0.0, 0.005, 0.05, 0.5)
    ]
    assert all(more > 1.2 * less for more, less in pairwise(energy)), energy
    # At the same weight, windows of 3x3 pixels leave more of what wide ones would see.
    small = transferred(photorealism_weight=0.05, **(settings | {"photorealism_radius": 1}))
    assert float(wide(small.double())) > 1.2 * energy[2]


# ---- unknowns ------------------------------------------------------------------------------------------------


def left_by_a_grid(content: Tensor, image: Tensor) -> float:
    """RMS of what is left of an image after the nearest one that a bilateral grid of the content can make."""
    grid = BilateralGrid(content.double())
    cells = grid.shape[1] * grid.shape[2] * grid.shape[3]
    basis = []
    for column in range(4):  # of the red channel's map: the factors of red, green and blue, and the offset
        for cell in range(cells):
            unit = torch.zeros(grid.shape, dtype=torch.float64)
            unit[column].view(-1)[cell] = 1
            basis.append(grid(unit)[0].flatten())
    images = torch.stack(basis, 1)  # (pixels, 4 cells)
    values = image.double().flatten(1).T
    nearest = torch.linalg.lstsq(images, values, driver="gelsd").solution
    return float((images @ nearest - values).square().mean().sqrt())


def test_bilateral_grid_makes_images_of_a_grid_and_lowers_the_style_loss():
    content = day(32, 48)
    settings = {"preset": "painterly", "photorealism_weight": 0, "projection": False, "gamut_weight": 1e4}
    settings |= {"result": "image", "steps": 10, "scales": 1.0, "start": "content"}
    losses: list[float] = []
    of_grid = fastphoto.transfer(
        content.pixels,
        STYLE.pixels,
        unknowns="bilateral_grid",
        callback=steps_alone(lambda progress: losses.append(progress.losses["style"])),
        **settings,
    )
    of_pixels = fastphoto.transfer(content.pixels, STYLE.pixels, **settings)
    assert min(losses) < 0.7 * losses[0]
    assert float(of_grid.min()) > 0 and float(of_grid.max()) < 1, "the example is clamped, which no grid can make"
    assert left_by_a_grid(content.pixels, of_grid) < 1e-5
    assert left_by_a_grid(content.pixels, of_pixels) > 1e-2


# ---- solvers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", get_args(Solver))
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_lowers_its_loss_with_every_solver(preset, solver):
    """At every level of every stage."""
    totals: dict[tuple[str, tuple[int, int]], list[float]] = {}

    def watch(progress: Progress) -> None:
        totals.setdefault((progress.stage, progress.scale), []).append(sum(progress.losses.values()))

    # The content is where its own content loss has no slope, so a first step cannot tell how steep it gets; and a
    # recolouring is steeper in the curves of a whole region than in those of a cell.
    small = preset == "gatys-photo" or PRESETS[preset].unknowns == "recolouring"
    change = 0.0002 if small else 0.005
    result = transferred(
        preset=preset, solver=solver, steps=6, callback=steps_alone(watch), first_change=change, learning_rate=change
    )
    assert result.shape == CONTENT.pixels.shape
    assert torch.isfinite(result).all()
    chosen = PRESETS[preset]
    assert len(totals) >= len(chosen.stages)
    assert sum(map(len, totals.values())) == 6 * len(chosen.stages) * len(chosen.scales)
    for values in totals.values():
        assert min(values[1:]) < 0.9995 * values[0]
