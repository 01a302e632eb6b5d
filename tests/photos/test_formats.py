"""Every format of the table: read, and where it is written, with its metadata and its colours."""

from __future__ import annotations

import pytest
from icc_profiles import ADOBE_RGB
from PIL import Image
from smooth_pictures import smooth_picture

from fastphoto.photos.formats import FORMATS
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import write_photo

EXTENSIONS = [pytest.param(each, extension, id=extension) for each in FORMATS for extension in each.extensions]
WRITTEN = [pytest.param(each, id=each.name) for each in FORMATS if each.save_options is not None]
MUTED = 96 + smooth_picture(40, 50) // 4  # inside both gamuts


@pytest.mark.parametrize(("file_format", "extension"), EXTENSIONS)
def test_a_file_of_each_extension_is_read(file_format, extension, tmp_path):
    path = tmp_path / f"photo{extension}"
    image = Image.fromarray(MUTED)
    image = {".pgm": image.convert("L"), ".pbm": image.convert("1")}.get(extension, image)
    image.save(path, format=file_format.name)
    photo = read_photo(path)
    assert photo.format == file_format.name and photo.size == (40, 50)
    if extension not in (".pgm", ".pbm"):
        assert abs(float(photo.pixels.mean()) - MUTED.mean() / 255) < 0.01


@pytest.mark.parametrize("file_format", WRITTEN)
def test_a_written_file_has_the_profile_and_the_exif_data_of_the_photo(file_format, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    Image.fromarray(MUTED).save(tmp_path / "photo.png", icc_profile=ADOBE_RGB, exif=exif)
    photo = read_photo(tmp_path / "photo.png")
    path = tmp_path / f"result{file_format.extensions[0]}"
    write_photo(path, photo, photo.pixels)
    with Image.open(path) as written:
        assert written.format == file_format.name
        assert written.info["icc_profile"] == ADOBE_RGB
        assert written.getexif()[0x010F] == "maker"
    assert (read_photo(path).pixels - photo.pixels).abs().mean() < 0.02
