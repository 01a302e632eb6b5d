"""Masks to edit and the command that writes them: what is written can be read, edited and used, and nothing is lost."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from rendered_photos import SKY, day, dusk

import fastphoto
from fastphoto.cli import command as cli
from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.photos.read import read_photo
from fastphoto.regions import export as mask_files
from fastphoto.regions.export import mask_picture, overlay, region_colours
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_masks

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
    paths = [str(folder / word) if "." in word or word in ("out", "named") else word for word in words]
    return cli.main(["regions", *paths, "--quiet"])


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
    labels = RegionMasks(
        tuple(f"region {n}" for n in range(count)), torch.stack([number == n for n in range(count)]).float()
    )
    colours = region_colours(labels.names)
    picture = mask_picture(labels, colours)
    table = [v for colour in PALETTE.values() for v in colour]
    assert picture.mode == "P" and picture.getpalette()[:27] == table
    assert len(picture.getpalette()) == (30 if hidden else 27) and ("transparency" in picture.info) == hidden
    picture.save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as opened:
        opened.convert("RGBA").save(tmp_path / "rgba.png")
        opened.convert("RGB").save(tmp_path / "rgb.png")
    for name in ("mask.png", "rgba.png", "rgb.png"):  # as editors save it
        read = read_masks(tmp_path / name, (40, 50))
        assert set(read.names) == set(colours), name
        for colour, mask in zip(colours, labels.masks, strict=True):
            assert torch.equal(read.masks[read.names.index(colour)], mask), name


def test_colours_are_those_of_the_names_then_the_usual_then_the_next_free():
    assert region_colours(("white", "blue", "grey")) == ("white", "blue", "grey")
    assert region_colours(("grass", "sky", "trees", "water")) == ("green", "blue", "red", "lightblue")
    assert region_colours(("sky", "blue")) == ("green", "blue")
    nine = region_colours(tuple("abcdefghi"))
    assert sorted(nine) == sorted(PALETTE) and set(nine[-3:]) == {"black", "white", "grey"}
    with pytest.raises(InputError, match="10 regions, but masks have 9 colours"):
        region_colours(tuple("abcdefghij"))


def test_an_overlay_shows_the_photo_tinted_bordered_and_explained():
    labels = RegionMasks(("sky", "land"), CONTENT.regions)
    sheet = np.asarray(overlay(CONTENT.pixels, labels, ("red", "black")))
    assert sheet.shape[1] >= 160 and sheet.shape[0] > 120
    top, bottom = CONTENT.array[4, 5], CONTENT.array[110, 5]
    assert np.abs(sheet[4, 5] - (0.55 * top + 0.45 * np.array(PALETTE["red"]))).max() <= 1
    assert np.abs(sheet[110, 5] - 0.55 * bottom).max() <= 1
    edge = int((CONTENT.labels[:, 5] == 0).sum())
    assert (sheet[edge, 5] == 255).all(), "the border is white"
    assert (sheet[120:, 8:39] == PALETTE["red"]).all(2).sum() > 200, "a swatch of the legend"
    large = overlay(torch.rand(3, 1400, 700), RegionMasks(("all",), torch.ones(1, 1400, 700)), ("blue",))
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
        read = read_masks(out / f"{role}_mask.png", labels.masks.shape[1:])
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
    assert run(photos, "content.png", "style.png", "-o", "out", "--overwrite") == 0
    said = refused(capsys, photos, "content.png", "-o", "out", "--overwrite")
    assert "style_mask.png: would stay beside the regions of another photo" in said
    (out / "style_mask.png").unlink()
    # Not even then, where it is what is to be checked.
    said = refused(capsys, photos, "content.png", "--content-mask", "out/content_mask.png", "-o", "out", "--overwrite")
    assert "also an input" in said


def test_strokes_are_grown_in_their_colours(photos):
    words = ["content.png", "style.png", "--scribbles", "content_strokes.png"]
    assert run(photos, *words, "--style-scribbles", "style_strokes.png", "-o", "out") == 0
    assert json.loads((photos / "out" / "names.json").read_text()) == {"red": "red", "purple": "purple"}
    for role, photo in (("content", CONTENT), ("style", STYLE)):
        read = read_masks(photos / "out" / f"{role}_mask.png", photo.labels.shape)
        sky = read.masks[read.names.index("red")].numpy() == 1
        assert (sky == (photo.labels == 0)).mean() > 0.97
    # One photo by itself, at its own size, as Python does it.
    assert run(photos, *words[:1], *words[2:], "-o", "named", "--size", "40") == 0
    grown = fastphoto.grow_scribbles(CONTENT.pixels, read_masks(photos / "content_strokes.png", (120, 160)))
    read = read_masks(photos / "named" / "content_mask.png", (120, 160))
    assert read.names == grown.names == ("red", "purple") and torch.equal(read.masks, grown.masks)


def test_strokes_are_read_whatever_lies_beneath_the_rest(photos):
    strokes = np.asarray(Image.open(photos / "content_strokes.png")).copy()
    clear = strokes[..., 3] == 0
    expected = read_masks(photos / "content_strokes.png", (120, 160), kind="strokes")
    strokes[~clear, :3] = np.where(strokes[~clear, :3] == 255, 253, 2)  # not quite the palette's
    for beneath in (CONTENT.array, np.full_like(CONTENT.array, (200, 90, 40)), np.zeros_like(CONTENT.array)):
        strokes[clear, :3] = beneath[clear]
        for source in (strokes, Image.fromarray(strokes)):
            read = read_masks(source, (120, 160), kind="strokes")
            assert read.names == expected.names and torch.equal(read.masks, expected.masks)
    Image.fromarray(strokes).save(photos / "lossy.webp", quality=80)
    with pytest.raises(InputError, match="far from the palette"):  # and not another colour
        read_masks(photos / "lossy.webp", (120, 160))
    indexed = Image.fromarray(np.where(clear, 2, np.where(strokes[..., 2] > 100, 1, 0)).astype(np.uint8), "P")
    indexed.putpalette([*PALETTE["red"], *PALETTE["purple"], 10, 20, 30])
    indexed.save(photos / "indexed.png", transparency=2)
    read = read_masks(photos / "indexed.png", (120, 160))
    assert read.names == expected.names and torch.equal(read.masks, expected.masks)


def test_one_smaller_mask_is_remarked_on_once(photos):
    small = np.ascontiguousarray(CONTENT.mask[::2, ::2])
    with pytest.warns(FastPhotoWarning) as told:
        fastphoto.find_regions(CONTENT.pixels, content_mask=small, regions="masks")
    assert len(told) == 1 and "content mask" in str(told[0].message)


def test_labels_and_strokes_that_cannot_be_are_refused():
    masks = CONTENT.regions
    for labels in (RegionMasks(("a",), masks), RegionMasks(("a", "a"), masks), RegionMasks(("a", "b"), masks[0])):
        with pytest.raises(InputError, match="a name of its own"):
            read_masks(labels, (120, 160))
    with pytest.raises(InputError, match="got str and Tensor; give pixels of read_photo"):
        fastphoto.grow_scribbles("photo.jpg", masks)


def test_masks_are_checked_and_drawn(photos, capsys):
    words = ["content.png", "style.png", "--content-mask", "content_mask.png", "--style-mask", "style_mask.png"]
    assert run(photos, *words, "-o", "out") == 0
    read = read_masks(photos / "out" / "content_mask.png", (120, 160))
    assert torch.equal(read.masks[read.names.index(SKY)], CONTENT.regions[0])
    Image.fromarray(np.full((140, 120, 3), PALETTE[SKY], np.uint8)).save(photos / "style_mask.png")
    assert "style mask: no region for green" in refused(
        capsys, photos, *words, "--orphans", "error", "-o", "out", "--overwrite"
    )


def test_half_transparent_photos_have_no_holes():
    alpha = np.full((120, 160, 1), 153, np.uint8)
    found, _ = fastphoto.find_regions(np.concatenate([CONTENT.array, alpha], 2), STYLE.pixels, size=64)
    assert torch.equal(found.masks.sum(0), torch.ones(120, 160))


def test_a_region_that_alpha_hides_is_that_of_a_transfer():
    alpha = np.where(STYLE.labels == 1, 0, 255).astype(np.uint8)[..., None]
    style = np.concatenate([STYLE.array, alpha], 2)
    found = fastphoto.find_regions(CONTENT.pixels, style, CONTENT.mask, STYLE.mask, regions="masks")
    direct = fastphoto.transfer(CONTENT.pixels, style, CONTENT.mask, STYLE.mask, steps=3)
    for name, mask in zip((SKY, "green"), STYLE.regions, strict=True):
        assert torch.equal(found[1].masks[found[1].names.index(name)], mask)
    assert torch.equal(fastphoto.transfer(CONTENT.pixels, style, *found, steps=3), direct)


def test_a_region_without_counterpart_can_be_dropped_but_not_have_the_whole_style(photos, capsys):
    Image.fromarray(np.full((140, 120, 3), PALETTE[SKY], np.uint8)).save(photos / "style_mask.png")
    words = ["content.png", "style.png", "--content-mask", "content_mask.png", "--style-mask", "style_mask.png"]
    assert "no mask can say" in refused(capsys, photos, *words, "--orphans", "global", "-o", "out")
    assert run(photos, *words, "--orphans", "drop", "-o", "out") == 0
    read = read_masks(photos / "out" / "content_mask.png", (120, 160))
    assert read.names == (SKY,) and torch.equal(read.masks[0], CONTENT.regions[0])


def test_stopped_while_writing_nothing_is_left(photos, monkeypatch):

    assert run(photos, "content.png", "style.png", "-o", "out") == 0
    before = {path.name: path.read_bytes() for path in (photos / "out").iterdir()}
    real = mask_files.json.dumps
    monkeypatch.setattr(mask_files.json, "dumps", lambda *words, **options: Stops(real(*words, **options)))
    for folder in ("out", "new.folder"):
        with pytest.raises(KeyboardInterrupt):
            mask_files.write_regions(
                make(photos / folder),
                {"content": (read_photo(CONTENT.pixels), RegionMasks(("a", "b"), CONTENT.regions))},
            )
    assert {path.name: path.read_bytes() for path in (photos / "out").iterdir()} == before
    assert not list((photos / "new.folder").iterdir())


def make(folder):
    folder.mkdir(exist_ok=True)
    return folder


class Stops(str):
    """Text at which somebody presses Ctrl-C, when all other files are written."""

    def __add__(self, other):
        return Stops(str(self) + other)

    def encode(self):
        raise KeyboardInterrupt


def test_what_alpha_hides_is_transparent_in_the_mask(photos):
    alpha = np.full((120, 160), 255, np.uint8)
    alpha[:, :60] = 0
    Image.fromarray(np.dstack([CONTENT.array, alpha])).save(photos / "content.png")
    assert run(photos, "content.png", "style.png", "-o", "out") == 0
    written = np.asarray(Image.open(photos / "out" / "content_mask.png").convert("RGBA"))
    np.testing.assert_array_equal(written[..., 3], alpha)
    read = read_masks(photos / "out" / "content_mask.png", (120, 160))
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
    (photos / "named" / "names.json").mkdir(parents=True)
    assert run(photos, "content.png", "-o", "named", "--overwrite") == 2
    assert "names.json: exists and is not a regular" in capsys.readouterr().err
    assert [path.name for path in (photos / "named").iterdir()] == ["names.json"]
    assert cli.main(["regions", str(photos / "content.png"), "-o", "", "--quiet"]) == 2
    assert "name is empty" in capsys.readouterr().err
    assert run(photos, "content.png", "-o", "notes.txt") == 2
    assert "notes.txt" in capsys.readouterr().err and (photos / "notes.txt").read_text() == "no picture"
