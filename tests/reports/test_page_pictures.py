"""Pictures of a page: their size, their file format, and what is lost."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from rendered_photos import day

from fastphoto.reports.page_pictures import EncodedPicture, encode_picture


def decoded(picture: EncodedPicture) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2])))


def with_alpha(alpha: int) -> np.ndarray:
    return np.dstack([day().array, np.full((48, 64), alpha, np.uint8)])


def test_wide_picture_is_shrunk_smoothly():
    picture = encode_picture(day(60, 240).array, "wide", 100)
    assert (picture.width, picture.height) == decoded(picture).size == (100, 25)
    expected = day(60, 240).array[:, :, 0].reshape(3, 20, 12, 20).mean((1, 3))
    blocks = np.asarray(decoded(picture), float)[:24, :96, 0].reshape(3, 8, 12, 8).mean((1, 3))
    assert np.abs(blocks - expected).mean() < 5


def test_narrow_picture_keeps_its_size():
    picture = encode_picture(day(240, 60).array, "narrow", 100)
    assert (picture.width, picture.height) == decoded(picture).size == (60, 240)


def test_photo_becomes_jpeg():
    picture = encode_picture(day().array, "photo", 999)
    assert picture.uri.startswith("data:image/jpeg")
    assert np.abs(np.asarray(decoded(picture), float) - day().array).mean() < 4


def test_mask_becomes_png_and_stays_exact():
    picture = encode_picture(day().mask_picture, "mask", 999)
    assert picture.uri.startswith("data:image/png")
    assert np.array_equal(np.asarray(decoded(picture).convert("RGB")), day().mask_picture)


def test_transparency_is_kept():
    assert np.array_equal(np.asarray(decoded(encode_picture(with_alpha(60), "a", 999))), with_alpha(60))


def test_opaque_alpha_is_dropped():
    assert encode_picture(with_alpha(255), "a", 999) == encode_picture(day().array, "a", 999)


@pytest.mark.parametrize("size, ratio", [((48, 64), "1.3333"), ((90, 30), "0.3333")], ids=["landscape", "portrait"])
def test_ratio_is_width_over_height(size, ratio):
    assert encode_picture(day(*size).array, "a", 999).ratio == ratio
