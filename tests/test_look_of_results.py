"""The look of results: the style's colours region by region, the content's edges, and nothing broken."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from locations import SHARED
from rendered_photos import Rendered, day, dusk
from torch import Tensor
from watched_steps import steps_alone

import fastphoto
from fastphoto import FastPhotoWarning
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import resize
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import resize_masks

SHORT = {"size": 48, "scales": (0.5, 1.0)}


def similarity(a: Tensor, b: Tensor) -> float:
    """The structure part of SSIM: correlation of luminance in 7 x 7 windows, mean over windows with contrast in b."""
    grey = [pixels.mean(0)[None, None].double() for pixels in (a, b)]

    def mean(x: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(x, 7, 1)

    first, second = (x - x.mean() for x in grey)
    covariance = mean(first * second) - mean(first) * mean(second)
    variance = [(mean(x * x) - mean(x) ** 2).clamp_min(0) for x in (first, second)]
    structure = (covariance + 1e-5) / ((variance[0] * variance[1]).sqrt() + 1e-5)
    return float(structure[variance[1] > 1e-4].mean())


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@pytest.mark.parametrize("preset", ["fast", "painterly"])
def test_result_has_the_styles_colours_and_the_contents_edges(preset, solver):
    content, style = day(96, 96), dusk(80, 96)
    result = fastphoto.transfer(
        content.pixels, style.pixels, content.mask_picture, style.mask_picture, size=96, preset=preset, solver=solver,
        scales=(0.5, 1.0), steps=(30, 10),
    )  # fmt: skip
    expected, before = style.mean_colours(), content.mean_colours()
    after = content.mean_colours(result)
    for r in (0, 1):
        assert (after[r] - expected[r]).norm() < 0.35 * (before[r] - expected[r]).norm()
    assert similarity(result, content.pixels) > 0.8
    assert similarity(dusk(96, 96).pixels, content.pixels) < 0.5, (
        "the measure does not tell another photo from the content"
    )


@pytest.mark.parametrize(("preset", "scales", "steps"), [("fast", (1.0,), (80,)), ("painterly", (0.5, 1.0), (20, 10))])
def test_losses_fall_below_those_of_the_start(preset, scales, steps):
    totals: dict[tuple[int, int], list[float]] = {}

    def watch(progress: fastphoto.Progress) -> None:
        totals.setdefault(progress.scale, []).append(sum(progress.losses.values()))

    content, style = day(), dusk()
    masks = content.mask_picture, style.mask_picture
    settings = {"preset": preset, "scales": scales, "steps": steps}
    fastphoto.transfer(content.pixels, style.pixels, *masks, size=48, callback=steps_alone(watch), **settings)
    assert len(totals) == len(scales)
    for scale, values in totals.items():
        assert min(values) < 0.9 * values[0], scale


@pytest.mark.parametrize(
    "photo",
    [
        pytest.param(torch.full((3, 40, 48), 0.5), id="grey"),
        pytest.param(torch.zeros(3, 40, 48), id="black"),
        pytest.param(torch.ones(3, 16, 16), id="white, smallest"),
        pytest.param(torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(1)).round(), id="noise"),
    ],
)
def test_difficult_photos_give_finite_results_in_range(photo):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastPhotoWarning)
        for content, style in ((photo, dusk().pixels), (day().pixels, photo), (photo, photo)):
            result = fastphoto.transfer(content, style, steps=(4, 2), **SHORT)
            assert result.shape == content.shape and torch.isfinite(result).all()
            assert result.min() >= 0 and result.max() <= 1


def test_content_that_is_its_own_style_hardly_changes():
    photo = day()
    result = fastphoto.transfer(
        photo.pixels, photo.pixels, photo.mask_picture, photo.mask_picture, steps=(10, 5), **SHORT
    )
    assert (result - photo.pixels).abs().mean() < 0.03
    assert similarity(result, photo.pixels) > 0.9


def pair_of_photos(folder: Path, side: int) -> list[Rendered]:
    """Content and style of a published pair, small, with the regions that both have."""
    photos = []
    for role in ("content", "style"):
        photo = read_photo(folder / f"{role}.png", role)
        size = tuple(round(n * side / max(photo.size)) for n in photo.size)
        regions = read_masks(folder / f"{role}_mask.png", photo.size, role)
        photos.append((resize(photo.pixels, size), regions.names, resize_masks(regions.masks, size)))
    shared = [name for name in photos[0][1] if name in photos[1][1]][:2]
    return [
        Rendered(pixels, torch.stack([masks[names.index(n)] for n in shared]).argmax(0).numpy())
        for pixels, names, masks in photos
    ]


def test_a_published_pair_has_the_styles_colours_and_the_contents_edges():
    pair, weights = SHARED / "pairs" / "3", SHARED / "weights" / "vgg19_16x.safetensors"
    if not (pair.is_dir() and weights.is_file()):
        pytest.skip("needs a published pair of photos and vgg19-16x, which are not part of the project")
    content, style = pair_of_photos(pair, 96)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastPhotoWarning)
        result = fastphoto.transfer(
            content.pixels,
            style.pixels,
            content.mask_picture,
            style.mask_picture,
            size=96,
            encoder="vgg19-16x",
            weights=weights,
        )
    expected, before, after = style.mean_colours(), content.mean_colours(), content.mean_colours(result)
    assert (after - expected).norm() < 0.5 * (before - expected).norm()
    assert similarity(result, content.pixels) > 0.7
