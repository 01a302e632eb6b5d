"""Scenes of nearly nothing: the default invents no structure and no blotches of colour in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from flat_photos import flat_photos, lamps
from rendered_photos import day, dusk
from torch import Tensor

import fastphoto
from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.evaluation.content_measures import ContentReference

SCENES = flat_photos()
STYLES = {"day": day().pixels, "dusk": dusk().pixels, "lamps": lamps()}
PAIRS = {
    "one colour": "dusk",
    "black frame": "day",
    "white frame": "lamps",
    "grey card": "day",
    "linear gradient": "lamps",
    "radial gradient": "day",
    "sunset gradient": "day",
    "sky of a JPEG file": "day",
    "noisy wall": "day",
    "film grain": "dusk",
    "fog": "dusk",
    "night with stars": "lamps",
    "product on white": "day",
    "page of text": "lamps",
    "two flat colours": "dusk",
}
pytestmark = pytest.mark.usefixtures("one_thread")

INVENTED = 0.05  # delta E: a tenth of what the measure takes for visible
BLOTCH = 1.5  # delta E: two such greens side by side are just told apart


def lab(image: Tensor) -> np.ndarray:
    return srgb_to_lab(image.double().numpy())


def invented(content: Tensor, image: Tensor) -> float:
    return ContentReference(content.double().numpy()).invented(lab(image))


def structure(planes: np.ndarray, sigma: float) -> np.ndarray:
    """Local root mean square (H, W) of planes (K, H, W) in the band from sigma to twice that."""
    fine, coarse = (scipy.ndimage.gaussian_filter(planes, (0, s, s)) for s in (sigma, 2 * sigma))
    return np.sqrt(scipy.ndimage.gaussian_filter(np.square(fine - coarse).sum(0), 2 * sigma))


def worst_blotch(content: Tensor, start: Tensor, image: Tensor) -> float:
    """Largest structure of chroma beyond half as much again as the start image's, where the content is flat."""
    worst = 0.0
    for sigma in (1, 2, 4, 8):
        flat = structure(lab(content), sigma) < 1
        excess = structure(lab(image)[1:], sigma) - 1.5 * structure(lab(start)[1:], sigma)
        worst = max(worst, float(excess[flat].max(initial=0)))
    return worst


def results(scene: str, **settings: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Content, start image and result of a scene with its style."""
    content, style = SCENES[scene], STYLES[PAIRS[scene]]
    return content, fastphoto.transfer(content, style, steps=0), fastphoto.transfer(content, style, **settings)


def test_every_scene_has_a_style():
    assert PAIRS.keys() == SCENES.keys() and set(PAIRS.values()) == STYLES.keys()
    assert len(SCENES) >= 10


@pytest.mark.parametrize("scene", PAIRS)
def test_nothing_is_invented_in_a_flat_scene(scene):
    content, start, result = results(scene)
    assert result.shape == content.shape and torch.isfinite(result).all()
    assert invented(content, result) - invented(content, start) <= INVENTED
    assert worst_blotch(content, start, result) <= BLOTCH


def test_free_pixels_invent_in_them():
    """The measures see what a method does that paints."""
    content, start, painted = results(
        "sunset gradient", preset="painterly", photorealism_weight=0, projection=False, result="image"
    )
    assert invented(content, painted) - invented(content, start) > 5 * INVENTED
    assert worst_blotch(content, start, painted) > BLOTCH


def test_blotches_are_seen_and_gradients_are_not():
    content = SCENES["one colour"]
    spot = torch.exp(-((torch.arange(96) - 50) ** 2 + (torch.arange(72)[:, None] - 30) ** 2) / (2 * 6.0**2))
    tint = torch.tensor([0.06, -0.03, 0.0])[:, None, None]
    ramp = torch.linspace(-0.5, 0.5, 96).expand(72, 96)
    assert worst_blotch(content, content, content + tint * spot) > BLOTCH
    assert worst_blotch(content, content, content + tint * ramp) < BLOTCH / 2
    assert worst_blotch(content, content + tint * spot, content + tint * spot) == 0


@pytest.mark.parametrize("size", [128, 700])
def test_an_8_bit_gradient_gets_no_bands(size):
    """Content of 25 levels takes on more contrast; its steps of one level must not become steps of several."""
    rows = torch.linspace(0.4, 0.5, 300)[:, None].expand(300, 400)
    content = ((torch.stack([rows, rows + 0.1, rows + 0.25]) * 255).round() / 255).clone()
    content[:, 260:] = 0.1  # land, so that the sky is not all there is
    result = fastphoto.transfer(content, STYLES["dusk"], size=size)
    sky = (result[:, 8:250, 20:380] * 255).round()
    assert (sky.amax((1, 2)) - sky.amin((1, 2))).max() > 20
    assert sky.diff(dim=1).abs().max() <= 2
