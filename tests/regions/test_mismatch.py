"""How well the regions of two photos match: nothing for the same, more for swapped ones, a warning where hopeless."""

from __future__ import annotations

import warnings

import pytest
import torch
from locations import SHARED
from rendered_photos import day, dusk

import fastphoto
from fastphoto.cli import command as cli
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.read import read_photo
from fastphoto.regions import mismatch as likeness
from fastphoto.regions.find import assign_regions
from fastphoto.regions.mismatch import overall_unlikeness, region_unlikeness
from fastphoto.regions.pair import prepare_pair

PAIRS = SHARED / "pairs"
CONTENT, STYLE = day(120, 160), dusk(140, 120)


def test_the_same_regions_are_alike_and_swapped_ones_are_not():
    same = region_unlikeness(CONTENT.pixels, CONTENT.pixels, CONTENT.regions, CONTENT.regions)
    assert same.shape == (2,) and same.abs().max() < 1e-5
    matched = region_unlikeness(CONTENT.pixels, STYLE.pixels, CONTENT.regions, STYLE.regions)
    swapped = region_unlikeness(CONTENT.pixels, STYLE.pixels, CONTENT.regions, STYLE.regions.flip(0))
    assert (matched > 0).all() and (matched < 1).all() and swapped.min() > 1.5 * matched.max()


def test_light_and_size_hardly_count():
    photo = read_photo(demo_pairs()[0] / "content.jpg", "photo").pixels
    whole = torch.ones(1, *photo.shape[1:])
    dark = float(region_unlikeness(photo, 0.4 * photo, whole, whole))
    small = torch.nn.functional.interpolate(photo[None], scale_factor=0.5, mode="area")[0]
    shrunk = float(region_unlikeness(photo, small, whole, torch.ones(1, *small.shape[1:])))
    assert dark < 0.01 and shrunk < 0.001


def test_a_region_of_no_pixel_has_none_and_the_whole_is_the_mean_by_area():
    masks = torch.cat([CONTENT.regions, torch.zeros(1, 120, 160)])
    others = torch.cat([STYLE.regions, STYLE.regions[:1]])
    each = region_unlikeness(CONTENT.pixels, STYLE.pixels, masks, others)
    assert each[2] == 0
    shares = CONTENT.regions.mean((1, 2))
    assert overall_unlikeness(each, masks) == pytest.approx(float(each[0] * shares[0] + each[1] * shares[1]), rel=1e-5)
    assert overall_unlikeness(torch.zeros(1), torch.zeros(1, 4, 4)) == 0


def test_a_hopeless_pair_is_told_before_the_work(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastphoto.find_regions(CONTENT.pixels, STYLE.pixels)
    monkeypatch.setattr(likeness, "HOPELESS", 1e-4)
    told = []
    with pytest.warns(fastphoto.FastPhotoWarning, match=r"hardly show anything alike \(unlikeness 0\.0"):
        fastphoto.transfer(
            CONTENT.pixels, STYLE.pixels, regions="auto", steps=4, callback=lambda p: told.append("step") or True
        )
    assert told == ["step"]
    told.clear()
    monkeypatch.setattr("fastphoto.regions.mismatch.warn", lambda text: told.append("warning"))
    fastphoto.transfer(
        CONTENT.pixels, STYLE.pixels, regions="auto", steps=4, callback=lambda p: told.append("step") or True
    )
    assert told == ["warning", "step"], "it comes before the work"
    for way in ({}, {"regions": "none"}, {"content_mask": CONTENT.labels, "style_mask": STYLE.labels}):
        with warnings.catch_warnings():  # nothing was found, so nothing is said
            warnings.simplefilter("error")
            fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=4, callback=lambda p: True, **way)


def test_the_command_says_how_well_regions_match(tmp_path, capsys):
    from PIL import Image

    for name, photo in (("content", CONTENT), ("style", STYLE)):
        Image.fromarray(photo.array).save(tmp_path / f"{name}.png")
        Image.fromarray(photo.mask).save(tmp_path / f"{name}_mask.png")
    words = [str(tmp_path / name) for name in ("content.png", "style.png", "out", "content_mask.png", "style_mask.png")]
    assert cli.main(["regions", *words[:2], "-o", words[2], "--content-mask", words[3], "--style-mask", words[4]]) == 0
    each = region_unlikeness(CONTENT.pixels, STYLE.pixels, CONTENT.regions, STYLE.regions)
    said = capsys.readouterr().err
    assert f"green {each[1]:.3f}" in said and f"lightblue {each[0]:.3f}" in said


@pytest.mark.skipif(not PAIRS.is_dir(), reason="needs the published photo pairs")
@pytest.mark.parametrize(
    ("content", "style", "hopeless"), [("8", "8", False), ("13", "13", False), ("12", "8", True), ("33", "13", True)]
)
def test_published_pairs_are_told_from_hopeless_ones(content, style, hopeless):
    pair = prepare_pair(
        read_photo(PAIRS / content / "content.png", "content"), read_photo(PAIRS / style / "style.png", "style"),
        None, None, 350,
    )  # fmt: skip
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assign_regions(pair, "auto", None, torch.device("cpu"))
    assert any("hardly show anything alike" in str(w.message) for w in told) == hopeless
