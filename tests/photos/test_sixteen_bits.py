"""Photos of 16 bits per channel: what is read is written again to the last bit, with profile, alpha and orientation."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from icc_profiles import ADOBE_RGB
from PIL import Image

from fastphoto.cli import command as cli
from fastphoto.errors import FastPhotoWarning, FileError
from fastphoto.photos import read
from fastphoto.photos.read import read_photo
from fastphoto.photos.sixteen_bits import read_sixteen_bits
from fastphoto.photos.write import write_photo

pyvips = pytest.importorskip("pyvips", reason="16-bit colour needs libvips, fastphoto[deep]")


def values(channels: int = 3, height: int = 24, width: int = 32) -> np.ndarray:
    """Smooth colours with differences below eight bits."""
    y, x = np.mgrid[:height, :width]
    planes = [(y * 700 + x * 911 + c * 5000) % 65536 for c in range(channels)]
    return np.stack(planes, -1).astype(np.uint16)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def save_png(path: Path, array: np.ndarray, *extra: tuple[bytes, bytes]) -> None:
    """By the format's definition, not by the library that is tested."""
    height, width, channels = array.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    body += b"".join(chunk(*each) for each in extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def load_png(path: Path) -> np.ndarray:
    image = pyvips.Image.new_from_file(str(path))
    assert image.format == "ushort"
    return image.numpy()


def profile_chunk(icc: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"test\0\0" + zlib.compress(icc)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_what_is_read_is_written_to_the_last_bit(channels, extension, tmp_path):
    array = values(channels)
    save_png(tmp_path / "p.png", array)
    photo = read_photo(tmp_path / "p.png")
    assert photo.bits == 16
    np.testing.assert_allclose(photo.pixels.permute(1, 2, 0), array[..., :3] / 65535, atol=1e-7)
    write_photo(tmp_path / f"r.{extension}", photo, photo.pixels)
    np.testing.assert_array_equal(load_png(tmp_path / f"r.{extension}"), array)
    again = read_photo(tmp_path / f"r.{extension}")
    assert torch.equal(again.pixels, photo.pixels) and (again.alpha is None) == (channels == 3)
    if channels == 4:
        np.testing.assert_allclose(again.alpha, array[..., 3] / 65535, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 2])
def test_grey_is_kept_too(channels, tmp_path):
    array = values(channels)
    save_png(tmp_path / "p.png", array)
    photo = read_photo(tmp_path / "p.png")
    for plane in photo.pixels:
        np.testing.assert_allclose(plane, array[..., 0] / 65535, atol=1e-7)
    write_photo(tmp_path / "r.png", photo, photo.pixels)
    written = load_png(tmp_path / "r.png")
    assert written.shape[2] == channels + 2
    np.testing.assert_array_equal(written[..., 1], array[..., 0])


def test_a_wide_profile_is_converted_and_written_back_with_16_bits(tmp_path):
    array = (values() // 4 + 20000).astype(np.uint16)  # colours that sRGB holds
    save_png(tmp_path / "p.png", array, profile_chunk(ADOBE_RGB))
    photo = read_photo(tmp_path / "p.png")
    assert not photo.icc_is_srgb and photo.bits == 16
    eight = Image.fromarray((array / 257).round().astype(np.uint8))
    eight.save(tmp_path / "8.png", icc_profile=ADOBE_RGB)
    assert (photo.pixels - read_photo(tmp_path / "8.png").pixels).abs().max() < 0.006, (
        "as Pillow's conversion of 8 bits"
    )
    assert len(torch.unique(photo.pixels[0])) > 300
    write_photo(tmp_path / "r.png", photo, photo.pixels)
    assert np.abs(load_png(tmp_path / "r.png").astype(int) - array).max() < 40, "of 65535, there and back"
    with Image.open(tmp_path / "r.png") as written:
        assert written.info["icc_profile"] == ADOBE_RGB


def test_orientation_settings_and_resolution(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photo"
    array = values()
    density = (b"pHYs", struct.pack(">IIB", 11811, 11811, 1))  # 300 dots an inch
    save_png(tmp_path / "p.png", array, (b"eXIf", exif.tobytes()[6:]), density)
    photo = read_photo(tmp_path / "p.png")
    np.testing.assert_allclose(photo.pixels.permute(1, 2, 0), np.rot90(array, -1) / 65535, atol=1e-7)
    write_photo(tmp_path / "r.png", photo, photo.pixels)
    with Image.open(tmp_path / "r.png") as written:
        assert written.getexif().get(0x010E) == "a photo" and written.getexif().get(0x0112, 1) == 1
        assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    np.testing.assert_array_equal(load_png(tmp_path / "r.png"), np.rot90(array, -1))


def test_other_formats_and_other_kinds_of_photo_have_8_bits(tmp_path):
    save_png(tmp_path / "p.png", values())
    photo = read_photo(tmp_path / "p.png")
    write_photo(tmp_path / "r.jpg", photo, photo.pixels)
    array = read_photo(values())
    write_photo(tmp_path / "r.png", array, array.pixels)
    with Image.open(tmp_path / "r.png") as written:
        assert written.mode == "RGB" and np.asarray(written).dtype == np.uint8
    assert pyvips.Image.new_from_file(str(tmp_path / "r.png")).format == "uchar"


def test_a_transfer_from_file_to_file_keeps_16_bits(tmp_path):
    save_png(tmp_path / "content.png", values(3, 48, 64))
    save_png(tmp_path / "style.png", values(3, 40, 48)[::-1])
    words = ["transfer", tmp_path / "content.png", tmp_path / "style.png", "-o", tmp_path / "r.tif", "--set", "steps=2"]
    assert cli.main([*map(str, words), "--quiet"]) == 0
    result = load_png(tmp_path / "r.tif")
    assert result.shape == (48, 64, 3) and len(np.unique(result)) > 1000


def test_without_libvips_a_remark_says_how_to_get_it(tmp_path, monkeypatch):
    save_png(tmp_path / "p.png", values())
    monkeypatch.setattr(read, "can_read_sixteen_bits", lambda: False)
    with pytest.warns(FastPhotoWarning, match=r"read with 8 bits; pip install fastphoto\[deep\]"):
        photo = read_photo(tmp_path / "p.png")
    assert photo.bits == 8
    (tmp_path / "p.ppm").write_bytes(b"P6\n20 20\n65535\n" + b"\x80\x00" * 1200)
    with pytest.warns(FastPhotoWarning, match="read with 8 bits$"):
        read_photo(tmp_path / "p.ppm")


def test_what_libvips_refuses_is_one_line(tmp_path):
    Image.new("CMYK", (20, 20)).save(tmp_path / "p.tif")
    with pytest.raises(FileError, match=r"p.tif: cannot be read with 16 bits \(4 channels of uchar\)"):
        read_sixteen_bits(tmp_path / "p.tif", wide=False)
    (tmp_path / "p.png").write_bytes(b"nothing")
    with pytest.raises(FileError, match="cannot be read with 16 bits") as error:
        read_sixteen_bits(tmp_path / "p.png", wide=False)
    assert "\n" not in str(error.value)
