"""Masks to edit and the command that writes them: what is written can be read, edited and used, and nothing is lost."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from photos import SKY, day, dusk
from PIL import Image, ImageDraw

import fastphoto
from fastphoto import cli
from fastphoto.errors import InputError
from fastphoto.labels import Labels, read_labels
from fastphoto.palette import PALETTE
from fastphoto.segmentation.mask_files import mask_picture, overlay, region_colours

CONTENT, STYLE = day(120, 160), dusk(140, 120)


@pytest.fixture
def photos(tmp_path):
    for name, photo in (("content", CONTENT), ("style", STYLE)):
        Image.fromarray(photo.array).save(tmp_path / f"{name}.png")
        Image.fromarray(photo.mask).save(tmp_path / f"{name}_mask.png")
        strokes = Image.new("RGBA", photo.array.shape[1::-1])
        draw, (width, height) = ImageDraw.Draw(strokes), strokes.size
        draw.line((5, 8, width - 5, 12), (*PALETTE["red"], 255), 3)
        draw.line((5, height - 6, width - 5, height - 9), (*PALETTE["purple"], 255), 3)
        strokes.save(tmp_path / f"{name}_strokes.png")
    return tmp_path


def run(folder, *words):
    return cli.main(["regions", *(str(folder / w) if "." in w or w == "out" else w for w in words), "--quiet"])


def refused(capsys, folder, *words) -> str:
    """The one line that the command ends with; it must leave no folder behind."""
    existed = (folder / "out").exists()
    assert run(folder, *words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("fastphoto: error: ")
    assert (folder / "out").exists() == existed
    return said


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("hidden", [False, True])
def test_a_mask_is_read_as_it_was_written(count, hidden, tmp_path):
    number = torch.randint(-1 if hidden else 0, count, (40, 50), generator=torch.Generator().manual_seed(count))
    number[:10] = torch.arange(50) % count  # each is there
    labels = Labels(
        tuple(f"region {n}" for n in range(count)), torch.stack([number == n for n in range(count)]).float()
    )
    colours = region_colours(labels.names)
    picture = mask_picture(labels, colours)
    assert picture.mode == "P" and picture.getpalette()[:27] == [v for colour in PALETTE.values() for v in colour]
    picture.save(tmp_path / "mask.png")
    read = read_labels(tmp_path / "mask.png", (40, 50))
    assert set(read.names) == set(colours)
    for colour, mask in zip(colours, labels.masks, strict=True):
        assert torch.equal(read.masks[read.names.index(colour)], mask)


def test_colours_are_those_of_the_names_then_the_usual_then_the_next_free():
    assert region_colours(("white", "blue", "grey")) == ("white", "blue", "grey")
    assert region_colours(("grass", "sky", "trees", "water")) == ("green", "blue", "red", "lightblue")
    assert region_colours(("sky", "blue")) == ("green", "blue")
    nine = region_colours(tuple("abcdefghi"))
    assert sorted(nine) == sorted(PALETTE) and set(nine[-3:]) == {"black", "white", "grey"}
    with pytest.raises(InputError, match="10 regions, but masks have 9 colours"):
        region_colours(tuple("abcdefghij"))


def test_an_overlay_shows_the_photo_tinted_bordered_and_explained():
    labels = Labels(("sky", "land"), CONTENT.regions)
    sheet = np.asarray(overlay(CONTENT.pixels, labels, ("red", "black")))
    assert sheet.shape[1] >= 160 and sheet.shape[0] > 120
    top, bottom = CONTENT.array[4, 5], CONTENT.array[110, 5]
    assert np.abs(sheet[4, 5] - (0.55 * top + 0.45 * np.array(PALETTE["red"]))).max() <= 1
    assert np.abs(sheet[110, 5] - 0.55 * bottom).max() <= 1
    edge = int((CONTENT.labels[:, 5] == 0).sum())
    assert (sheet[edge, 5] == 255).all(), "the border is white"
    assert (sheet[120:, 8:39] == PALETTE["red"]).all(2).sum() > 200, "a swatch of the legend"
    large = overlay(torch.rand(3, 1400, 700), Labels(("all",), torch.ones(1, 1400, 700)), ("blue",))
    assert large.height < 1100


def test_regions_that_two_photos_share(photos, capsys):
    assert run(photos, "content.png", "style.png", "-o", "out") == 0
    out = photos / "out"
    names = json.loads((out / "names.json").read_text())
    assert sorted(p.name for p in out.iterdir()) == [
        "content_mask.png", "content_overlay.jpg", "names.json", "style_mask.png", "style_overlay.jpg",
    ]  # fmt: skip
    found = fastphoto.find_regions(CONTENT.pixels, STYLE.pixels)
    assert list(names.values()) == list(found[0].names) and len(names) > 1
    for role, labels in zip(("content", "style"), found, strict=True):
        read = read_labels(out / f"{role}_mask.png", labels.masks.shape[1:])
        for colour, mask in zip(names, labels.masks, strict=True):
            assert torch.equal(read.masks[read.names.index(colour)], mask)
        Image.open(out / f"{role}_overlay.jpg").load()
    # A transfer with what was written is that with the regions it would have found.
    by_files = fastphoto.transfer(
        CONTENT.pixels, STYLE.pixels, out / "content_mask.png", out / "style_mask.png", steps=4
    )
    torch.testing.assert_close(
        by_files, fastphoto.transfer(CONTENT.pixels, STYLE.pixels, regions="auto", steps=4), atol=0.01, rtol=0
    )


def test_masks_that_are_there_are_not_overwritten_unasked(photos, capsys):
    assert run(photos, "content.png", "-o", "out") == 0
    out = photos / "out"
    assert sorted(p.name for p in out.iterdir()) == ["content_mask.png", "content_overlay.jpg", "names.json"]
    Image.new("RGB", (160, 120), (0, 0, 255)).save(out / "content_mask.png")
    edited = (out / "content_mask.png").read_bytes()
    assert "exists and may have been edited" in refused(capsys, photos, "content.png", "-o", "out")
    assert (out / "content_mask.png").read_bytes() == edited
    assert run(photos, "content.png", "-o", "out", "--overwrite") == 0
    assert (out / "content_mask.png").read_bytes() != edited
    # Not even then, where it is what is to be checked.
    said = refused(capsys, photos, "content.png", "--content-mask", "out/content_mask.png", "-o", "out", "--overwrite")
    assert "also an input" in said


def test_strokes_are_grown_in_their_colours(photos):
    words = ["content.png", "style.png", "--scribbles", "content_strokes.png"]
    assert run(photos, *words, "--style-scribbles", "style_strokes.png", "-o", "out") == 0
    assert json.loads((photos / "out" / "names.json").read_text()) == {"red": "red", "purple": "purple"}
    for role, photo in (("content", CONTENT), ("style", STYLE)):
        read = read_labels(photos / "out" / f"{role}_mask.png", photo.labels.shape)
        sky = read.masks[read.names.index("red")].numpy() == 1
        assert (sky == (photo.labels == 0)).mean() > 0.97
    # One photo by itself, at its own size, as Python does it.
    assert run(photos, *words[:1], *words[2:], "-o", "out", "--overwrite", "--size", "40") == 0
    grown = fastphoto.grow_scribbles(CONTENT.pixels, read_labels(photos / "content_strokes.png", (120, 160)))
    read = read_labels(photos / "out" / "content_mask.png", (120, 160))
    assert read.names == grown.names == ("red", "purple") and torch.equal(read.masks, grown.masks)


def test_masks_are_checked_and_drawn(photos, capsys):
    words = ["content.png", "style.png", "--content-mask", "content_mask.png", "--style-mask", "style_mask.png"]
    assert run(photos, *words, "-o", "out") == 0
    read = read_labels(photos / "out" / "content_mask.png", (120, 160))
    assert torch.equal(read.masks[read.names.index(SKY)], CONTENT.regions[0])
    Image.fromarray(np.full((140, 120, 3), PALETTE[SKY], np.uint8)).save(photos / "style_mask.png")
    assert "style mask: no region for green" in refused(
        capsys, photos, *words, "--orphans", "error", "-o", "out", "--overwrite"
    )


def test_what_alpha_hides_is_transparent_in_the_mask(photos):
    alpha = np.full((120, 160), 255, np.uint8)
    alpha[:, :60] = 0
    Image.fromarray(np.dstack([CONTENT.array, alpha])).save(photos / "content.png")
    assert run(photos, "content.png", "style.png", "-o", "out") == 0
    written = np.asarray(Image.open(photos / "out" / "content_mask.png").convert("RGBA"))
    np.testing.assert_array_equal(written[..., 3], alpha)
    read = read_labels(photos / "out" / "content_mask.png", (120, 160))
    assert float(read.masks[:, :, :60].sum()) == 0 and float(read.masks[:, :, 60:].sum()) == 120 * 100


def test_bad_input_is_one_line_and_leaves_nothing(photos, capsys):
    (photos / "notes.txt").write_text("no picture")
    Image.fromarray(CONTENT.mask).save(photos / "painted.png")
    Image.new("RGBA", (160, 120)).save(photos / "empty.png")
    one = Image.new("RGBA", (160, 120))
    ImageDraw.Draw(one).line((5, 8, 100, 12), (255, 0, 0, 255), 3)
    one.save(photos / "one.png")
    Image.fromarray(np.dstack([CONTENT.array, np.zeros((120, 160), np.uint8)])).save(photos / "clear.png")
    both = ["content.png", "style.png"]
    for words, said in (
        (["missing.png"], "missing.png"),
        (["clear.png"], "alpha hides all"),
        ([*both, "--scribbles", "content_strokes.png"], "one of the photos only"),
        ([*both, "--style-mask", "style_mask.png"], "one of the photos only"),
        (["content.png", "--scribbles", "notes.txt"], "notes.txt"),
        (["content.png", "--scribbles", "painted.png"], "every pixel is painted"),
        (["content.png", "--scribbles", "empty.png"], "no pixel belongs to a region"),
        (["content.png", "--scribbles", "one.png"], "1 regions; paint at least 2"),
        (["content.png", "--scribbles", "style_strokes.png"], "content strokes .* do not fit the photo"),
        (["content.png", "--style-scribbles", "style_strokes.png"], "but no style"),
        (["content.png", "--style-mask", "style_mask.png"], "but no style"),
        (["content.png", "--scribbles", "one.png", "--content-mask", "painted.png"], "leave out one"),
        (["content.png", "--regions", "auto", "--content-mask", "painted.png"], "leave it out"),
        (["content.png", "--regions", "semantic", "--scribbles", "one.png"], "leave it out"),
        (["content.png", "--segmentation-model", "folder"], 'only regions="semantic" uses one'),
        (["content.png", "--size", "3"], "size: must be"),
        (["content.png", "--device", "tpu"], "device 'tpu'"),
    ):
        assert re.search(said, refused(capsys, photos, *words, "-o", "out"))
    assert run(photos, "content.png", "-o", "notes.txt") == 2
    assert "notes.txt" in capsys.readouterr().err and (photos / "notes.txt").read_text() == "no picture"
