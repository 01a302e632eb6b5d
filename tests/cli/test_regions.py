"""`fastphoto regions`: what it prints, and input that is refused and leaves nothing behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import error_line, run_here
from PIL import Image, ImageDraw
from rendered_photos import day, dusk

from fastphoto.regions.mismatch import match_in_words, region_unlikeness
from fastphoto.regions.palette import PALETTE

CONTENT, STYLE = day(120, 160), dusk(140, 120)


def strokes(size: tuple[int, int], *colours: str) -> Image.Image:
    """Return a transparent picture of (width, height) with one line in each colour, from the top to the bottom."""
    picture = Image.new("RGBA", size)
    for number, colour in enumerate(colours):
        y = 8 + number * (size[1] - 16)
        ImageDraw.Draw(picture).line((5, y, size[0] - 5, y), (*PALETTE[colour], 255), 3)
    return picture


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return the working folder, with photos, masks, strokes, and files that are none of these."""
    pictures = {
        "content.png": Image.fromarray(CONTENT.array),
        "style.png": Image.fromarray(STYLE.array),
        "clear.png": Image.fromarray(np.dstack([CONTENT.array, np.zeros((120, 160), np.uint8)])),
        "content_mask.png": Image.fromarray(CONTENT.mask_picture),
        "style_mask.png": Image.fromarray(STYLE.mask_picture),
        "content_strokes.png": strokes((160, 120), "red", "purple"),
        "style_strokes.png": strokes((120, 140), "red", "purple"),
        "one_stroke.png": strokes((160, 120), "red"),
        "no_stroke.png": strokes((160, 120)),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


MASKS = ["--content-mask", "content_mask.png", "--style-mask", "style_mask.png"]
PHOTOS = CONTENT.pixels, STYLE.pixels


def test_it_says_how_well_the_regions_match(folder, capsys):
    assert run_here("regions", "content.png", "style.png", *MASKS, "-o", "out") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[-2].startswith("fastphoto: wrote out in ")
    land, sky = (match_in_words(n) for n in region_unlikeness(*PHOTOS, CONTENT.masks.flip(0), STYLE.masks.flip(0)))
    shares = CONTENT.masks.mean((1, 2))
    green, blue = (f"{word} ({share:.0%} of the photo)" for word, share in ((land, shares[1]), (sky, shares[0])))
    assert said[-1] == f"fastphoto: matches: green {green}, lightblue {blue}"


def test_matches_are_good_fair_or_poor():
    assert [match_in_words(unlikeness) for unlikeness in (0.0, 0.015, 0.016, 0.03, 0.031, 1.0)] == [
        *("good", "good", "fair", "fair", "poor", "poor")
    ]


def test_one_photo_has_no_matches(folder, capsys):
    assert run_here("regions", "content.png", "--content-mask", "content_mask.png", "-o", "out") == 0
    assert "matches" not in capsys.readouterr().err


def test_quiet(folder, capsys):
    assert run_here("regions", "content.png", "style.png", *MASKS, "-o", "out", "--quiet") == 0
    assert capsys.readouterr().err == ""


BOTH = ["content.png", "style.png"]
ONE = ["content.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["missing.png"], "missing.png", id="missing photo"),
        pytest.param(["clear.png"], "alpha hides all", id="invisible photo"),
        pytest.param([*BOTH, "--scribbles", "content_strokes.png"], "one of the photos only", id="strokes for one"),
        pytest.param([*BOTH, "--style-mask", "style_mask.png"], "one of the photos only", id="mask for one"),
        pytest.param([*ONE, "--scribbles", "notes.txt"], "notes.txt", id="text as strokes"),
        pytest.param([*ONE, "--scribbles", "content_mask.png"], "every pixel is painted", id="mask as strokes"),
        pytest.param([*ONE, "--scribbles", "no_stroke.png"], "no pixel belongs to a region", id="no stroke"),
        pytest.param([*ONE, "--scribbles", "one_stroke.png"], "1 region.*paint at least 2", id="one stroke"),
        pytest.param(
            [*ONE, "--scribbles", "style_strokes.png"], "content strokes .* do not fit the photo", id="other strokes"
        ),
        pytest.param([*ONE, "--style-scribbles", "style_strokes.png"], "but no style", id="strokes without a style"),
        pytest.param([*ONE, "--style-mask", "style_mask.png"], "but no style", id="mask without a style"),
        pytest.param(
            [*ONE, "--scribbles", "one_stroke.png", "--content-mask", "content_mask.png"],
            "--scribbles: .* leave out one",
            id="mask and strokes",
        ),
        pytest.param(
            [*BOTH, *MASKS, "--style-scribbles", "style_strokes.png"],
            "--style-scribbles: .* leave out one",
            id="mask and strokes of the style",
        ),
        pytest.param(
            [*ONE, "--regions", "auto", "--content-mask", "content_mask.png"], "leave it out", id="mask and auto"
        ),
        pytest.param(
            [*ONE, "--regions", "semantic", "--scribbles", "one_stroke.png"], "leave it out", id="strokes and semantic"
        ),
        pytest.param(
            [*ONE, "--segmentation-model", "folder"], 'only regions="semantic" uses one', id="model without semantic"
        ),
        pytest.param([*ONE, "--size", "3"], "size: must be", id="size"),
        pytest.param([*ONE, "--device", "tpu"], "device 'tpu'", id="device"),
    ],
)
def test_refused(words, said, folder, capsys):
    assert run_here("regions", *words, "-o", "out", "--quiet") == 2
    assert re.search(said, error_line(capsys.readouterr().err))
    assert not (folder / "out").exists(), "a folder is left"


CITYSCAPES_ROAD = (128, 64, 128)


def test_strokes_of_two_photos_are_read_in_one_form(folder):
    """Black and red are colours of Cityscapes too: alone they are the nine colours, beside a road they are classes."""
    for name, size, colours in (
        ("content", (160, 120), [(0, 0, 0), (255, 0, 0)]),
        ("style", (120, 140), [(0, 0, 0), (255, 0, 0), CITYSCAPES_ROAD]),
    ):
        picture = Image.new("RGBA", size)
        for number, colour in enumerate(colours):
            ImageDraw.Draw(picture).line((5, 8 + number * 50, size[0] - 5, 8 + number * 50), (*colour, 255), 3)
        picture.save(f"{name}_strokes.png")
    strokes = ["--scribbles", "content_strokes.png", "--style-scribbles", "style_strokes.png"]
    assert run_here("regions", "content.png", "style.png", *strokes, "-o", "out", "--quiet", "--orphans", "merge") == 0
    written = json.loads((folder / "out" / "names.json").read_text())
    assert {"rider"} <= set(written.values())


def test_a_folder_that_has_the_name_of_an_output_file(folder, capsys):
    (folder / "out" / "names.json").mkdir(parents=True)
    assert run_here("regions", "content.png", "-o", "out", "--overwrite") == 2
    assert "names.json: is a folder" in error_line(capsys.readouterr().err)
    assert [path.name for path in (folder / "out").iterdir()] == ["names.json"]


def test_no_output_folder(folder, capsys):
    assert run_here("regions", "content.png", "-o", "") == 2
    assert "name is empty" in error_line(capsys.readouterr().err)


def test_a_file_where_the_folder_should_be(folder, capsys):
    assert run_here("regions", "content.png", "-o", "notes.txt") == 2
    assert "notes.txt" in error_line(capsys.readouterr().err)
    assert (folder / "notes.txt").read_text() == "no picture"
