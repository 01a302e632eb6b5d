"""The EXIF orientation is applied, and EXIF data is carried to the result without what would be wrong of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from smooth_pictures import as_pixels, smooth_picture

from fastphoto.photos.decode import apply_orientation
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import write_photo

pytestmark = pytest.mark.filterwarnings("error::fastphoto.errors.FastPhotoWarning")

ORIENTATION, DESCRIPTION, MAKE = 0x0112, 0x010E, 0x010F
CAMERA_SETTINGS, FOCAL_LENGTH, DATE, PIXEL_WIDTH = 0x8769, 0x920A, 0x9003, 0xA002


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Return what a stored picture shows, by the definition of the EXIF orientation; unknown ones change nothing."""
    mirrored = stored[:, ::-1]
    turned = {
        2: mirrored, 3: mirrored[::-1], 4: stored[::-1], 5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1), 7: np.rot90(stored, 2).transpose(1, 0, 2), 8: np.rot90(stored),
    }  # fmt: skip
    return turned.get(orientation, stored)


def save_with_exif(path: Path, stored: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "maker"
    exif.get_ifd(CAMERA_SETTINGS).update({FOCAL_LENGTH: 50.0, PIXEL_WIDTH: 30})
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}.get(path.suffix, {})
    Image.fromarray(stored).save(path, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 9, 65535])
@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])
def test_the_exif_orientation_is_applied(orientation, extension, tmp_path):
    stored = smooth_picture(20, 30)
    save_with_exif(tmp_path / f"photo.{extension}", stored, orientation)
    photo = read_photo(tmp_path / f"photo.{extension}")
    expected = upright(stored, orientation)
    assert photo.size == expected.shape[:2]
    assert (photo.pixels - as_pixels(expected)).abs().max() < 0.05


@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 9, 65535])
@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("output", ["o.jpg", "o.png", "o.tif", "o.webp"])
def test_exif_is_carried_to_the_result_without_orientation_and_sizes(orientation, extension, output, tmp_path):
    stored = smooth_picture(20, 30)
    save_with_exif(tmp_path / f"photo.{extension}", stored, orientation)
    photo = read_photo(tmp_path / f"photo.{extension}")
    write_photo(tmp_path / output, photo, photo.pixels)
    with Image.open(tmp_path / output) as written:
        exif = written.getexif()
        settings = exif.get_ifd(CAMERA_SETTINGS)
        assert exif[MAKE] == "maker" and settings[FOCAL_LENGTH] == 50.0
        assert ORIENTATION not in exif, "the orientation is carried, and would be applied twice"
        assert PIXEL_WIDTH not in settings, "a size is carried, which is wrong after a rotation"
        assert written.size == upright(stored, orientation).shape[1::-1]


def test_an_opened_image_is_turned_upright_and_not_changed(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(smooth_picture(20, 30)).save(tmp_path / "p.jpg", exif=exif)
    with Image.open(tmp_path / "p.jpg") as image:
        assert read_photo(image).size == (30, 20)
        assert image.size == (30, 20), "(width, height) changed although only read"
        assert image.getexif()[ORIENTATION] == 6, "changed although only read"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_dropped(tmp_path):
    Image.fromarray(smooth_picture()).save(tmp_path / "p.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert read_photo(tmp_path / "p.jpg").size == (24, 32)


@pytest.fixture
def image() -> Image.Image:
    return Image.fromarray(smooth_picture())


def test_exif_larger_than_a_jpeg_segment_is_dropped(image):
    image.getexif()[DESCRIPTION] = "x" * 70_000
    assert apply_orientation(image)[1] is None


def test_exif_that_cannot_be_written_is_dropped(image, monkeypatch):
    image.getexif()[DESCRIPTION] = "short"
    monkeypatch.setattr(Image.Exif, "tobytes", lambda self: 1 / 0)
    assert apply_orientation(image) == (image, None)


def test_exif_that_cannot_be_read_is_dropped(image, monkeypatch):
    monkeypatch.setattr(Image.Image, "getexif", lambda self: 1 / 0)
    assert apply_orientation(image) == (image, None)


def test_camera_settings_alone_are_carried_without_the_sizes_of_the_photo(image):
    image.getexif().get_ifd(CAMERA_SETTINGS).update({DATE: "2026:01:01 00:00:00", PIXEL_WIDTH: 48})
    carried = Image.Exif()
    carried.load(apply_orientation(image)[1])
    assert dict(carried.get_ifd(CAMERA_SETTINGS)) == {DATE: "2026:01:01 00:00:00"}
