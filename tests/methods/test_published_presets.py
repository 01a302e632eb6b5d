"""Presets of published methods: on small photos and in few steps each does what its paper says."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from rendered_photos import Rendered, day, dusk
from torch import Tensor
from torch.nn import functional as F
from watched_steps import steps_alone

import fastphoto
from fastphoto import ops
from fastphoto.encoders.encoder import load_encoder
from fastphoto.encoders.weights import CAFFE_MEAN
from fastphoto.optimisation.losses import PhotorealismLoss, TotalVariationLoss
from fastphoto.optimisation.presets import PRESETS
from fastphoto.photos.resize import enlarge, resize

CONTENT, STYLE = day(64, 80), dusk(72, 64)
BLOCKS = tuple(f"relu{block}_1" for block in range(1, 6))


def transferred(content: Rendered = CONTENT, style: Rendered = STYLE, **settings: Any) -> Tensor:
    """The result, (3, H, W), of the pair without masks."""
    return fastphoto.transfer(content.pixels, style.pixels, size=80, **settings)


def activations(image: Tensor, layer: str) -> Tensor:
    """What the embedded encoder makes of an image in one layer."""
    return load_encoder("embedded")(image, (layer,))[layer]


def mean_square(image: Tensor, other: Tensor) -> float:
    return float((image.double() - other.double()).square().mean())


def gram_distance(image: Tensor) -> float:
    """Distance from the style's Gram matrices, relative to their size, summed over all blocks."""
    total = 0.0
    for layer in BLOCKS:
        ours, theirs = (activations(x, layer).double().flatten(1) for x in (image, STYLE.pixels))
        ours, theirs = ours @ ours.T / ours.shape[1], theirs @ theirs.T / theirs.shape[1]
        total += float((ours - theirs).square().sum() / theirs.square().sum())
    return total


def matting_energy(image: Tensor, content: Tensor = CONTENT.pixels, epsilon: float = 1e-7) -> float:
    """Distance of an image from local affine colour maps of the content."""
    stencil = ops.matting_laplacian_stencil(content.double().permute(1, 2, 0), epsilon)
    return float(PhotorealismLoss(stencil, 1.0)(image.double()))


# ---- Mahendran and Vedaldi 2015 ----------------------------------------------------------------------------


def test_inversion_is_the_nearer_to_the_photo_the_shallower_the_layer():
    distances = [
        mean_square(transferred(preset="inversion", content_layers=layer, steps=60), CONTENT.pixels)
        for layer in BLOCKS[:4]
    ]
    assert all(2 * shallow < deep for shallow, deep in pairwise(distances)), distances
    assert distances[0] < 1e-3
    assert distances[3] < mean_square(STYLE.pixels.mean((1, 2), keepdim=True), CONTENT.pixels)


def test_inversion_has_the_photos_activations_and_not_its_pixels():
    start = transferred(preset="inversion", steps=0)
    result = transferred(preset="inversion", steps=60)
    target = activations(CONTENT.pixels, "relu4_1")
    assert mean_square(activations(result, "relu4_1"), target) < 0.05 * mean_square(
        activations(start, "relu4_1"), target
    )


def test_inversion_knows_the_photo_by_its_activations_only():
    start = transferred(preset="inversion", steps=0)
    blind = [transferred(photo, preset="inversion", content_weight=0, steps=5) for photo in (CONTENT, dusk(64, 80))]
    assert torch.equal(*blind)
    assert not torch.equal(blind[0], start)


def test_inversion_does_not_look_at_the_style():
    result = transferred(preset="inversion", steps=5)
    for style in (day(40, 90), dusk(64, 80)):
        assert torch.equal(transferred(style=style, preset="inversion", steps=5), result)


@pytest.mark.parametrize(
    ("power", "weights"),
    [(1.0, (0.0, 0.1, 3.0)), (2.0, (0.0, 1.0, 100.0)), (3.0, (0.0, 10.0, 1e3))],
    ids=["power 1", "power 2", "power 3"],
)
def test_inversion_with_more_total_variation_varies_less(power, weights):
    settings = {"preset": "inversion", "steps": 30, "total_variation_power": power}
    loss = TotalVariationLoss(1.0, power)
    variation = [float(loss(transferred(total_variation_weight=weight, **settings))) for weight in weights]
    assert variation[0] > 1.2 * variation[1] > 2.4 * variation[2], variation


# ---- Gatys, Ecker and Bethge 2016 --------------------------------------------------------------------------


def test_gatys_goes_from_style_to_content_with_alpha():
    results = [transferred(preset="gatys", content_weight=alpha, steps=50) for alpha in (0.1, 1.0, 10.0)]
    target = activations(CONTENT.pixels, "relu4_2")
    style = [gram_distance(result) for result in results]
    content = [mean_square(activations(result, "relu4_2"), target) for result in results]
    assert 1.2 * style[0] < style[1] < style[2] / 1.2, style
    assert content[0] > 1.2 * content[1] > 1.44 * content[2], content
    assert style[0] < 0.2 * gram_distance(CONTENT.pixels)


def test_gatys_photo_starts_from_the_content():
    previews: list[Tensor] = []
    result = transferred(
        preset="gatys-photo", steps=20, callback=steps_alone(lambda progress: previews.append(progress.preview()))
    )
    assert torch.equal(previews[0], CONTENT.pixels)
    assert gram_distance(result) < 0.8 * gram_distance(CONTENT.pixels)
    affine = 0.8 * CONTENT.pixels + 0.1
    assert matting_energy(result) > 100 * matting_energy(affine), "something keeps it a photograph"


def test_gatys_photo_is_the_more_distorted_the_deeper_the_content_layer():
    settings = {"preset": "gatys-photo", "content_weight": 10, "steps": 40}
    distances = [mean_square(transferred(content_layers=layer, **settings), CONTENT.pixels) for layer in BLOCKS[:4]]
    assert all(2 * shallow < deep for shallow, deep in pairwise(distances)), distances


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_gatys_starts_from_noise_around_the_mean_colour_of_vgg19(noise):
    start = transferred(preset="gatys", steps=0, noise=noise, seed=3)
    mean = torch.tensor(CAFFE_MEAN[::-1])[:, None, None] / 256
    assert float((start - mean).std()) == pytest.approx(noise, rel=0.02)
    torch.testing.assert_close(start.mean((1, 2)), mean.flatten(), atol=noise / 20, rtol=0)


def test_the_seed_decides_the_noise():
    start, again, other = (transferred(preset="gatys", steps=0, noise=0.1, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(start, again), "the same call gave other bits"
    assert not torch.equal(start, other)


def test_gatys_photo_without_a_step_is_the_content_shrunk_and_enlarged():
    content = day(120, 160)
    expected = enlarge(resize(content.pixels, (60, 80)), (120, 160))
    torch.testing.assert_close(transferred(content, preset="gatys-photo", steps=0), expected, rtol=0, atol=1e-6)


def test_gatys_photo_gives_the_image_itself_enlarged_to_the_photo():
    content = day(120, 160)
    settings = {"preset": "gatys-photo", "content_weight": 1e4, "gamut_weight": 1e7}
    last: list[Tensor] = []
    result = transferred(
        content, steps=10, callback=steps_alone(lambda progress: last.append(progress.preview())), **settings
    )
    assert result.shape == content.pixels.shape
    assert last[-1].shape == (3, 60, 80)
    torch.testing.assert_close(result, enlarge(last[-1], (120, 160)), atol=1e-3, rtol=0)
    maps = transferred(content, steps=10, result="affine", **settings)
    assert matting_energy(maps, content.pixels) < 0.2 * matting_energy(result, content.pixels)


# ---- Luan et al. 2017 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({"preset": "paper", "start": "content", "steps": 25}, (0.0, 1e4, 1e6)),
        ({"preset": "painterly", "projection": False, "steps": 12}, (0.0, 0.005, 0.05, 0.5)),
    ],
    ids=["paper", "painterly"],
)
def test_photorealism_weight_keeps_the_image_a_photograph(settings, weights):
    energy = [matting_energy(transferred(photorealism_weight=weight, result="image", **settings)) for weight in weights]
    assert all(more > 1.2 * less for more, less in pairwise(energy)), energy
    assert energy[0] > 20 * energy[-1]


# ---- Li and Wand 2016 --------------------------------------------------------------------------------------


def patch_distance(image: Tensor, layer: str) -> float:
    """Mean distance of an image's 3x3 patches of activations from the nearest of the style's."""
    ours, theirs = (F.unfold(activations(x, layer)[None].double(), 3)[0].T for x in (image, STYLE.pixels))
    return float(torch.cdist(ours, theirs).min(1)[0].mean())


def test_cnnmrf_is_made_of_the_styles_patches():
    result = transferred(preset="cnnmrf", steps=30)
    bare = transferred(preset="cnnmrf", steps=30, content_weight=0)
    for layer in PRESETS["cnnmrf"].style_layers:
        before, after, most = (patch_distance(image, layer) for image in (CONTENT.pixels, result, bare))
        assert most < after < 0.8 * before, layer
    target = activations(CONTENT.pixels, "relu4_2")
    assert mean_square(activations(result, "relu4_2"), target) < mean_square(activations(bare, "relu4_2"), target)
