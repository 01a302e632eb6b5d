"""Sequences of images: a folder or a pattern in, the same kind out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rendered_photos import dusk
from tiny_clips import panned

import fastphoto

STYLE = dusk(48, 64)
FAST = {"size": 64, "steps": 1, "scales": 1.0, "regions": "none"}


def written(folder: Path, names: list[str], size: tuple[int, int] = (63, 95)) -> Path:
    """Write images of odd sides, which no video of 4:2:0 could have."""
    folder.mkdir()
    for name, values in zip(names, panned("day", len(names)), strict=True):
        image = Image.fromarray(np.round(values * 255).astype(np.uint8)[: size[0], : size[1]])
        image.save(folder / name)
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_gives_a_folder_with_the_same_names(tmp_path):
    names = [f"shot-{number}.png" for number in (8, 9, 10, 11)]
    source = written(tmp_path / "in", names)
    (source / "notes.txt").write_text("not an image")
    done = fastphoto.transfer_video(source, STYLE.array, tmp_path / "out", **FAST)
    assert done.frames == done.total == 4
    assert names_in(tmp_path / "out") == sorted(names)
    assert Image.open(tmp_path / "out/shot-8.png").size == (95, 63)
    assert names_in(tmp_path) == ["in", "out"], "something temporary is left"


def test_numbers_are_in_their_order(tmp_path):
    """shot-9 comes before shot-10: the first result is that of a clip that begins with 8."""
    names = [f"shot-{number}.png" for number in (8, 9, 10)]
    source = written(tmp_path / "in", names)
    seen = []
    fastphoto.transfer_video(source, STYLE.array, tmp_path / "out", callback=lambda p: seen.append(p.frames), **FAST)
    from fastphoto.video.image_sequences import ImageSequence

    assert [path.name for path in ImageSequence(source).images] == names and seen == [1, 2, 3]


def test_a_pattern_gives_a_pattern(tmp_path):
    source = written(tmp_path / "in", ["0007.png", "0008.png", "other.png"])
    fastphoto.transfer_video(source / "%04d.png", STYLE.array, tmp_path / "out/frame-%d.jpg", **FAST)
    assert names_in(tmp_path / "out") == ["frame-7.jpg", "frame-8.jpg"]


def test_alpha_is_kept(tmp_path):
    source = written(tmp_path / "in", ["1.png", "2.png"])
    for path in source.iterdir():
        image = Image.open(path).convert("RGBA")
        image.putalpha(200)
        image.save(path)
    fastphoto.transfer_video(source, STYLE.array, tmp_path / "out", **FAST)
    assert Image.open(tmp_path / "out/1.png").getextrema()[3] == (200, 200)


def test_sixteen_bits_are_kept(tmp_path):
    pyvips = pytest.importorskip("pyvips", reason="16-bit colour needs libvips, fastphoto[deep]")
    (tmp_path / "in").mkdir()
    for number, values in enumerate(panned("day", 2)):
        deep = np.round(values * 65535).astype(np.uint16)
        pyvips.Image.new_from_array(deep, interpretation="rgb16").pngsave(str(tmp_path / f"in/{number}.png"))
    fastphoto.transfer_video(tmp_path / "in", STYLE.array, tmp_path / "out", **FAST)
    assert fastphoto.read_photo(tmp_path / "out/0.png").bits == 16


@pytest.mark.parametrize(
    ("source", "output", "error"),
    [
        pytest.param("in", "in", "also the input", id="the same folder"),
        pytest.param("in/%d.png", "in/%d.png", "also the input", id="the same pattern"),
        pytest.param("in", "out.mp4", "images give images", id="a video"),
        pytest.param("in", "nowhere/out", "does not exist", id="no folder for the folder"),
        pytest.param("in", "out/%d.txt", "cannot write this kind", id="no image"),
        pytest.param("in", "file", "needs a folder", id="a file"),
        pytest.param("empty", "out", "no images", id="an empty folder"),
        pytest.param("in/frame-%d.png", "out", "no images", id="a pattern that fits nothing"),
        pytest.param("nowhere/%d.png", "out", "does not exist", id="a pattern in no folder"),
    ],
)
def test_what_is_refused(source, output, error, tmp_path):
    written(tmp_path / "in", ["1.png", "2.png"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"an older file")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(fastphoto.FastPhotoError, match=error):
        fastphoto.transfer_video(tmp_path / source, STYLE.array, tmp_path / output, **FAST)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:200]), "2.png", id="damaged"),
        pytest.param(lambda path: Image.new("RGB", (40, 40)).save(path), "40x40 pixels, but the first", id="size"),
    ],
)
def test_an_image_that_cannot_be_used_leaves_nothing(spoil, error, tmp_path):
    spoil(written(tmp_path / "in", ["1.png", "2.png"]) / "2.png")
    with pytest.raises(fastphoto.FastPhotoError, match=error):
        fastphoto.transfer_video(tmp_path / "in", STYLE.array, tmp_path / "out", **FAST)
    assert names_in(tmp_path) == ["in"]
