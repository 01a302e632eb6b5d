"""Published methods as settings of transfer(): on small photos and in few steps each does what its paper says."""

from __future__ import annotations

import functools
from itertools import pairwise

import pytest
import torch
from rendered_photos import Rendered, day, dusk
from torch import Tensor
from torch.nn import functional as F

import fastphoto
from fastphoto import ops
from fastphoto.colour.bilateral_grid import BilateralGrid
from fastphoto.encoders.encoder import load_encoder
from fastphoto.encoders.weights import CAFFE_MEAN
from fastphoto.optimisation.losses import PhotorealismLoss, TotalVariationLoss, WideWindowLoss
from fastphoto.optimisation.presets import PRESETS
from fastphoto.optimisation.style_losses import style_loss
from fastphoto.photos.resize import enlarge, resize
from fastphoto.regions.resizing import resize_masks

CONTENT, STYLE = day(64, 80), dusk(72, 64)
BLOCKS = tuple(f"relu{block}_1" for block in range(1, 6))


def made(content: Rendered = CONTENT, style: Rendered = STYLE, masks: bool = False, **settings) -> Tensor:
    """The result, (3, H, W)."""
    both = (content.mask, style.mask) if masks else ()
    return fastphoto.transfer(content.pixels, style.pixels, *both, size=80, **settings)


def seen(image: Tensor, layer: str) -> Tensor:
    """Activations of the embedded encoder."""
    return load_encoder("embedded")(image, (layer,))[layer]


def mean_square(image: Tensor, other: Tensor) -> float:
    return float((image.double() - other.double()).square().mean())


def gram_distance(image: Tensor) -> float:
    """From the style's Gram matrices, relative to their size, sum over all blocks."""
    total = 0.0
    for layer in BLOCKS:
        ours, theirs = (seen(x, layer).double().flatten(1) for x in (image, STYLE.pixels))
        ours, theirs = ours @ ours.T / ours.shape[1], theirs @ theirs.T / theirs.shape[1]
        total += float((ours - theirs).square().sum() / theirs.square().sum())
    return total


def matting_energy(image: Tensor, content: Tensor = CONTENT.pixels, epsilon: float = 1e-7) -> float:
    """How far an image is from local affine colour maps of the content."""
    stencil = ops.matting_laplacian_stencil(content.double().permute(1, 2, 0), epsilon)
    return float(PhotorealismLoss(stencil, 1.0)(image.double()))


# ---- Mahendran and Vedaldi 2015 ----------------------------------------------------------------------------


def test_inversion_is_the_nearer_to_the_photo_the_shallower_the_layer():
    far = [
        mean_square(made(preset="inversion", content_layers=layer, steps=60), CONTENT.pixels) for layer in BLOCKS[:4]
    ]
    assert all(2 * near < next_one for near, next_one in pairwise(far)), far
    assert far[0] < 1e-3 and far[3] < mean_square(STYLE.pixels.mean((1, 2), keepdim=True), CONTENT.pixels)


def test_inversion_has_the_photos_activations_and_not_its_pixels():
    start = made(preset="inversion", steps=0)
    result = made(preset="inversion", steps=60)
    target = seen(CONTENT.pixels, "relu4_1")
    assert mean_square(seen(result, "relu4_1"), target) < 0.05 * mean_square(seen(start, "relu4_1"), target)
    # Without the loss of activations nothing is left that knows the content.
    blind = [made(photo, preset="inversion", content_weight=0, steps=5) for photo in (CONTENT, dusk(64, 80))]
    assert torch.equal(*blind) and not torch.equal(blind[0], start)


def test_inversion_does_not_look_at_the_style():
    others = (STYLE, day(40, 90), dusk(64, 80))
    results = [made(style=style, preset="inversion", steps=5) for style in others]
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize(
    ("power", "weights"), [(1.0, (0.0, 0.1, 3.0)), (2.0, (0.0, 1.0, 100.0)), (3.0, (0.0, 10.0, 1e3))]
)
def test_inversion_with_more_total_variation_varies_less(power, weights):
    variation = [
        float(
            TotalVariationLoss(1.0, power)(
                made(preset="inversion", steps=30, total_variation_weight=weight, total_variation_power=power)
            )
        )
        for weight in weights
    ]
    assert variation[0] > 1.2 * variation[1] > 2.4 * variation[2], variation


# ---- Gatys, Ecker and Bethge 2016 --------------------------------------------------------------------------


def test_gatys_goes_from_style_to_content_with_alpha():
    results = [made(preset="gatys", content_weight=alpha, steps=50) for alpha in (1e-3, 1e-1, 10)]
    target = seen(CONTENT.pixels, "relu4_2")
    style = [gram_distance(result) for result in results]
    content = [mean_square(seen(result, "relu4_2"), target) for result in results]
    assert 1.2 * style[0] < style[1] < style[2] / 1.2, style
    assert content[0] > 1.2 * content[1] > 1.44 * content[2], content
    assert style[0] < 0.2 * gram_distance(CONTENT.pixels)


def test_gatys_photo_starts_from_the_content():
    previews: list[Tensor] = []
    result = made(preset="gatys-photo", steps=20, callback=lambda progress: previews.append(progress.preview()))
    assert torch.equal(previews[0], CONTENT.pixels)
    assert gram_distance(result) < 0.8 * gram_distance(CONTENT.pixels)
    assert matting_energy(result) > 100 * matting_energy(0.8 * CONTENT.pixels + 0.1), (
        "and nothing keeps it a photograph"
    )


def test_gatys_photo_is_the_more_distorted_the_deeper_the_content_layer():
    far = [
        mean_square(made(preset="gatys-photo", content_layers=layer, content_weight=10, steps=40), CONTENT.pixels)
        for layer in BLOCKS[:4]
    ]
    assert all(2 * near < next_one for near, next_one in pairwise(far)), far


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_noise_to_start_from(noise):
    """Of this standard deviation around the mean colour that VGG-19 was trained with, the same for the same seed."""
    start, again, other = (made(preset="gatys", steps=0, noise=noise, seed=seed) for seed in (3, 3, 4))
    mean = torch.tensor(CAFFE_MEAN[::-1])[:, None, None] / 256
    assert float((start - mean).std()) == pytest.approx(noise, rel=0.02)
    torch.testing.assert_close(start.mean((1, 2)), mean.flatten(), atol=noise / 20, rtol=0)
    assert torch.equal(start, again) and not torch.equal(start, other)


def test_result_is_the_image_itself_enlarged_to_the_photo():
    content = day(120, 160)
    settings = {"preset": "gatys-photo", "content_weight": 1e4, "gamut_weight": 1e7}
    assert torch.equal(made(content, steps=0, **settings), enlarge(resize(content.pixels, (60, 80)), (120, 160)))
    last: list[Tensor] = []
    result = made(content, steps=10, callback=lambda progress: last.append(progress.preview()), **settings)
    assert result.shape == content.pixels.shape and last[-1].shape == (3, 60, 80)
    torch.testing.assert_close(result, enlarge(last[-1], (120, 160)), atol=1e-3, rtol=0)
    maps = made(content, steps=10, result="affine", **settings)
    assert matting_energy(maps, content.pixels) < 0.2 * matting_energy(result, content.pixels)


# ---- Luan et al. 2017 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({"preset": "paper", "start": "content", "steps": 25}, (0.0, 1e4, 1e6)),
        ({"preset": "fast", "projection": False, "steps": 12}, (0.0, 0.005, 0.05, 0.5)),
    ],
    ids=["paper", "fast"],
)
def test_photorealism_weight_keeps_the_image_a_photograph(settings, weights):
    energy = [matting_energy(made(photorealism_weight=weight, result="image", **settings)) for weight in weights]
    assert all(more > 1.2 * less for more, less in pairwise(energy)), energy
    assert energy[0] > 20 * energy[-1]


def test_wide_windows_keep_to_colour_maps_of_wide_windows():
    settings = {"preset": "fast", "projection": False, "steps": 12, "result": "image", "photorealism_radius": 2}
    wide = WideWindowLoss(CONTENT.pixels.double(), 2, 1e-6, 1.0)
    energy = [float(wide(made(photorealism_weight=weight, **settings).double())) for weight in (0.0, 0.005, 0.05, 0.5)]
    assert all(more > 1.2 * less for more, less in pairwise(energy)), energy
    # At the same weight, windows of 3x3 pixels leave more of what wide ones would see.
    small = made(photorealism_weight=0.05, **(settings | {"photorealism_radius": 1}))
    assert float(wide(small.double())) > 1.2 * energy[2]


# ---- Li and Wand 2016 --------------------------------------------------------------------------------------


def patch_distance(image: Tensor, layer: str) -> float:
    """Mean distance of an image's 3x3 patches of activations from the nearest of the style's."""
    ours, theirs = (F.unfold(seen(x, layer)[None].double(), 3)[0].T for x in (image, STYLE.pixels))
    return float(torch.cdist(ours, theirs).min(1)[0].mean())


def test_cnnmrf_is_made_of_the_styles_patches():
    result = made(preset="cnnmrf", steps=30)
    bare = made(preset="cnnmrf", steps=30, content_weight=0)
    for layer in PRESETS["cnnmrf"].style_layers:
        before, after, most = (patch_distance(image, layer) for image in (CONTENT.pixels, result, bare))
        assert most < after < 0.8 * before, layer
    target = seen(CONTENT.pixels, "relu4_2")
    assert mean_square(seen(result, "relu4_2"), target) < mean_square(seen(bare, "relu4_2"), target)


# ---- other statistics, unknowns and solvers ----------------------------------------------------------------


def distance(statistic: str, image: Tensor, layer: str) -> float:
    """Of an image from the style in one statistic of the same regions, relative to its size; by what
    test_style_losses.py compares with definitions."""
    features, style = seen(image, layer), seen(STYLE.pixels, layer)
    masks, style_masks = (
        resize_masks(photo.regions, tuple(f.shape[1:])) for photo, f in ((CONTENT, features), (STYLE, style))
    )
    return float(style_loss(style, masks, style_masks, statistic)(features))


@functools.cache
def in_the_style_of(statistic: str) -> Tensor:
    return made(
        masks=True,
        preset="gatys-photo",
        normalisation="relative",
        content_weight=1e-3,
        gamut_weight=1.0,
        style_weights=1.0,
        style_statistic=statistic,
        steps=20,
    )


@pytest.mark.parametrize("statistic", ["gram", "moments", "wasserstein", "histogram", "patches"])
def test_statistic_is_brought_to_the_styles_region_by_region(statistic):
    result = in_the_style_of(statistic)
    for layer in BLOCKS[:4]:
        assert distance(statistic, result, layer) < 0.6 * distance(statistic, CONTENT.pixels, layer), layer
    # Sky to sky and land to land: the colours follow.
    wanted, before, after = STYLE.mean_colours(), CONTENT.mean_colours(), CONTENT.mean_colours(result)
    assert ((after - wanted).norm(dim=1) < 0.5 * (before - wanted).norm(dim=1)).all()


def explained_by_a_grid(content: Tensor, image: Tensor) -> float:
    """RMS of what is left of an image after the nearest one that a bilateral grid of the content can make."""
    grid = BilateralGrid(content.double())
    cells = grid.shape[1] * grid.shape[2] * grid.shape[3]
    unit = torch.eye(cells).view(cells, *grid.shape[1:]).double()
    shares = grid._sliced(unit).flatten(1)  # (cells, pixels)
    colours = torch.cat([content, torch.ones_like(content[:1])]).double().flatten(1)
    basis = (shares[:, None] * colours).flatten(0, 1).T  # (pixels, 4 cells)
    values = image.double().flatten(1).T
    found = torch.linalg.lstsq(basis, values, driver="gelsd").solution
    return float((basis @ found - values).square().mean().sqrt())


def test_bilateral_grid_makes_images_of_a_grid_and_lowers_the_style_loss():
    content = day(32, 48)
    settings = {"preset": "fast", "photorealism_weight": 0, "projection": False, "result": "image", "gamut_weight": 1e4}
    settings |= {"steps": 10, "scales": 1.0, "start": "content"}
    losses: list[float] = []
    of_grid = fastphoto.transfer(
        content.pixels,
        STYLE.pixels,
        unknowns="bilateral_grid",
        callback=lambda progress: losses.append(progress.losses["style"]),
        **settings,
    )
    of_pixels = fastphoto.transfer(content.pixels, STYLE.pixels, **settings)
    assert min(losses) < 0.7 * losses[0]
    assert float(of_grid.min()) > 0 and float(of_grid.max()) < 1, "clamping would hide that it is of the grid"
    assert explained_by_a_grid(content.pixels, of_grid) < 1e-5
    assert explained_by_a_grid(content.pixels, of_pixels) > 1e-2


@pytest.mark.parametrize("solver", ["lbfgs", "adam", "gradient"])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_lowers_its_loss_with_every_solver(preset, solver):
    """At every scale of every stage."""
    totals: dict[tuple, list[float]] = {}

    def watch(progress) -> None:
        totals.setdefault((progress.stage, progress.scale), []).append(sum(progress.losses.values()))

    # The content is where its own content loss has no slope, so that a first step says nothing of how steep it gets.
    change = 0.0002 if preset == "gatys-photo" else 0.005
    result = made(preset=preset, solver=solver, steps=6, callback=watch, first_change=change, learning_rate=change)
    assert result.shape == CONTENT.pixels.shape and torch.isfinite(result).all()
    chosen = PRESETS[preset]
    assert len(totals) >= len(chosen.stages)
    assert sum(map(len, totals.values())) == 6 * len(chosen.stages) * len(chosen.scales)
    for values in totals.values():
        assert min(values[1:]) < 0.9995 * values[0]
