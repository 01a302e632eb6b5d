"""Results written: every format, alpha, files left whole, and outputs and values that are refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image
from smooth_pictures import smooth_picture

from fastphoto.errors import FastPhotoWarning, FileError, InputError
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import check_output, to_source_kind, write_photo

pytestmark = pytest.mark.filterwarnings("error::fastphoto.errors.FastPhotoWarning")


# Files


@pytest.mark.parametrize(
    ("extension", "limit"),
    [("png", 1e-6), ("tif", 1e-6), ("tiff", 1e-6), ("jpg", 0.015), ("JPEG", 0.015), ("webp", 0.03)],
)
def test_what_is_written_reads_back(extension, limit, tmp_path):
    photo = read_photo(smooth_picture(40, 50))
    path = tmp_path / f"out.{extension}"
    path.write_bytes(b"older")
    write_photo(path, photo, photo.pixels)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert (read_photo(path).pixels - photo.pixels).abs().mean() < limit


def test_a_jpeg_has_full_chroma(tmp_path):
    photo = read_photo(smooth_picture())
    write_photo(tmp_path / "o.jpg", photo, photo.pixels)
    with Image.open(tmp_path / "o.jpg") as written:
        assert all(horizontal == vertical == 1 for _, horizontal, vertical, _ in written.layer)


def test_the_new_file_obeys_the_umask(tmp_path):
    photo = read_photo(smooth_picture())
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
    photo = read_photo(smooth_picture())
    write_photo(tmp_path / "link.png", photo, photo.pixels)
    assert (tmp_path / "link.png").is_symlink() and read_photo(tmp_path / "real.png").size == (24, 32)


# Alpha

BLACK = torch.zeros(3, 24, 32)


@pytest.fixture
def half_transparent() -> Photo:
    """Return a photo whose left half is transparent."""
    array = smooth_picture(channels=4)
    array[:, :16, 3], array[:, 16:, 3] = 0, 255
    return read_photo(Image.fromarray(array))


def test_a_result_gets_the_alpha_of_its_photo(half_transparent, tmp_path):
    write_photo(tmp_path / "o.png", half_transparent, BLACK)
    with Image.open(tmp_path / "o.png") as written:
        np.testing.assert_array_equal(np.asarray(written.getchannel("A")) / 255, half_transparent.alpha)


def test_a_jpeg_is_white_where_the_photo_is_transparent(half_transparent, tmp_path):
    with pytest.warns(FastPhotoWarning, match="white"):
        write_photo(tmp_path / "o.jpg", half_transparent, BLACK)
    with Image.open(tmp_path / "o.jpg") as written:
        assert written.getpixel((4, 12)) == (255, 255, 255) and written.getpixel((28, 12)) == (0, 0, 0)


def test_alpha_is_resized_to_a_smaller_result(half_transparent):
    assert to_source_kind(half_transparent, BLACK[:, ::2, ::2]).size == (16, 12)


# Values


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_result_that_is_not_finite_is_refused(bad, tmp_path):
    photo = read_photo(smooth_picture())
    pixels = photo.pixels.clone()
    pixels[1, 2, 3] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        to_source_kind(photo, pixels)
    with pytest.raises(InputError, match="NaN or infinite"):
        write_photo(tmp_path / "out.png", photo, pixels)
    assert not list(tmp_path.iterdir())


def test_a_result_is_clamped_not_wrapped():
    photo = read_photo(smooth_picture())
    result = to_source_kind(photo, torch.stack([torch.full((24, 32), value) for value in (-0.3, 1.4, 0.5)]))
    assert result[0, 0].tolist() == [0, 255, 128]


def test_a_batch_of_results_is_refused():
    with pytest.raises(InputError, match=r"shape \(1, 3, 24, 32\); give \(3, H, W\)"):
        to_source_kind(read_photo(smooth_picture()), torch.zeros(1, 3, 24, 32))


# Outputs


def test_the_extension_chooses_the_format(tmp_path):
    content = tmp_path / "content.png"
    content.write_bytes(b"")
    assert check_output(tmp_path / "o.JPG", [content, None, smooth_picture()]) == "JPEG"


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        pytest.param("content.png", InputError, "also an input", id="the input"),
        pytest.param("same.png", InputError, "also an input", id="a hard link to the input"),
        pytest.param("o.gif", InputError, r"\.png, \.jpg", id="an extension that is not written"),
        pytest.param("o", InputError, r"\.png, \.jpg", id="no extension"),
        pytest.param("folder.png", FileError, "is a folder", id="a folder"),
        pytest.param("fifo.png", FileError, "not a regular file", id="a FIFO"),
        pytest.param("missing/o.png", FileError, "does not exist", id="a missing folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(output, error, message, tmp_path):
    content = tmp_path / "content.png"
    Image.fromarray(smooth_picture()).save(content)
    os.link(content, tmp_path / "same.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "fifo.png")
    with pytest.raises(error, match=message):
        check_output(tmp_path / output, [content])


def test_an_output_in_a_folder_without_permission_to_write_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root, who may run the tests, may write everywhere
    with pytest.raises(FileError, match="no permission to write"):
        check_output(tmp_path / "o.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_in_an_unwritable_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="no permission"):
        check_output(tmp_path / "o.png")
