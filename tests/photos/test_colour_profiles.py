"""Colours of images: every mode, grey of 16 and 32 bits, transparency, CMYK, and colour profiles there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from icc_profiles import ADOBE_RGB, LAB, SRGB
from PIL import Image
from smooth_pictures import as_pixels, smooth_picture

from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import to_source_kind, write_photo

pytestmark = pytest.mark.filterwarnings("error::fastphoto.errors.FastPhotoWarning")


# Modes


def image_of_mode(mode: str, through: str | None = None) -> Image.Image:
    """Return a smooth picture with a gradient as alpha, converted to a mode, some of them through another one."""
    image = Image.fromarray(smooth_picture(channels=4))
    image.putalpha(Image.linear_gradient("L").resize((32, 24)))
    return image.convert(mode) if through is None else image.convert(through).convert(mode)


def grey_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").convert("L")).astype(int)


@pytest.mark.parametrize(
    ("mode", "through", "limit"),
    [
        ("L", "RGB", 8),
        ("RGBX", "RGB", 8),
        ("YCbCr", "RGB", 8),
        ("HSV", "RGB", 8),
        ("P", "RGB", 20),  # dithered
        ("1", "RGB", 130),  # dithered
    ],
)
def test_a_mode_without_alpha_is_read(mode, through, limit):
    photo = read_photo(image_of_mode(mode, through))
    assert photo.alpha is None
    result = grey_of(to_source_kind(photo, photo.pixels))
    assert np.abs(result - grey_of(image_of_mode("RGB"))).mean() < limit


def test_a_bilevel_image_is_black_and_white():
    photo = read_photo(image_of_mode("1", "RGB"))
    assert set(photo.pixels.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(("mode", "through"), [("LA", None), ("La", "LA"), ("RGBA", None), ("RGBa", "RGBA")])
def test_a_mode_with_alpha_is_read(mode, through):
    photo = read_photo(image_of_mode(mode, through))
    assert photo.alpha is not None
    result = grey_of(to_source_kind(photo, photo.pixels))
    visible = (photo.alpha > 0.2).numpy()  # premultiplied colours of faint pixels are coarse
    assert np.abs(result - grey_of(image_of_mode("RGB")))[visible].mean() < 8


def test_a_palette_with_an_alpha_channel_is_read():
    photo = read_photo(image_of_mode("RGB").convert("P").convert("PA"))
    assert photo.alpha is not None
    result = grey_of(to_source_kind(photo, photo.pixels))
    assert np.abs(result - grey_of(image_of_mode("RGB"))).mean() < 20  # dithered


def test_the_transparency_of_a_palette_is_carried(tmp_path):
    image = Image.fromarray(np.repeat(np.arange(32, dtype=np.uint8)[None] % 4, 24, 0), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.save(tmp_path / "p.png", transparency=bytes([0, 128, 255, 255]))
    photo = read_photo(tmp_path / "p.png")
    np.testing.assert_allclose(photo.alpha[0, :4] * 255, [0, 128, 255, 255], atol=1e-4)
    np.testing.assert_allclose(photo.pixels[:, 0, 1], [0, 1, 0])
    result = to_source_kind(photo, photo.pixels)
    assert result.mode == "RGBA" and result.getpixel((1, 0)) == (0, 255, 0, 128)


def test_a_mode_that_pillow_cannot_convert_is_refused(monkeypatch):
    def convert(self, mode):
        raise ValueError("no conversion")

    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(InputError, match="a HSV image cannot be read as a photo"):
        read_photo(Image.new("HSV", (20, 20)))


# Grey of more than 8 bits

RAMP = np.linspace(0, 65535, 20 * 30).reshape(20, 30).round().astype(np.uint16)


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_grey_of_16_bits_is_read_with_all_of_them(extension, tmp_path):
    path = tmp_path / f"p.{extension}"
    Image.fromarray(RAMP).save(path)
    photo = read_photo(path)
    assert photo.bits == 16
    np.testing.assert_allclose(photo.pixels[2], RAMP / 65535, atol=1e-7)
    result = np.asarray(to_source_kind(photo, photo.pixels))
    np.testing.assert_array_equal(result[..., 1], np.round(RAMP / 257).astype(np.uint8))


def test_grey_of_32_bit_integers_may_use_16_of_them():
    np.testing.assert_allclose(read_photo(Image.fromarray(RAMP.astype(np.int32))).pixels[0], RAMP / 65535, atol=1e-7)
    with pytest.raises(InputError, match="65535"):
        read_photo(Image.fromarray(RAMP.astype(np.int32) + 1))


def test_negative_grey_values_are_refused():
    with pytest.raises(InputError, match="32-bit grey values -5 to -5"):
        read_photo(Image.new("I", (20, 20), -5))


def test_grey_of_floats_must_be_in_range():
    values = np.random.default_rng(0).random((20, 20), np.float32)
    photo = read_photo(Image.fromarray(values))
    assert photo.bits == 32
    np.testing.assert_allclose(photo.pixels[0], values, atol=1e-7)
    with pytest.raises(InputError, match="divide by 255"):
        read_photo(Image.fromarray(values * 255))


# Colour profiles


def test_an_srgb_profile_changes_nothing_and_is_carried(tmp_path):
    array = smooth_picture()
    Image.fromarray(array).save(tmp_path / "p.png", icc_profile=SRGB)
    photo = read_photo(tmp_path / "p.png")
    assert torch.equal(photo.pixels, as_pixels(array))
    result = to_source_kind(photo, photo.pixels)
    np.testing.assert_array_equal(np.asarray(result), array)
    assert result.info["icc_profile"] == SRGB


def muted_adobe_rgb(path: Path, channels: int) -> np.ndarray:
    """Save colours inside the gamuts of both Adobe RGB and sRGB, and return their values in Adobe RGB."""
    array = 96 + smooth_picture(channels=channels) // 4
    Image.fromarray(array).save(path, icc_profile=ADOBE_RGB)
    return array


@pytest.mark.parametrize("channels", [3, 4], ids=["opaque", "alpha"])
def test_a_wide_gamut_photo_is_converted_to_srgb(channels, tmp_path):
    array = muted_adobe_rgb(tmp_path / "p.png", channels)[..., :3] / 255
    pixels = read_photo(tmp_path / "p.png").pixels.permute(1, 2, 0).numpy()
    to_xyz = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
    from_xyz = np.linalg.inv(
        np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    )
    linear = (array ** (563 / 256) @ to_xyz.T @ from_xyz.T).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(pixels - srgb).max() < 2 / 255
    assert np.abs(pixels - array).max() > 6 / 255, "not converted"


@pytest.mark.parametrize("channels", [3, 4], ids=["opaque", "alpha"])
def test_a_wide_gamut_photo_is_written_in_its_profile(channels, tmp_path):
    array = muted_adobe_rgb(tmp_path / "p.png", channels)
    photo = read_photo(tmp_path / "p.png")
    write_photo(tmp_path / "o.tif", photo, photo.pixels)
    with Image.open(tmp_path / "o.tif") as written:
        assert written.info["icc_profile"] == ADOBE_RGB
        assert np.abs(np.asarray(written).astype(int) - array).max() <= 2


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(b"garbage", id="garbage"),
        pytest.param(ADOBE_RGB[:200], id="cut off"),
        pytest.param(LAB, id="for LAB"),
    ],
)
def test_an_unusable_profile_is_ignored_with_a_warning(profile):
    array = smooth_picture()
    image = Image.fromarray(array)
    image.info["icc_profile"] = profile
    with pytest.warns(FastPhotoWarning, match="profile is unusable"):
        photo = read_photo(image)
    assert torch.equal(photo.pixels, as_pixels(array))
    assert "icc_profile" not in to_source_kind(photo, photo.pixels).info


def test_a_colour_profile_of_a_grey_image_is_ignored_with_a_warning():
    grey = Image.fromarray(smooth_picture()[..., 0])
    grey.info["icc_profile"] = ADOBE_RGB
    with pytest.warns(FastPhotoWarning, match="it is for RGB, the image is L"):
        read_photo(grey)


def test_a_profile_of_a_16_bit_image_is_ignored_with_a_warning():
    image = Image.fromarray(RAMP)
    image.info["icc_profile"] = b"whatever"
    with pytest.warns(FastPhotoWarning, match="profile of a I;16 image is not applied"):
        read_photo(image)


def test_cmyk_becomes_srgb(tmp_path):
    array = smooth_picture()
    Image.fromarray(array).convert("CMYK").save(tmp_path / "p.jpg", quality=100, subsampling=0)
    with pytest.warns(FastPhotoWarning, match="CMYK"):
        photo = read_photo(tmp_path / "p.jpg")
    assert (photo.pixels - as_pixels(array)).abs().mean() < 0.02
    assert to_source_kind(photo, photo.pixels).mode == "RGB"
