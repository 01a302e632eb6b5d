"""Where regions come from: arguments checked, regions found for a pair, and as masks of the photos' own sizes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from demo_scenes import DESERT, MOUNTAINS
from rendered_photos import SKY, day, dusk

import fastphoto
from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.photos.read import read_photo
from fastphoto.regions.find import find_regions, region_finder
from fastphoto.regions.pair import PhotoPair, prepare_pair

CONTENT, STYLE = day(120, 160), dusk(140, 120)
CPU = torch.device("cpu")
# Steps amplify the rounding of float32 sums: sums that are wrong by one last digit move a few pixels by 1e-3.
AFTER_FEW_STEPS = {"atol": 5e-3, "rtol": 0}


@pytest.fixture
def pair() -> PhotoPair:
    return prepare_pair(read_photo(CONTENT.pixels), read_photo(STYLE.pixels, "style"), None, None, 160)


# Arguments


@pytest.mark.parametrize("source", ["auto", "none", "semantic"])
def test_regions_are_found_or_given_but_not_both(source):
    with pytest.raises(InputError, match=f'regions: "{source}" takes no masks, but masks are given'):
        region_finder(source, CONTENT.mask_picture, None)
    with pytest.raises(InputError, match=f'regions: "{source}" takes no masks, but masks are given'):
        fastphoto.transfer(CONTENT.pixels, STYLE.pixels, CONTENT.mask_picture, STYLE.mask_picture, regions=source)


def test_unknown_sources_are_refused():
    with pytest.raises(InputError, match="regions: must be one of masks, auto, semantic, none, got 'sky'"):
        region_finder("sky", None, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="regions: must be one of masks, auto, semantic, none, got 'sky'"):
        fastphoto.transfer(CONTENT.pixels, STYLE.pixels, regions="sky")  # type: ignore[arg-type]


def test_a_model_is_for_semantic_regions_only():
    with pytest.raises(InputError, match='segmentation_model: only regions="semantic" uses one'):
        region_finder("auto", None, None, "some/model")
    with pytest.raises(InputError, match='segmentation_model: only regions="semantic" uses one'):
        fastphoto.transfer(CONTENT.pixels, STYLE.pixels, regions="auto", segmentation_model="some/model")


def test_semantic_regions_need_transformers(monkeypatch):
    monkeypatch.setattr("fastphoto.regions.find.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"semantic regions need transformers: pip install fastphoto\[segment\]"):
        region_finder("semantic", None, None)
    with pytest.raises(InputError, match=r"semantic regions need transformers: pip install fastphoto\[segment\]"):
        fastphoto.transfer(CONTENT.pixels, STYLE.pixels, regions="semantic")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"regions": "everything"}, "regions: must be one of", id="source"),
        pytest.param({"device": "tpu"}, "device 'tpu'", id="device"),
        pytest.param({"size": 3}, "size: must be", id="size"),
    ],
)
def test_find_regions_refuses_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        find_regions(CONTENT.pixels, **arguments)


# Regions for a pair


@pytest.mark.parametrize("source", ["masks", "none"])
def test_a_pair_keeps_its_regions_if_none_are_to_be_found(source, pair):
    assert region_finder(source, None, None)(pair, CPU) is pair


def test_the_network_in_the_package_replaces_the_regions():
    pair = prepare_pair(read_photo(MOUNTAINS), read_photo(DESERT, "style"), None, None, 160)
    found = region_finder("auto", None, None)(pair, CPU)
    assert len(found.names) > 1 and found.content is pair.content and found.style is pair.style


def test_regions_found_are_logged_with_their_shares(caplog):
    caplog.set_level("INFO", "fastphoto")
    find_regions(MOUNTAINS, DESERT)
    assert len(caplog.messages) == 1
    assert re.match(r"regions: sky \d\d%, mountains \d\d%, found automatically; `fastphoto", caplog.messages[0])
    caplog.clear()
    find_regions(CONTENT.pixels, STYLE.pixels)
    assert "the whole photo is one" in caplog.messages[0]


def test_the_semantic_network_gets_its_model_and_device(pair, monkeypatch):
    """What the network finds is tested in test_semantic.py."""
    calls = []

    def find_semantic_regions(*arguments):
        calls.append(arguments)
        return replace(pair, names=("sky", "land"), content_masks=CONTENT.masks, style_masks=STYLE.masks)

    monkeypatch.setattr("fastphoto.regions.semantic.find_semantic_regions", find_semantic_regions)
    found = region_finder("semantic", None, None, "folder/of/model")(pair, CPU)
    assert calls == [(pair, "folder/of/model", CPU)] and found.names == ("sky", "land")


# Regions as masks of their own


def test_masks_have_the_photos_own_sizes_and_the_same_names():
    content, style = find_regions(MOUNTAINS, DESERT, size=64)
    assert content.names == style.names and len(set(content.names)) == len(content.names) > 1
    assert torch.equal(content.masks.sum(0), torch.ones_like(content.masks[0]))
    assert style.masks.sum(0).max() == 1  # a part of the style may give its look to nothing
    for regions, photo in ((content, MOUNTAINS), (style, DESERT)):
        assert regions.masks.shape == (len(regions.names), *photo.shape[1:])
        assert set(regions.masks.unique().tolist()) == {0.0, 1.0}


def test_a_transfer_with_the_masks_is_that_with_the_source():
    masks = find_regions(MOUNTAINS, DESERT)
    by_masks = fastphoto.transfer(MOUNTAINS, DESERT, *masks, steps=4)
    by_source = fastphoto.transfer(MOUNTAINS, DESERT, regions="auto", steps=4)
    torch.testing.assert_close(by_masks, by_source, **AFTER_FEW_STEPS)
    assert not torch.equal(by_masks, fastphoto.transfer(MOUNTAINS, DESERT, regions="none", steps=4))


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        pytest.param({"steps": 2}, "auto", id="fast"),
        pytest.param({"preset": "recolour"}, "auto", id="recolour"),
        pytest.param({"preset": "painterly", "steps": (2, 0, 0)}, "auto", id="painterly"),
        pytest.param({"preset": "paper", "steps": 2}, "none", id="paper"),
        pytest.param({"preset": "gatys", "steps": 2}, "none", id="gatys"),
    ],
)
def test_without_masks_regions_are_found_for_presets_that_recolour(settings, source):
    photos, options = (MOUNTAINS, DESERT), settings | {"size": 48}
    assert torch.equal(fastphoto.transfer(*photos, **options), fastphoto.transfer(*photos, regions=source, **options))


def test_with_masks_none_are_found(caplog):
    caplog.set_level("INFO", "fastphoto")
    photos, masks = (CONTENT.pixels, STYLE.pixels), (CONTENT.mask_picture, STYLE.mask_picture)
    given = fastphoto.transfer(*photos, *masks, steps=0)
    assert torch.equal(given, fastphoto.transfer(*photos, *masks, regions="masks", steps=0)) and not caplog.messages


def test_one_photo_has_regions_of_its_own():
    content, style = find_regions(MOUNTAINS)
    assert torch.equal(content.masks, style.masks) and len(content.names) > 1


def test_given_masks_are_matched():
    mask = CONTENT.region_map + (np.arange(160) > 80) * (CONTENT.region_map == 1)
    with pytest.warns(FastPhotoWarning, match="the style has no region for 2"):
        content, style = find_regions(CONTENT.pixels, STYLE.pixels, mask, STYLE.region_map, regions="masks")
    assert content.names == style.names == ("0", "1")
    assert torch.equal(content.masks, CONTENT.masks)


def test_given_masks_keep_their_smallest_regions_whatever_the_size():
    """Four pixels of a large photo are less than one at the size at which regions are found."""
    small = CONTENT.region_map.copy()
    small[60:64, 70:74] = 2  # 16 pixels, of which 10 would be a two-thousandth of the photo
    content, _ = find_regions(CONTENT.pixels, content_mask=small, regions="masks", size=40)
    assert content.names == ("0", "1", "2")
    assert torch.equal(content.masks.argmax(0), torch.from_numpy(small).long())


def test_a_mask_of_one_photo_warns_once():
    small = np.ascontiguousarray(CONTENT.mask_picture[::2, ::2])
    with pytest.warns(FastPhotoWarning) as caught:
        find_regions(CONTENT.pixels, content_mask=small, regions="masks")
    assert len(caught) == 1 and "content mask" in str(caught[0].message)


# Alpha


def with_alpha(array: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.concatenate([array, alpha.astype(np.uint8)[..., None]], 2)


def test_what_alpha_hides_belongs_to_no_region():
    alpha = np.full((120, 160), 255)
    alpha[:, :70] = 0
    content, _ = find_regions(with_alpha(CONTENT.array, alpha), STYLE.pixels, size=80)
    assert float(content.masks[:, :, :70].sum()) == 0
    assert torch.equal(content.masks[:, :, 70:].sum(0), torch.ones(120, 90))


def test_half_transparent_photos_have_no_holes():
    content, _ = find_regions(with_alpha(CONTENT.array, np.full((120, 160), 153)), STYLE.pixels, size=64)
    assert torch.equal(content.masks.sum(0), torch.ones(120, 160))


def test_a_region_that_alpha_hides_is_that_of_a_transfer():
    photo = with_alpha(STYLE.array, np.where(STYLE.region_map == 1, 0, 255))
    content, style = find_regions(CONTENT.pixels, photo, CONTENT.mask_picture, STYLE.mask_picture, regions="masks")
    for name, mask in zip((SKY, "green"), STYLE.masks, strict=True):
        assert torch.equal(style.masks[style.names.index(name)], mask), name
    direct = fastphoto.transfer(CONTENT.pixels, photo, CONTENT.mask_picture, STYLE.mask_picture, steps=3)
    by_masks = fastphoto.transfer(CONTENT.pixels, photo, content, style, steps=3)
    torch.testing.assert_close(by_masks, direct, **AFTER_FEW_STEPS)
