"""Image files: real files of every format, metadata, damaged files, and writing whole or not at all."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzz import fuzz_images
from PIL import Image, features

from fastphoto.errors import FastPhotoWarning, FileError, InputError
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import check_output, to_source_kind, write_photo


def picture(height: int = 24, width: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A smooth uint8 picture (H, W, C), so that lossy formats stay close to it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, channels), np.uint8)
    planes = [
        Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)
    ]
    return np.stack([np.asarray(p) for p in planes], -1)


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1))).float() / 255


@pytest.fixture(autouse=True)
def no_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FastPhotoWarning)
        yield


# Files


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "webp", "bmp", "ppm", "gif", "avif"])
def test_every_format_is_read(extension, tmp_path):
    if extension == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    array, path = picture(48, 64), tmp_path / f"photo.{extension}"
    options = {"jpg": {"quality": 97, "subsampling": 0}, "webp": {"quality": 98}, "avif": {"quality": 98}}
    Image.fromarray(array).save(path, **options.get(extension, {}))
    photo = read_photo(path)
    error = (photo.pixels - as_tensor(array)).abs().mean()
    assert error < {"gif": 0.05, "jpg": 0.01, "webp": 0.015, "avif": 0.015}.get(extension, 1e-7)
    result = to_source_kind(photo, photo.pixels)
    assert isinstance(result, Image.Image) and result.mode == "RGB" and result.size == (64, 48)


@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 9, 65535])
@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])
def test_exif_orientation_is_applied_once_and_removed(orientation, extension, tmp_path):
    stored = picture(20, 30)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "maker"
    exif.get_ifd(0x8769).update({0x920A: 50.0, 0xA002: 30})
    path = tmp_path / f"photo.{extension}"
    lossless = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(extension, {})
    Image.fromarray(stored).save(path, exif=exif.tobytes(), **lossless)
    flip = stored[:, ::-1]
    upright = {
        2: flip, 3: flip[::-1], 4: stored[::-1], 5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1), 7: np.rot90(stored, 2).transpose(1, 0, 2), 8: np.rot90(stored),
    }.get(orientation, stored)  # fmt: skip
    photo = read_photo(path)
    assert photo.size == upright.shape[:2]
    assert (photo.pixels - as_tensor(upright)).abs().max() < 0.05
    for kind in ("jpg", "png", "tif", "webp"):
        out = tmp_path / f"out.{kind}"
        write_photo(out, photo, photo.pixels)
        with Image.open(out) as written:
            kept = written.getexif()
            assert 0x0112 not in kept and kept[0x010F] == "maker"
            assert kept.get_ifd(0x8769)[0x920A] == 50.0 and 0xA002 not in kept.get_ifd(0x8769)
            assert written.size == upright.shape[1::-1]


def test_an_opened_image_is_turned_upright_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(20, 30)).save(tmp_path / "p.jpg", exif=exif)
    with Image.open(tmp_path / "p.jpg") as image:
        assert read_photo(image).size == (30, 20)
        assert image.size == (30, 20) and image.getexif()[0x0112] == 6  # (width, height): still as it was


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_dropped(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "p.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert read_photo(tmp_path / "p.jpg").size == (24, 32)


def test_sixteen_bit_grey_keeps_its_precision(tmp_path):
    values = np.linspace(0, 65535, 20 * 30).reshape(20, 30).round().astype(np.uint16)
    for name in ("p.png", "p.tif"):
        Image.fromarray(values).save(tmp_path / name)
        photo = read_photo(tmp_path / name)
        assert photo.bits == 16
        np.testing.assert_allclose(photo.pixels[2], values / 65535, atol=1e-7)
        np.testing.assert_array_equal(
            np.asarray(to_source_kind(photo, photo.pixels))[..., 1], np.round(values / 257).astype(np.uint8)
        )
    wide = Image.fromarray(values.astype(np.int32))
    np.testing.assert_allclose(read_photo(wide).pixels[0], values / 65535, atol=1e-7)
    with pytest.raises(InputError, match="65535"):
        read_photo(Image.fromarray(values.astype(np.int32) + 1))


def test_float_images_must_be_in_range():
    values = np.random.default_rng(0).random((20, 20), np.float32)
    np.testing.assert_allclose(read_photo(Image.fromarray(values)).pixels[0], values, atol=1e-7)
    with pytest.raises(InputError, match="divide by 255"):
        read_photo(Image.fromarray(values * 255))


def test_sixteen_bit_colour_of_a_ppm_is_read_with_a_warning(tmp_path):
    """That of PNG and TIFF is for test_deep_files.py."""
    (tmp_path / "p.ppm").write_bytes(b"P6\n20 20\n65535\n" + b"\x80\x00" * 1200)
    with pytest.warns(FastPhotoWarning, match="8 bits"):
        photo = read_photo(tmp_path / "p.ppm")
    assert (photo.pixels - 0.5).abs().max() < 0.01


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV"])
def test_every_mode_is_read(mode):
    base = Image.fromarray(picture(24, 32, 4))
    base.putalpha(Image.linear_gradient("L").resize((32, 24)))
    route = {"La": "LA", "RGBa": "RGBA", "PA": "P", "YCbCr": "RGB", "HSV": "RGB"}.get(mode, mode)
    source = base.convert("RGB").convert(route) if route in ("P", "1", "RGB", "RGBX", "L") else base.convert(route)
    source = source if route == mode else source.convert(mode)
    photo = read_photo(source)
    grey = np.asarray(base.convert("L"))
    decoded = np.asarray(to_source_kind(photo, photo.pixels).convert("RGB").convert("L")).astype(int)
    has_alpha = mode in ("LA", "La", "RGBA", "RGBa")
    strong = photo.alpha > 0.2 if has_alpha else torch.ones(24, 32, dtype=torch.bool)
    limit = {"1": 130, "P": 20, "PA": 20}.get(mode, 8)  # these are dithered
    assert np.abs(decoded - grey)[strong.numpy()].mean() < limit
    assert (photo.alpha is not None) == (has_alpha or mode == "PA")
    if mode == "1":
        assert set(photo.pixels.unique().tolist()) == {0.0, 1.0}


def test_palette_transparency_is_carried(tmp_path):
    image = Image.fromarray(np.repeat(np.arange(32, dtype=np.uint8)[None] % 4, 24, 0), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.save(tmp_path / "p.png", transparency=bytes([0, 128, 255, 255]))
    photo = read_photo(tmp_path / "p.png")
    np.testing.assert_allclose(photo.alpha[0, :4] * 255, [0, 128, 255, 255], atol=1e-4)
    np.testing.assert_allclose(photo.pixels[:, 0, 1], [0, 1, 0])
    result = to_source_kind(photo, photo.pixels)
    assert result.mode == "RGBA" and result.getpixel((1, 0)) == (0, 255, 0, 128)


def test_alpha_follows_the_result_and_is_flattened_on_white_for_jpeg(tmp_path):
    array = picture(24, 32, 4)
    array[..., 3] = 0
    array[:, 16:, 3] = 255
    photo = read_photo(Image.fromarray(array))
    black = torch.zeros(3, 24, 32)
    write_photo(tmp_path / "o.png", photo, black)
    with Image.open(tmp_path / "o.png") as written:
        np.testing.assert_array_equal(np.asarray(written.getchannel("A")), array[..., 3])
    with pytest.warns(FastPhotoWarning, match="white"):
        write_photo(tmp_path / "o.jpg", photo, black)
    with Image.open(tmp_path / "o.jpg") as written:
        assert written.getpixel((4, 12)) == (255, 255, 255) and written.getpixel((28, 12)) == (0, 0, 0)
    assert to_source_kind(photo, torch.zeros(3, 12, 16)).size == (16, 12)


def test_animations_give_their_first_frame_and_a_warning(tmp_path):
    frames = [Image.new("RGB", (20, 20), c) for c in ("red", "blue")]
    for extension in ("gif", "webp", "png", "tif"):
        path = tmp_path / f"a.{extension}"
        frames[0].save(
            path,
            save_all=True,
            append_images=frames[1:],
            **({"lossless": True} if extension == "webp" else {}),
        )
        with pytest.warns(FastPhotoWarning, match="2 frames"):
            photo = read_photo(path)
        assert photo.pixels[:, 5, 5].tolist() == [1, 0, 0]


# Bad files


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.png"
    good = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(good, "PNG")
    data = good.getvalue()
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "html":
        path.write_text("<!doctype html><p>Not found")
    elif kind == "postscript":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n")
    elif kind == "heic":
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64)
    elif kind == "bomb":
        broken = bytearray(data)
        broken[16:24] = struct.pack(">II", 20_000, 20_000)
        broken[29:33] = struct.pack(">I", zlib.crc32(bytes(broken[12:29])))
        path.write_bytes(broken)
    elif kind != "missing":
        cut = {"empty": 0, "head": 20, "pixels": len(data) // 2}
        path.write_bytes(data[: cut[kind]])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"), ("folder", "is a folder"), ("fifo", "not a regular file"),
        ("loop", "cannot be read"), ("empty", "is empty"), ("head", "image"), ("pixels", "damaged"),
        ("html", "not an image"), ("postscript", "not an image"), ("heic", "HEIC"), ("bomb", "pixels"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_line_that_names_it(kind, message, tmp_path):
    path = bad_file(kind, tmp_path)
    with pytest.raises(FileError, match=message) as caught:
        read_photo(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_the_pixel_limit_does_not_depend_on_pillows(tmp_path, monkeypatch):
    path = bad_file("bomb", tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(FileError, match="20000x20000"):
        read_photo(path)
    Image.fromarray(picture(64, 64)).save(tmp_path / "small.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # 4096 pixels: Pillow would warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_photo(tmp_path / "small.png").size == (64, 64)


@pytest.mark.parametrize("name", ["a\nb.png", "-rf.png", "é 写真.png", b"\xff\xfe.png"])
def test_odd_names(name, tmp_path):
    path = os.path.join(tmp_path, os.fsdecode(name))
    with pytest.raises(FileError, match="no such file") as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()
    try:
        Image.fromarray(picture()).save(path)
    except OSError:
        pytest.skip("this file system refuses the name")
    assert read_photo(path).size == (24, 32)


def test_a_wrong_extension_is_read_with_a_warning(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "p.png", format="JPEG")
    with pytest.warns(FastPhotoWarning, match="holds JPEG"):
        read_photo(tmp_path / "p.png")


def test_changed_files_never_escape(tmp_path, capfd):
    """Some of what `make fuzz` does; nothing that decodes them writes to stderr either."""
    with warnings.catch_warnings():
        found = fuzz_images(2000, 1, tmp_path / "changed")
    assert found["read"] > 200 and found["refused"] > 200 and found.total() == 2000
    assert capfd.readouterr().err == ""


# Writing


@pytest.mark.parametrize("extension", ["png", "jpg", "JPEG", "tif", "tiff", "webp"])
def test_what_is_written_reads_back(extension, tmp_path):
    photo = read_photo(picture(40, 50))
    path = tmp_path / f"out.{extension}"
    path.write_bytes(b"older")
    write_photo(path, photo, photo.pixels)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    again = read_photo(path).pixels
    limit = {"png": 1e-6, "tif": 1e-6, "tiff": 1e-6, "webp": 0.03}.get(extension, 0.015)
    assert (again - photo.pixels).abs().mean() < limit
    if extension == "JPEG":
        with Image.open(path) as written:
            assert all(h == v == 1 for _, h, v, _ in written.layer)


def test_the_new_file_obeys_the_umask(tmp_path):
    photo = read_photo(picture())
    before = os.umask(0o027)
    try:
        write_photo(tmp_path / "o.png", photo, photo.pixels)
    finally:
        os.umask(before)
    assert (tmp_path / "o.png").stat().st_mode & 0o777 == 0o640


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "o.webp"
    path.write_bytes(b"older")
    photo = read_photo(np.zeros((16, 17_000), np.uint8))  # WebP holds at most 16383 pixels on a side
    with pytest.raises(FileError, match="cannot be written"):
        write_photo(path, photo, photo.pixels)
    assert path.read_bytes() == b"older" and list(tmp_path.iterdir()) == [path]


def test_an_output_link_is_followed_not_replaced(tmp_path):
    (tmp_path / "real.png").write_bytes(b"older")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    photo = read_photo(picture())
    write_photo(tmp_path / "link.png", photo, photo.pixels)
    assert (tmp_path / "link.png").is_symlink() and read_photo(tmp_path / "real.png").size == (24, 32)


def test_check_output_refuses_before_the_run(tmp_path):
    content = tmp_path / "content.png"
    Image.fromarray(picture()).save(content)
    os.link(content, tmp_path / "same.png")
    (tmp_path / "folder.png").mkdir()
    assert check_output(tmp_path / "o.JPG", [content, None, picture()]) == "JPEG"
    for path, error, message in (
        (content, InputError, "also an input"),
        (tmp_path / "same.png", InputError, "also an input"),
        (tmp_path / "o.gif", InputError, r"\.png, \.jpg"),
        (tmp_path / "o", InputError, r"\.png, \.jpg"),
        (tmp_path / "folder.png", FileError, "is a folder"),
        (tmp_path / "missing" / "o.png", FileError, "does not exist"),
    ):
        with pytest.raises(error, match=message):
            check_output(path, [content])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_check_output_refuses_an_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="no permission"):
        check_output(tmp_path / "o.png")
