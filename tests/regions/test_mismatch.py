"""Unlikeness of matched regions: none for the same pixels, more for swapped regions, a warning above a limit."""

from __future__ import annotations

import warnings

import pytest
import torch
from locations import SHARED
from rendered_photos import day, dusk
from watched_steps import steps_alone

import fastphoto
from fastphoto.errors import FastPhotoWarning
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions import mismatch
from fastphoto.regions.mismatch import overall_unlikeness, region_unlikeness, warn_of_mismatch
from fastphoto.regions.pair import prepare_pair

PAIRS = SHARED / "pairs"
CONTENT, STYLE = day(120, 160), dusk(140, 120)


def test_the_same_regions_are_alike():
    same = region_unlikeness(CONTENT.pixels, CONTENT.pixels, CONTENT.masks, CONTENT.masks)
    assert same.shape == (2,) and same.abs().max() < 1e-5


def test_swapped_regions_are_less_alike_than_matching_ones():
    matched = region_unlikeness(CONTENT.pixels, STYLE.pixels, CONTENT.masks, STYLE.masks)
    swapped = region_unlikeness(CONTENT.pixels, STYLE.pixels, CONTENT.masks, STYLE.masks.flip(0))
    assert (matched > 0).all() and (matched < 1).all() and swapped.min() > 1.5 * matched.max()


def test_light_and_size_hardly_count():
    photo = read_photo(demo_pairs()[0] / "content.jpg").pixels
    whole = torch.ones(1, *photo.shape[1:])
    dark = float(region_unlikeness(photo, 0.4 * photo, whole, whole))
    small = torch.nn.functional.interpolate(photo[None], scale_factor=0.5, mode="area")[0]
    shrunk = float(region_unlikeness(photo, small, whole, torch.ones(1, *small.shape[1:])))
    assert dark < 0.01 and shrunk < 0.001


def test_a_region_without_pixels_has_no_unlikeness():
    content_masks = torch.cat([CONTENT.masks, torch.zeros(1, 120, 160)])
    style_masks = torch.cat([STYLE.masks, STYLE.masks[:1]])
    assert region_unlikeness(CONTENT.pixels, STYLE.pixels, content_masks, style_masks)[2] == 0


def test_overall_unlikeness_is_the_mean_by_area():
    shares = CONTENT.masks.mean((1, 2))
    expected = float(0.1 * shares[0] + 0.3 * shares[1])
    assert overall_unlikeness(torch.tensor([0.1, 0.3]), CONTENT.masks) == pytest.approx(expected, rel=1e-5)
    assert overall_unlikeness(torch.zeros(1), torch.zeros(1, 4, 4)) == 0


# The warning


def warnings_of(content: Photo, style: Photo) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_mismatch(prepare_pair(content, style, None, None, 350))
    assert all(warning.category is FastPhotoWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_matching_photos_do_not_warn():
    assert warnings_of(read_photo(CONTENT.pixels), read_photo(CONTENT.pixels.flip(2))) == []


def test_photos_above_the_limit_warn_once(monkeypatch):
    monkeypatch.setattr(mismatch, "UNLIKENESS_LIMIT", 1e-4)
    (message,) = warnings_of(read_photo(CONTENT.pixels), read_photo(STYLE.pixels))
    assert message.startswith("the photos hardly show anything alike; choose another style")


def test_a_transfer_with_a_large_network_warns_before_the_work(monkeypatch):
    monkeypatch.setattr(mismatch, "UNLIKENESS_LIMIT", 1e-4)
    monkeypatch.setattr("fastphoto.regions.find.find_spec", lambda name: True)
    monkeypatch.setattr("fastphoto.regions.semantic.find_semantic_regions", lambda pair, model, device: pair)
    events: list[str] = []
    monkeypatch.setattr(mismatch, "warn", events.append)
    fastphoto.transfer(
        CONTENT.pixels,
        STYLE.pixels,
        regions="semantic",
        steps=4,
        callback=steps_alone(lambda _: events.append("step") or True),
    )
    assert len(events) == 2 and "hardly show anything alike" in events[0] and events[1] == "step"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({}, id="auto"),
        pytest.param({"regions": "none"}, id="none"),
        pytest.param({"content_mask": CONTENT.region_map, "style_mask": STYLE.region_map}, id="masks"),
    ],
)
def test_other_regions_do_not_warn(arguments, monkeypatch):
    monkeypatch.setattr(mismatch, "UNLIKENESS_LIMIT", 1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=4, callback=lambda _: True, **arguments)


@pytest.mark.skipif(not PAIRS.is_dir(), reason=f"no photo pairs at {PAIRS}")
@pytest.mark.parametrize(
    ("content", "style", "too_unlike"), [("8", "8", False), ("13", "13", False), ("33", "13", True)]
)
def test_published_pairs_stay_below_the_limit_and_mixed_ones_exceed_it(content, style, too_unlike):
    photos = read_photo(PAIRS / content / "content.png"), read_photo(PAIRS / style / "style.png", "style")
    assert bool(warnings_of(*photos)) == too_unlike
