"""Masks, overlays and names written to edit: they are read back as they were, and nothing is overwritten by mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from demo_scenes import DESERT, MOUNTAINS
from PIL import Image, ImageDraw
from rendered_photos import SKY, day, dusk
from torch import Tensor

import fastphoto
from fastphoto.cli import command as cli
from fastphoto.errors import InputError
from fastphoto.photos.read import read_photo
from fastphoto.regions import export
from fastphoto.regions.export import mask_picture, overlay, region_colours, write_regions
from fastphoto.regions.masks import RegionMasks, masks_of_map
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_masks

CONTENT, STYLE = day(120, 160), dusk(140, 120)
MASKS = ["--content-mask", "content_mask.png", "--style-mask", "style_mask.png"]
STROKES = ["--scribbles", "content_strokes.png", "--style-scribbles", "style_strokes.png"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder, with photos, masks and strokes."""
    for name, photo in (("content", CONTENT), ("style", STYLE)):
        Image.fromarray(photo.array).save(tmp_path / f"{name}.png")
        Image.fromarray(photo.mask_picture).save(tmp_path / f"{name}_mask.png")
        strokes = Image.new("RGBA", photo.array.shape[1::-1])
        draw, (width, height) = ImageDraw.Draw(strokes), strokes.size
        draw.line((5, 8, width - 5, 12), (*PALETTE["red"], 255), 3)
        draw.line((5, height - 6, width - 5, height - 9), (*PALETTE["purple"], 255), 3)
        strokes.save(tmp_path / f"{name}_strokes.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    return cli.main(["regions", *words, "-o", "out", "--quiet"])


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that the command ends with; it must leave no folder behind."""
    existed = Path("out").exists()
    assert run(*words) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line.startswith("fastphoto: error: ")
    assert Path("out").exists() == existed, "a folder was made or removed"
    return line


def written_names() -> dict[str, str]:
    names: dict[str, str] = json.loads(Path("out/names.json").read_text())
    return names


def written_masks(role: str, size: tuple[int, ...]) -> dict[str, Tensor]:
    regions = read_masks(f"out/{role}_mask.png", (size[0], size[1]))
    return dict(zip(regions.names, regions.masks, strict=True))


def agreement(found: Tensor, again: Tensor) -> float:
    """The share of pixels in which masks that were found twice agree: rounding decides those between two regions."""
    return float((found == again).float().mean())


# Pictures


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("holes", [False, True], ids=["all pixels", "with holes"])
def test_a_mask_is_read_as_it_was_written(count, holes, tmp_path):
    numbers = torch.randint(-1 if holes else 0, count, (40, 50), generator=torch.Generator().manual_seed(count))
    numbers[:10] = torch.arange(50) % count  # every region has pixels
    regions = RegionMasks(tuple(f"region {n}" for n in range(count)), masks_of_map(numbers, count))
    colours = region_colours(regions.names)
    picture = mask_picture(regions, colours)
    assert picture.mode == "P" and picture.getpalette()[:27] == [v for colour in PALETTE.values() for v in colour]
    assert len(picture.getpalette()) == (30 if holes else 27) and ("transparency" in picture.info) == holes
    picture.save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as opened:  # and as editors save it
        opened.convert("RGBA").save(tmp_path / "rgba.png")
        opened.convert("RGB").save(tmp_path / "rgb.png")
    for name in ("mask.png", "rgba.png", "rgb.png"):
        again = read_masks(tmp_path / name, (40, 50))
        assert set(again.names) == set(colours), name
        for colour, mask in zip(colours, regions.masks, strict=True):
            assert torch.equal(again.masks[again.names.index(colour)], mask), name


@pytest.mark.parametrize(
    ("names", "colours"),
    [
        pytest.param(("white", "blue", "grey"), ("white", "blue", "grey"), id="own names"),
        pytest.param(("grass", "sky", "trees", "water"), ("green", "blue", "red", "lightblue"), id="usual colours"),
        pytest.param(("sky", "blue"), ("green", "blue"), id="own name before usual colour"),
    ],
)
def test_colours_of_regions(names, colours):
    assert region_colours(names) == colours


def test_greys_are_the_last_colours():
    colours = region_colours(tuple("abcdefghi"))
    assert sorted(colours) == sorted(PALETTE) and set(colours[-3:]) == {"black", "white", "grey"}


def test_more_than_nine_regions_are_refused():
    with pytest.raises(InputError, match="10 regions, but masks have 9 colours"):
        region_colours(tuple("abcdefghij"))


def test_an_overlay_shows_the_photo_tinted_with_borders_and_a_legend():
    sheet = np.asarray(overlay(CONTENT.pixels, RegionMasks(("sky", "land"), CONTENT.masks), ("red", "black")))
    assert sheet.shape[1] >= 160 and sheet.shape[0] > 120
    top, bottom = CONTENT.array[4, 5], CONTENT.array[110, 5]
    assert np.abs(sheet[4, 5] - (0.55 * top + 0.45 * np.array(PALETTE["red"]))).max() <= 1
    assert np.abs(sheet[110, 5] - 0.55 * bottom).max() <= 1
    edge = int((CONTENT.region_map[:, 5] == 0).sum())
    assert (sheet[edge, 5] == 255).all(), "the border is not white"
    assert (sheet[120:, 8:39] == PALETTE["red"]).all(2).sum() > 200, "the legend lacks a swatch"


def test_overlays_of_large_photos_are_small():
    large = overlay(torch.rand(3, 1400, 700), RegionMasks(("all",), torch.ones(1, 1400, 700)), ("blue",))
    assert large.height < 1100


# Files of the command


def write_scenes() -> None:
    for name, pixels in (("content", MOUNTAINS), ("style", DESERT)):
        Image.fromarray(pixels.mul(255).round().byte().permute(1, 2, 0).numpy()).save(f"{name}.png")


def test_regions_that_two_photos_share_are_written(folder):
    write_scenes()
    assert run("content.png", "style.png") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "content_mask.png", "content_overlay.jpg", "names.json", "style_mask.png", "style_overlay.jpg",
    ]  # fmt: skip
    found, names = fastphoto.find_regions(MOUNTAINS, DESERT), written_names()
    assert list(names.values()) == list(found[0].names) and len(names) > 1
    for role, regions in zip(("content", "style"), found, strict=True):
        masks = written_masks(role, regions.masks.shape[1:])
        for colour, mask in zip(names, regions.masks, strict=True):
            assert agreement(masks[colour], mask) > 0.999, (role, colour)
        Image.open(f"out/{role}_overlay.jpg").load()


def test_a_transfer_with_the_written_masks_is_that_with_the_source(folder):
    write_scenes()
    assert run("content.png", "style.png") == 0
    photos = MOUNTAINS, DESERT
    by_files = fastphoto.transfer(*photos, "out/content_mask.png", "out/style_mask.png", steps=4)
    torch.testing.assert_close(by_files, fastphoto.transfer(*photos, regions="auto", steps=4), atol=0.01, rtol=0)


def test_given_masks_are_matched_and_drawn(folder):
    assert run("content.png", "style.png", *MASKS) == 0
    assert torch.equal(written_masks("content", (120, 160))[SKY], CONTENT.masks[0])


def sky_only_style(folder: Path) -> None:
    Image.fromarray(np.full((140, 120, 3), PALETTE[SKY], np.uint8)).save(folder / "style_mask.png")


def test_an_orphan_can_be_an_error(folder, capsys):
    sky_only_style(folder)
    assert "style mask: no region for green" in refused(
        capsys, "content.png", "style.png", *MASKS, "--orphans", "error"
    )


def test_an_orphan_can_be_dropped(folder):
    sky_only_style(folder)
    assert run("content.png", "style.png", *MASKS, "--orphans", "drop") == 0
    masks = written_masks("content", (120, 160))
    assert list(masks) == [SKY] and torch.equal(masks[SKY], CONTENT.masks[0])


def test_an_orphan_cannot_have_the_whole_style(folder, capsys):
    sky_only_style(folder)
    assert 'orphans: "global" cannot be written as masks' in refused(
        capsys, "content.png", "style.png", *MASKS, "--orphans", "global"
    )


def test_what_alpha_hides_is_transparent_in_the_mask(folder):
    alpha = np.full((120, 160), 255, np.uint8)
    alpha[:, :60] = 0
    Image.fromarray(np.dstack([CONTENT.array, alpha])).save("content.png")
    assert run("content.png", "style.png") == 0
    written = np.asarray(Image.open("out/content_mask.png").convert("RGBA"))
    np.testing.assert_array_equal(written[..., 3], alpha)
    covered = sum(written_masks("content", (120, 160)).values())
    assert float(covered[:, :60].sum()) == 0 and float(covered[:, 60:].sum()) == 120 * 100


@pytest.mark.parametrize(
    "visible, kept",
    [
        # Nine pixels are less than a two-thousandth of the photo, but not of what shows of it.
        pytest.param((slice(20, 80), slice(20, 80)), True, id="cut out"),
        pytest.param((slice(0, 120), slice(32, 160)), False, id="all but two pixels of it hidden"),
    ],
)
def test_written_masks_give_the_regions_that_they_were_written_from(folder, visible, kept):
    region_map = CONTENT.region_map.copy()
    region_map[30:33, 30:33] = 2
    if not kept:
        region_map[30:60, 30:33] = 2
        region_map[32:60, 32] = 1
    alpha = np.zeros((120, 160), np.uint8)
    alpha[visible] = 255
    Image.fromarray(np.dstack([CONTENT.array, alpha])).save("content.png")
    Image.fromarray(region_map.astype(np.uint8) * 40).save("content_mask.png")
    assert run("content.png", *MASKS[:2]) == 0
    first = written_masks("content", (120, 160))
    assert len(first) == (3 if kept else 2)
    pair = fastphoto.prepare_pair(*[read_photo("content.png")] * 2, *["out/content_mask.png"] * 2, size=160)
    assert set(pair.names) == set(first)
    for name, mask in zip(pair.names, pair.content_masks, strict=True):
        assert torch.equal(mask, first[name]), name


def test_strokes_are_grown_in_their_colours(folder):
    assert run("content.png", "style.png", *STROKES) == 0
    assert written_names() == {"red": "red", "purple": "purple"}
    for role, photo in (("content", CONTENT), ("style", STYLE)):
        sky = written_masks(role, photo.region_map.shape)["red"].numpy() == 1
        assert (sky == (photo.region_map == 0)).mean() > 0.97, role


def test_strokes_of_one_photo_are_grown_at_its_own_size(folder):
    assert run("content.png", *STROKES[:2], "--size", "40") == 0
    grown = fastphoto.grow_scribbles(CONTENT.pixels, read_masks("content_strokes.png", (120, 160)))
    masks = written_masks("content", (120, 160))
    assert tuple(masks) == grown.names == ("red", "purple")
    assert agreement(torch.stack(list(masks.values())), grown.masks) > 0.999


# Files that exist


def test_masks_are_not_overwritten_unless_asked(folder, capsys):
    assert run("content.png") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "content_mask.png", "content_overlay.jpg", "names.json",
    ]  # fmt: skip
    mask = Path("out/content_mask.png")
    Image.new("RGB", (160, 120), (0, 0, 255)).save(mask)
    edited = mask.read_bytes()
    assert "exists and may have been edited" in refused(capsys, "content.png")
    assert mask.read_bytes() == edited
    assert run("content.png", "--overwrite") == 0
    assert mask.read_bytes() != edited


def test_a_mask_of_another_style_is_not_left_beside_new_regions(folder, capsys):
    assert run("content.png", "style.png") == 0
    assert "style_mask.png: would stay beside the regions of another photo" in refused(
        capsys, "content.png", "--overwrite"
    )


def test_an_input_is_never_overwritten(folder, capsys):
    assert run("content.png") == 0
    words = ["content.png", "--content-mask", "out/content_mask.png", "--overwrite"]
    assert "also an input" in refused(capsys, *words)


class Interrupting(str):
    """Text at which somebody presses Ctrl-C while it is written, after all other files."""

    def __add__(self, other: str) -> Interrupting:
        return Interrupting(str(self) + other)

    def encode(self, *_: object) -> bytes:
        raise KeyboardInterrupt


@pytest.mark.parametrize("existing", [True, False], ids=["over files", "new folder"])
def test_an_interrupted_write_changes_nothing(existing, tmp_path, monkeypatch):
    regions = RegionMasks(("a", "b"), CONTENT.masks)
    if existing:
        write_regions(tmp_path, {"content": (read_photo(STYLE.pixels), RegionMasks(("a", "b"), STYLE.masks))})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    dumps = json.dumps
    monkeypatch.setattr(export.json, "dumps", lambda *words, **options: Interrupting(dumps(*words, **options)))
    with pytest.raises(KeyboardInterrupt):
        write_regions(tmp_path, {"content": (read_photo(CONTENT.pixels), regions)})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
