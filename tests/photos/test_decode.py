"""Images decoded: every format, animations, and files and opened images that cannot be read."""

from __future__ import annotations

import builtins
import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from fuzz import fuzz_images
from PIL import Image, features
from smooth_pictures import as_pixels, smooth_picture

from fastphoto.errors import FastPhotoWarning, FileError, InputError
from fastphoto.photos import decode, sixteen_bits
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import to_source_kind

pytestmark = pytest.mark.filterwarnings("error::fastphoto.errors.FastPhotoWarning")


# Formats


@pytest.mark.parametrize(
    ("extension", "options", "limit"),
    [
        ("png", {}, 1e-7),
        ("tif", {}, 1e-7),
        ("bmp", {}, 1e-7),
        ("ppm", {}, 1e-7),
        ("gif", {}, 0.05),
        ("jpg", {"quality": 97, "subsampling": 0}, 0.01),
        ("webp", {"quality": 98}, 0.015),
        pytest.param(
            "avif",
            {"quality": 98},
            0.015,
            marks=pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF"),
        ),
    ],
)
def test_every_format_is_read(extension, options, limit, tmp_path):
    array, path = smooth_picture(48, 64), tmp_path / f"photo.{extension}"
    Image.fromarray(array).save(path, **options)
    photo = read_photo(path)
    assert (photo.pixels - as_pixels(array)).abs().mean() < limit
    result = to_source_kind(photo, photo.pixels)
    assert isinstance(result, Image.Image) and result.mode == "RGB" and result.size == (64, 48)


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "tif"])
def test_an_animation_gives_its_first_frame_and_a_warning(extension, tmp_path):
    path = tmp_path / f"a.{extension}"
    lossless = {"webp": {"lossless": True}}.get(extension, {})
    red, blue = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    red.save(path, save_all=True, append_images=[blue], **lossless)
    with pytest.warns(FastPhotoWarning, match="2 frames"):
        photo = read_photo(path)
    assert photo.pixels[:, 5, 5].tolist() == [1, 0, 0]


def test_a_wrong_extension_is_read_with_a_warning(tmp_path):
    Image.fromarray(smooth_picture()).save(tmp_path / "p.png", format="JPEG")
    with pytest.warns(FastPhotoWarning, match="holds JPEG"):
        read_photo(tmp_path / "p.png")


@pytest.mark.parametrize("installed", [True, False])
def test_a_ppm_of_16_bits_is_read_with_8_and_a_warning(installed, tmp_path, monkeypatch):
    (tmp_path / "p.ppm").write_bytes(b"P6\n20 20\n65535\n" + b"\x80\x00" * 1200)
    monkeypatch.setattr(sixteen_bits, "can_read_sixteen_bits", lambda: installed)
    with pytest.warns(FastPhotoWarning, match="read with 8 bits$"):
        photo = read_photo(tmp_path / "p.ppm")
    assert photo.bits == 8 and (photo.pixels - 0.5).abs().max() < 0.01


# Files that cannot be read


def png_file() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def decompression_bomb() -> bytes:
    """Return a small PNG file that claims 20000x20000 pixels."""
    data = bytearray(png_file())
    data[16:24] = struct.pack(">II", 20_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: None, "no such file", id="missing"),
        pytest.param(lambda path: path.mkdir(), "is a folder", id="folder"),
        pytest.param(lambda path: path.symlink_to(path), "cannot be read", id="link to itself"),
        pytest.param(lambda path: path.write_bytes(b""), "is empty", id="empty"),
        pytest.param(lambda path: path.write_bytes(png_file()[:20]), "image", id="head only"),
        pytest.param(lambda path: path.write_bytes(png_file()[: len(png_file()) // 2]), "damaged", id="half"),
        pytest.param(lambda path: path.write_text("<!doctype html><p>Not found"), "not an image", id="html"),
        pytest.param(
            lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n"),
            "not an image",
            id="postscript",
        ),
        pytest.param(
            lambda path: path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64), "HEIC", id="heic"
        ),
        pytest.param(lambda path: path.write_bytes(decompression_bomb()), "pixels", id="decompression bomb"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_it(make, message, tmp_path):
    path = tmp_path / "photo.png"
    make(path)
    with pytest.raises(FileError, match=message) as caught:
        read_photo(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_the_pixel_limit_is_not_raised_by_pillows(tmp_path, monkeypatch):
    (tmp_path / "p.png").write_bytes(decompression_bomb())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(FileError, match="20000x20000"):
        read_photo(tmp_path / "p.png")


def test_the_pixel_limit_is_not_lowered_by_pillows(tmp_path, monkeypatch):
    Image.fromarray(smooth_picture(64, 64)).save(tmp_path / "small.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # fewer than 64 x 64: Pillow would warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_photo(tmp_path / "small.png").size == (64, 64)


ODD_NAMES = pytest.mark.parametrize("name", ["a\nb.png", "-rf.png", "é 写真.png", b"\xff\xfe.png"])


@ODD_NAMES
def test_a_missing_file_of_an_odd_name_is_one_printable_line(name, tmp_path):
    with pytest.raises(FileError, match="no such file") as caught:
        read_photo(os.path.join(tmp_path, os.fsdecode(name)))
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


@ODD_NAMES
def test_a_file_of_an_odd_name_is_read(name, tmp_path):
    path = os.path.join(tmp_path, os.fsdecode(name))
    try:
        Image.fromarray(smooth_picture()).save(path)
    except OSError:
        pytest.skip("this file system refuses the name")
    assert read_photo(path).size == (24, 32)


def test_changed_files_are_read_or_refused_in_one_line(tmp_path, capfd):
    """A part of what `make fuzz` does."""
    with warnings.catch_warnings():
        counts = fuzz_images(2000, 1, tmp_path / "changed")
    assert counts["read"] > 200 and counts["refused"] > 200 and counts.total() == 2000
    assert capfd.readouterr().err == "", "a decoder printed to stderr"


def test_a_file_without_permission_to_read(tmp_path, monkeypatch):
    Image.fromarray(smooth_picture()).save(tmp_path / "p.png")
    real = builtins.open

    def refusing(path, *arguments, **options):
        if str(path).endswith("p.png"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", refusing)
    with pytest.raises(FileError, match=r"p.png: cannot be read \(Permission denied\)"):
        read_photo(tmp_path / "p.png")


def test_a_closed_stderr_does_not_matter(tmp_path, monkeypatch):
    Image.fromarray(smooth_picture()).save(tmp_path / "p.tif")
    real = os.dup

    def closed(number):
        if number == 2:
            raise OSError(9, "Bad file descriptor")
        return real(number)

    monkeypatch.setattr(os, "dup", closed)
    assert read_photo(tmp_path / "p.tif").size == (24, 32)


# Opened images that cannot be read


def test_an_opened_image_that_is_damaged():
    with pytest.raises(FileError, match="content: the image cannot be decoded"):
        read_photo(Image.open(io.BytesIO(png_file()[:-900])))


def test_an_opened_image_that_is_too_large(monkeypatch):
    monkeypatch.setattr(decode, "PIXEL_LIMIT", 1000)
    with pytest.raises(InputError, match="content: 64x64 pixels; at most 0 million"):
        read_photo(Image.open(io.BytesIO(png_file())))
