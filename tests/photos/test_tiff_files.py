"""TIFF files beyond what Pillow reads: float colours by libvips, CIELAB, and what is refused by its name."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms
from smooth_pictures import as_pixels, smooth_picture

from fastphoto.errors import FileError, InputError
from fastphoto.photos import float_colours
from fastphoto.photos.read import read_photo
from fastphoto.photos.tiff_tags import TiffContents, tiff_contents
from fastphoto.photos.write import write_photo
from fastphoto.regions.reading import read_masks

pytestmark = pytest.mark.filterwarnings("error::fastphoto.errors.FastPhotoWarning")


def save_tiff(path, values: np.ndarray, **options) -> None:
    pyvips = pytest.importorskip("pyvips", reason="such files need libvips, fastphoto[deep]")
    interpretation = options.pop("interpretation", "rgb")
    pyvips.Image.new_from_array(values).copy(interpretation=interpretation).tiffsave(str(path), **options)


FLOATS = np.random.default_rng(0).random((24, 32, 4)).astype(np.float32)


@pytest.mark.parametrize("channels", [3, 4], ids=["opaque", "alpha"])
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"tile": True, "compression": "deflate"}], ids=str)
def test_float_colours_are_read_to_the_last_bit(channels, options, tmp_path):
    values = FLOATS[..., :channels].copy()
    save_tiff(tmp_path / "f.tif", values, **options)
    photo = read_photo(tmp_path / "f.tif")
    np.testing.assert_array_equal(photo.pixels.permute(1, 2, 0), values[..., :3])
    assert (photo.alpha is None) == (channels == 3)
    if photo.alpha is not None:
        np.testing.assert_array_equal(photo.alpha, values[..., -1])


def test_a_result_of_float_colours_has_16_bits(tmp_path):
    save_tiff(tmp_path / "f.tif", FLOATS[..., :3].copy())
    photo = read_photo(tmp_path / "f.tif")
    write_photo(tmp_path / "r.tif", photo, photo.pixels)
    again = read_photo(tmp_path / "r.tif")
    assert again.bits == 16 and (again.pixels - photo.pixels).abs().max() <= 0.5 / 65535 + 1e-7


def test_float_colours_beyond_1_are_refused(tmp_path):
    save_tiff(tmp_path / "f.tif", FLOATS[..., :3] * 255)
    with pytest.raises(InputError, match=r"f.tif: float values must be in \[0, 1\].*divide by 255"):
        read_photo(tmp_path / "f.tif")


def test_float_colours_cut_short_are_damaged(tmp_path):
    save_tiff(tmp_path / "f.tif", FLOATS[..., :3].copy())
    data = bytearray((tmp_path / "f.tif").read_bytes())
    (tmp_path / "f.tif").write_bytes(data[:8] + data[3000:])  # the tags lie after the pixels
    with pytest.raises(FileError, match=r"f.tif: ") as caught:
        read_photo(tmp_path / "f.tif")
    assert "\n" not in str(caught.value)


CUT_SHORT = r"damaged image file \(a TIFF that is cut short: its list of tags is missing\)$"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kept", [4, 8, 2000, -100], ids=str)
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
def test_a_tiff_cut_short_before_its_tags_end_is_damaged_and_nothing_else(kept, big, tmp_path):
    save_tiff(tmp_path / "whole.tif", FLOATS[..., :3].copy(), bigtiff=big)
    data = (tmp_path / "whole.tif").read_bytes()
    if kept < 0:  # within the list, which libvips writes behind the pixels and before the values that are longer
        kept = int.from_bytes(data[8:16] if big else data[4:8], "little") + 50
    (tmp_path / "f.tif").write_bytes(data[:kept])
    for read in (read_photo, lambda path: read_masks(path, (24, 32))):
        with pytest.raises(FileError, match=CUT_SHORT):
            read(tmp_path / "f.tif")


TAGS = {256: 32, 257: 24, 258: 7, 262: 1, 277: 1}  # width, height, bits, colours, channels


def tiff_of_tags(order: str, big: bool, tags: dict[int, int]) -> bytes:
    """Return a TIFF file of these tags, each a number of 16 bits, and no pixels."""
    mark = b"II" if order == "<" else b"MM"
    head = (
        struct.pack(order + "HHHQQ", 43, 8, 0, 16, len(tags)) if big else struct.pack(order + "HIH", 42, 8, len(tags))
    )
    entry = order + ("HHQH6x" if big else "HHIH2x")
    return mark + head + b"".join(struct.pack(entry, tag, 3, 1, value) for tag, value in tags.items()) + bytes(8)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
def test_the_tags_of_each_kind_of_tiff_are_read(order, big):
    expected = TiffContents("grey", 1, 7, "unsigned")
    assert tiff_contents(io.BytesIO(tiff_of_tags(order, big, TAGS)), "t.tif") == expected
    assert str(expected) == "1 unsigned channel of 7 bits (grey)"


@pytest.mark.parametrize("missing", [258, 262], ids=["bits", "colours"])
def test_a_tiff_that_does_not_say_what_it_holds_gets_no_description(missing):
    data = tiff_of_tags("<", False, {tag: value for tag, value in TAGS.items() if tag != missing})
    assert tiff_contents(io.BytesIO(data), "t.tif") is None
    with pytest.raises(FileError, match="^content: damaged image file "):
        read_photo(data)


def test_the_filters_of_warnings_stay_as_they_are_while_tags_are_read():
    before, seen = list(warnings.filters), []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            seen.append(list(warnings.filters))
            return super().read(size)

    assert tiff_contents(Watched(tiff_of_tags("<", False, TAGS)), "t.tif") is not None
    assert len(seen) > 1 and all(filters == before for filters in seen), "a change that other threads would see"


def test_without_libvips_a_line_says_what_reads_float_colours(tmp_path, monkeypatch):
    save_tiff(tmp_path / "f.tif", FLOATS[..., :3].copy())
    monkeypatch.setattr(float_colours, "can_read_sixteen_bits", lambda: False)
    with pytest.raises(FileError, match=r"f.tif: a TIFF of float colours; pip install fastphoto\[deep\] reads it$"):
        read_photo(tmp_path / "f.tif")


@pytest.mark.parametrize(
    ("values", "interpretation", "line"),
    [
        pytest.param((FLOATS[..., :3] * 2**31).astype(np.uint32), "rgb", "3 unsigned channels of 32 bits", id="uint32"),
        pytest.param(FLOATS[..., :3].astype(np.float64), "rgb", "3 float channels of 64 bits", id="float64"),
        pytest.param((FLOATS[..., :3] * 100).astype(np.float32), "lab", "3 float channels of 32 bits", id="float Lab"),
    ],
)
def test_a_tiff_that_cannot_be_read_is_called_one(values, interpretation, line, tmp_path):
    save_tiff(tmp_path / "t.tif", values, interpretation=interpretation)
    with pytest.raises(
        FileError, match=rf"t.tif: a TIFF of {line} \(\w+\) cannot be read; save it as RGB with 8 or 16"
    ):
        read_photo(tmp_path / "t.tif")


@pytest.mark.parametrize("profile", ["LAB", "sRGB", None])
def test_cielab_is_converted_whatever_profile_comes_with_it(profile, tmp_path):
    array = smooth_picture(40, 48)
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.fromarray(array), to_lab)
    icc = profile and ImageCms.ImageCmsProfile(ImageCms.createProfile(profile)).tobytes()
    lab.save(tmp_path / "lab.tif", icc_profile=icc)
    photo = read_photo(tmp_path / "lab.tif")
    assert photo.icc is None
    # 8 bits of L, a and b: a step of one moves a channel by up to 10 of 255, most channels by 1 or 2.
    difference = (photo.pixels - as_pixels(array)).abs()
    assert difference.mean() < 3 / 255 and difference.max() < 20 / 255


def test_a_mask_of_float_colours_is_refused(tmp_path):
    save_tiff(tmp_path / "m.tif", FLOATS[..., :3].copy())
    with pytest.raises(FileError, match="m.tif: a TIFF of 3 float channels of 32 bits"):
        read_masks(tmp_path / "m.tif", (24, 32))
