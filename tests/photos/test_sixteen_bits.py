"""Colours of 16 bits a channel: read and written to the last bit, with profile, alpha, orientation and resolution."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from icc_profiles import ADOBE_RGB
from PIL import Image

from fastphoto.cli.command import main
from fastphoto.errors import FastPhotoWarning, FileError
from fastphoto.photos import sixteen_bits
from fastphoto.photos.arrays import pixels_and_alpha
from fastphoto.photos.read import read_photo
from fastphoto.photos.sixteen_bits import read_sixteen_bits, sixteen_bit_values
from fastphoto.photos.write import write_photo

pyvips = pytest.importorskip("pyvips", reason="16-bit colour needs libvips, fastphoto[deep]")


def gradients(channels: int = 3, height: int = 24, width: int = 32) -> np.ndarray:
    """Return (H, W, C) uint16 colours whose steps are finer than 8 bits."""
    y, x = np.mgrid[:height, :width]
    planes = [(y * 700 + x * 911 + c * 5000) % 65536 for c in range(channels)]
    return np.stack(planes, -1).astype(np.uint16)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def save_png(path: Path, array: np.ndarray, *extra: tuple[bytes, bytes]) -> None:
    """Write a PNG file of 16 bits a channel by the format's definition, not by the library that is tested."""
    height, width, channels = array.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    metadata = b"".join(chunk(*each) for each in extra)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + metadata + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def load_sixteen_bits(path: Path) -> np.ndarray:
    image = pyvips.Image.new_from_file(str(path))
    assert image.format == "ushort"
    return image.numpy()


def profile_chunk(icc: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"test\0\0" + zlib.compress(icc)


@pytest.mark.parametrize("channels", [3, 4], ids=["opaque", "alpha"])
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_what_is_read_is_written_to_the_last_bit(channels, extension, tmp_path):
    array = gradients(channels)
    save_png(tmp_path / "p.png", array)
    photo = read_photo(tmp_path / "p.png")
    assert photo.bits == 16
    np.testing.assert_allclose(photo.pixels.permute(1, 2, 0), array[..., :3] / 65535, atol=1e-7)
    write_photo(tmp_path / f"r.{extension}", photo, photo.pixels)
    np.testing.assert_array_equal(load_sixteen_bits(tmp_path / f"r.{extension}"), array)
    again = read_photo(tmp_path / f"r.{extension}")
    assert torch.equal(again.pixels, photo.pixels) and (again.alpha is None) == (channels == 3)


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_alpha_is_read_back_from_the_written_file(extension, tmp_path):
    array = gradients(4)
    save_png(tmp_path / "p.png", array)
    photo = read_photo(tmp_path / "p.png")
    write_photo(tmp_path / f"r.{extension}", photo, photo.pixels)
    np.testing.assert_allclose(read_photo(tmp_path / f"r.{extension}").alpha, array[..., 3] / 65535, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 2], ids=["opaque", "alpha"])
def test_grey_comes_back_in_colour(channels, tmp_path):
    array = gradients(channels)
    save_png(tmp_path / "p.png", array)
    photo = read_photo(tmp_path / "p.png")
    for plane in photo.pixels:
        np.testing.assert_allclose(plane, array[..., 0] / 65535, atol=1e-7)
    write_photo(tmp_path / "r.png", photo, photo.pixels)
    written = load_sixteen_bits(tmp_path / "r.png")
    assert written.shape[2] == channels + 2
    np.testing.assert_array_equal(written[..., 1], array[..., 0])


def test_a_wide_profile_is_converted_and_written_back_with_16_bits(tmp_path):
    array = (gradients() // 4 + 20000).astype(np.uint16)  # colours that sRGB holds
    save_png(tmp_path / "p.png", array, profile_chunk(ADOBE_RGB))
    photo = read_photo(tmp_path / "p.png")
    assert not photo.icc_is_srgb and photo.bits == 16
    eight = Image.fromarray((array / 257).round().astype(np.uint8))
    eight.save(tmp_path / "8.png", icc_profile=ADOBE_RGB)
    converted_by_pillow = read_photo(tmp_path / "8.png").pixels
    assert (photo.pixels - converted_by_pillow).abs().max() < 0.006
    assert len(torch.unique(photo.pixels[0])) > 300
    write_photo(tmp_path / "r.png", photo, photo.pixels)
    assert np.abs(load_sixteen_bits(tmp_path / "r.png").astype(int) - array).max() < 40  # of 65535
    with Image.open(tmp_path / "r.png") as written:
        assert written.info["icc_profile"] == ADOBE_RGB


def test_orientation_is_applied_and_exif_and_resolution_are_carried(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photo"
    array = gradients()
    density = (b"pHYs", struct.pack(">IIB", 11811, 11811, 1))  # 300 dots an inch
    save_png(tmp_path / "p.png", array, (b"eXIf", exif.tobytes()[6:]), density)
    photo = read_photo(tmp_path / "p.png")
    np.testing.assert_allclose(photo.pixels.permute(1, 2, 0), np.rot90(array, -1) / 65535, atol=1e-7)
    write_photo(tmp_path / "r.png", photo, photo.pixels)
    with Image.open(tmp_path / "r.png") as written:
        assert written.getexif().get(0x010E) == "a photo" and written.getexif().get(0x0112, 1) == 1
        assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    np.testing.assert_array_equal(load_sixteen_bits(tmp_path / "r.png"), np.rot90(array, -1))


def test_a_jpeg_of_a_16_bit_photo_has_8_bits(tmp_path):
    save_png(tmp_path / "p.png", gradients())
    photo = read_photo(tmp_path / "p.png")
    write_photo(tmp_path / "r.jpg", photo, photo.pixels)
    with Image.open(tmp_path / "r.jpg") as written:
        assert written.mode == "RGB" and np.asarray(written).dtype == np.uint8


def test_a_png_of_a_16_bit_array_has_8_bits(tmp_path):
    photo = read_photo(gradients())
    write_photo(tmp_path / "r.png", photo, photo.pixels)
    with Image.open(tmp_path / "r.png") as written:
        assert written.mode == "RGB" and np.asarray(written).dtype == np.uint8
    assert pyvips.Image.new_from_file(str(tmp_path / "r.png")).format == "uchar"


def test_alpha_that_only_pillow_reads_is_carried(tmp_path):
    save_png(tmp_path / "p.png", gradients())
    alpha = np.arange(256, dtype=np.uint8).repeat(3).reshape(24, 32)
    eight_bit_values = np.dstack([np.zeros((24, 32, 3), np.uint8), alpha])
    with (tmp_path / "p.png").open("rb") as file:
        values = sixteen_bit_values(file, "p.png", "PNG", eight_bit_values, convert=False)
    np.testing.assert_array_equal(values[..., :3], gradients())
    expected, result = (pixels_and_alpha(each, "p.png")[1] for each in (eight_bit_values, values))
    assert torch.equal(result, expected), "alpha of 8 bits changed in 16"


def test_a_transfer_from_file_to_file_keeps_16_bits(tmp_path):
    save_png(tmp_path / "content.png", gradients(3, 48, 64))
    save_png(tmp_path / "style.png", gradients(3, 40, 48)[::-1])
    words = ["transfer", tmp_path / "content.png", tmp_path / "style.png", "-o", tmp_path / "r.tif", "--set", "steps=2"]
    assert main([*map(str, words), "--quiet"]) == 0
    result = load_sixteen_bits(tmp_path / "r.tif")
    assert result.shape == (48, 64, 3) and len(np.unique(result)) > 1000


def test_without_libvips_a_png_is_read_with_8_bits_and_a_hint(tmp_path, monkeypatch):
    save_png(tmp_path / "p.png", gradients())
    monkeypatch.setattr(sixteen_bits, "can_read_sixteen_bits", lambda: False)
    with pytest.warns(FastPhotoWarning, match=r"read with 8 bits; pip install fastphoto\[deep\]"):
        photo = read_photo(tmp_path / "p.png")
    assert photo.bits == 8


def test_a_colour_space_that_libvips_cannot_read_is_one_line(tmp_path):
    Image.new("CMYK", (20, 20)).save(tmp_path / "p.tif")
    with (
        (tmp_path / "p.tif").open("rb") as file,
        pytest.raises(FileError, match=r"p.tif: cannot be read with 16 bits \(4 channels of uchar\)"),
    ):
        read_sixteen_bits(file, "p.tif", convert=False)


def test_a_file_that_libvips_refuses_is_one_line():
    with pytest.raises(FileError, match="cannot be read with 16 bits") as error:
        read_sixteen_bits(io.BytesIO(b"nothing"), "p.png", convert=False)
    assert "\n" not in str(error.value)
