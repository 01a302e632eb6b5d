"""Content and style prepared as a pair: sizes, regions matched by name, alpha, and inference mode."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from rendered_photos import LAND, SKY, Rendered, day, dusk
from torch import Tensor

from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.methods.registry import METHODS, apply_method
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions.masks import MaskSource
from fastphoto.regions.matching import Orphans
from fastphoto.regions.pair import PhotoPair, prepare_pair, warn_of_one_colour


def photo(rendered: Rendered, alpha: Tensor | None = None) -> Photo:
    return replace(read_photo(rendered.array), alpha=alpha)


def prepared(
    content: Rendered | Photo,
    style: Rendered | Photo,
    masks: tuple[MaskSource, MaskSource] = (None, None),
    size: int = 700,
    orphans: Orphans = "merge",
) -> PhotoPair:
    photos = [each if isinstance(each, Photo) else photo(each) for each in (content, style)]
    return prepare_pair(photos[0], photos[1], *masks, size, orphans)


def block_means(x: Tensor) -> Tensor:
    """(R, H, W) at half the size, each pixel the mean of four."""
    height, width = x.shape[1:]
    return x.reshape(-1, height // 2, 2, width // 2, 2).mean((2, 4))


# Sizes


@pytest.mark.parametrize(
    ("size", "content", "style"),
    [
        (32, (24, 32), (32, 27)),
        (50, (38, 50), (50, 43)),
        (60, (45, 60), (56, 48)),
        (np.int64(64), (48, 64), (56, 48)),
        (1000, (48, 64), (56, 48)),
    ],
    ids=["32", "50", "60", "np.int64(64)", "1000"],
)
def test_photos_are_shrunk_to_a_long_side_and_never_enlarged(size, content, style):
    pair = prepared(day(), dusk(), (day().mask_picture, dusk().mask_picture), size)
    assert pair.content.shape == (3, *content) and pair.style.shape == (3, *style)
    assert pair.content_masks.shape == (2, *content) and pair.style_masks.shape == (2, *style)
    for name in ("content", "style", "content_masks", "style_masks"):
        values = getattr(pair, name)
        assert values.dtype == torch.float32 and values.min() >= 0 and values.max() <= 1 + 1e-6


def test_photos_that_are_small_enough_stay_as_they_are():
    pair = prepared(day(), dusk(), (day().mask_picture, dusk().mask_picture), 64)
    assert torch.equal(pair.content, photo(day()).pixels) and torch.equal(pair.style, photo(dusk()).pixels)
    order = [(SKY, LAND).index(name) for name in pair.names]
    assert torch.equal(pair.content_masks, day().masks[order])
    assert torch.equal(pair.style_masks, dusk().masks[order])


def test_shrunk_photos_show_the_same():
    pair = prepared(day(), dusk(80, 64), size=32)
    for small, whole in ((pair.content, day().pixels), (pair.style[:, :, 1:], dusk(80, 64).pixels)):
        expected = torch.nn.functional.adaptive_avg_pool2d(whole, tuple(small.shape[1:]))
        assert (small - expected).abs().mean() < 0.03 < (small.flip(1) - expected).abs().mean()


@pytest.mark.parametrize("size", [15, 0, -40, 40.0, True, None, "40", float("nan")])
def test_unusable_sizes_are_refused(size):
    with pytest.raises(InputError, match=r"^size: must be a whole number of 16 pixels or more, got "):
        prepared(day(), dusk(), size=size)


def test_photos_too_narrow_for_a_size_are_refused_with_the_size_that_they_need():
    narrow = replace(photo(day(20, 90)), name="narrow.png")
    with pytest.raises(InputError, match=r"^narrow\.png: at size 60, 90x20 pixels shrink to 60x13, .* at least 72$"):
        prepared(narrow, dusk(), size=60)
    with pytest.raises(InputError, match=r"^narrow\.png: "):
        prepared(dusk(), narrow, size=60)
    assert prepared(narrow, dusk(), size=72).content.shape == (3, 16, 72)


# Regions


def test_regions_are_paired_by_name_whatever_their_order():
    content, style = day(), dusk()
    content_mask = {"sky": content.masks[0].numpy(), "land": content.masks[1].numpy()}
    style_mask = {"land": style.masks[1].numpy(), "sky": style.masks[0].numpy()}
    pair = prepared(content, style, (content_mask, style_mask))
    assert pair.names == ("sky", "land") and pair.orphans == ()
    assert torch.equal(pair.content_masks, content.masks) and torch.equal(pair.style_masks, style.masks)


def test_soft_masks_are_shrunk_to_means_over_areas():
    random = np.random.default_rng(1)
    content, style = random.random((2, 48, 64), np.float32), random.random((2, 64, 40), np.float32)
    masks = {"a": content[0], "b": content[1]}, {"b": style[0], "a": style[1]}
    pair = prepared(day(), dusk(64, 40), masks, 32)
    assert torch.allclose(pair.content_masks, block_means(torch.from_numpy(content)), atol=1e-6)
    assert torch.allclose(pair.style_masks, block_means(torch.from_numpy(style)).flip(0), atol=1e-6)


def test_without_masks_the_whole_photo_is_one_region():
    pair = prepared(day(), dusk(), size=32)
    assert pair.names == ("all",)
    assert torch.equal(pair.content_masks, torch.ones(1, 24, 32))
    assert torch.equal(pair.style_masks, torch.ones(1, 32, 27))


HOUSE = torch.zeros(48, 64)
HOUSE[30:40, 20:40] = 1


def pair_with_a_house_in_the_content(orphans: Orphans) -> PhotoPair:
    sky, land = day().masks * (1 - HOUSE)
    masks = {"house": HOUSE, "sky": sky, "land": land}, {"sky": dusk().masks[0], "land": dusk().masks[1]}
    with pytest.warns(FastPhotoWarning, match=r"no region for house \(6\.5%\)"):
        return prepared(day(), dusk(), masks, orphans=orphans)


@pytest.mark.parametrize(("orphans", "house_in_land"), [("merge", True), ("drop", False)])
def test_an_orphan_is_merged_or_dropped(orphans, house_in_land):
    pair = pair_with_a_house_in_the_content(orphans)
    assert pair.names == ("sky", "land") and pair.orphans == ()
    sky, land = day().masks * (1 - HOUSE)
    assert torch.equal(pair.content_masks, torch.stack([sky, land + HOUSE * house_in_land]))
    assert torch.equal(pair.style_masks, dusk().masks)


def test_an_orphan_takes_the_whole_style():
    pair = pair_with_a_house_in_the_content("global")
    assert pair.names == ("house", "sky", "land") and pair.orphans == ("house",)
    assert torch.equal(pair.content_masks, torch.stack([HOUSE, *day().masks * (1 - HOUSE)]))
    assert torch.equal(pair.style_masks, torch.stack([torch.ones(56, 48), *dusk().masks]))


@pytest.mark.parametrize(
    ("masks", "orphans", "message"),
    [
        pytest.param(
            (day().mask_picture, dusk().mask_picture[:, :30]),
            "merge",
            "style mask: 30x56 pixels do not fit the photo's 48x56$",
            id="another aspect",
        ),
        pytest.param((dusk().mask_picture, day().mask_picture), "merge", "content mask: .* swapped", id="swapped"),
        pytest.param(
            (day().mask_picture, None),
            "merge",
            "style mask: missing, but the content has one; give both or neither",
            id="content only",
        ),
        pytest.param(
            (None, dusk().mask_picture),
            "merge",
            "content mask: missing, but the style has one; give both or neither",
            id="style only",
        ),
        pytest.param((day().mask_picture, dusk().masks[:1]), "error", "style mask: no region for ", id="orphan"),
        pytest.param(
            (day().mask_picture, dusk().mask_picture), "keep", "orphans: got 'keep'; give merge, ", id="orphans"
        ),
    ],
)
def test_unusable_masks_are_refused(masks, orphans, message):
    with pytest.raises(InputError, match=f"^{message}"):
        prepared(day(), dusk(), masks, orphans=orphans)


# Alpha


def blocky(height: int, width: int, seed: int) -> Tensor:
    """(height, width) of random values, the same for two by two pixels."""
    values = torch.rand(height // 2, width // 2, generator=torch.Generator().manual_seed(seed))
    return values.repeat_interleave(2, 0).repeat_interleave(2, 1)


@pytest.mark.parametrize(("size", "step"), [(64, 1), (32, 2)], ids=["full size", "half size"])
def test_masks_are_multiplied_by_alpha(size, step):
    """Masks and alpha are flat on blocks, so that shrinking changes neither."""
    content, style = (torch.stack([blocky(48, 64, seed), blocky(48, 64, seed + 1)]) for seed in (1, 3))
    alpha, style_alpha = blocky(48, 64, 5), (blocky(48, 64, 6) > 0.5).float()
    pair = prepared(photo(day(), alpha), photo(dusk(48, 64), style_alpha), (content, style), size)
    assert torch.allclose(pair.content_masks, (content * alpha)[:, ::step, ::step], atol=1e-6)
    assert torch.allclose(pair.style_masks, (style * style_alpha)[:, ::step, ::step], atol=1e-6)


@pytest.mark.parametrize(("size", "step"), [(64, 1), (32, 2)], ids=["full size", "half size"])
def test_without_masks_the_region_is_alpha(size, step):
    alpha = blocky(48, 64, 5)
    pair = prepared(photo(day(), alpha), dusk(48, 64), size=size)
    assert torch.allclose(pair.content_masks[0], alpha[::step, ::step], atol=1e-6)
    assert torch.equal(pair.style_masks, torch.ones_like(pair.style_masks))
    assert torch.allclose(pair.content_alpha, alpha[None, ::step, ::step], atol=1e-6) and pair.style_alpha is None


def test_a_region_that_is_completely_hidden_stays():
    sky, land = dusk().masks
    alpha = land.clone()
    alpha[:, :20] = 0
    pair = prepared(day(), photo(dusk(), alpha), (day().masks, dusk().masks))
    assert torch.equal(pair.style_masks[0], sky) and torch.equal(pair.style_masks[1], land * alpha)
    assert torch.equal(pair.content_masks, day().masks)


# Inference mode


@pytest.mark.parametrize("size", [64, 40])
@pytest.mark.parametrize("preparing", [True, False], ids=["prepared under it", "decoded under it"])
def test_a_pair_made_under_inference_mode_can_be_optimised(size, preparing):
    alpha, masks = blocky(48, 64, 1), (day().mask_picture, dusk().mask_picture)
    with torch.inference_mode():
        photos = photo(day(), alpha * 1.0), photo(dusk())
        with torch.inference_mode(preparing):
            pair = prepared(*photos, masks, size)
    outside = prepared(photo(day(), alpha), photo(dusk()), masks, size)
    for name in ("content", "style", "content_masks", "style_masks"):
        values = getattr(pair, name)
        assert torch.equal(values, getattr(outside, name)), name
        factor = torch.ones(1, requires_grad=True)
        (values * factor).sum().backward()  # saves what multiplies a variable, which inference tensors refuse
        assert float(factor.grad) == pytest.approx(float(values.sum())), name
    quick = replace(METHODS["fastphoto"], settings={"steps": 1})
    assert torch.equal(apply_method(quick, pair), apply_method(quick, outside))


@pytest.mark.parametrize("role", ["content", "style"])
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_a_photo_of_one_colour_is_remarked(role, level):
    flat, photo = read_photo(torch.full((3, 20, 30), level)), read_photo(day().pixels)
    pair = prepare_pair(*((flat, photo) if role == "content" else (photo, flat)), None, None, 64)
    with pytest.warns(FastPhotoWarning, match=f"{role}: one colour throughout") as record:
        warn_of_one_colour(pair)
    assert len(record) == 1


def test_only_the_visible_part_of_a_photo_has_to_be_of_one_colour():
    pixels, alpha = day().pixels.clone(), torch.zeros(1, *day().pixels.shape[1:])
    pixels[:, :8], alpha[:, :8] = 0.3, 1
    hidden = prepare_pair(read_photo(torch.cat([pixels, alpha])), read_photo(day().pixels), None, None, 64)
    with pytest.warns(FastPhotoWarning, match="content: one colour"):
        warn_of_one_colour(hidden)


def test_a_faint_gradient_is_not_one_colour():
    gradient = torch.linspace(0.5, 0.52, 40).expand(3, 30, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_one_colour(prepare_pair(read_photo(gradient), read_photo(day().pixels), None, None, 64))
