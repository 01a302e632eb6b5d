"""Masks read from every kind of source, and sources that cannot be used."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from painted_masks import SIZE, encoded, numbered, painted
from PIL import Image

from fastphoto.errors import FastPhotoWarning, FileError, InputError
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_masks


@pytest.fixture(autouse=True)
def no_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FastPhotoWarning)
        yield


def test_no_mask_is_one_region():
    regions = read_masks(None, SIZE)
    assert regions.names == ("all",) and torch.equal(regions.masks, torch.ones(1, *SIZE))


# Palette colours


CONTAINERS = {
    "image": lambda rgb: Image.fromarray(rgb),
    "image with alpha": lambda rgb: Image.fromarray(rgb).convert("RGBA"),
    "indexed image": lambda rgb: Image.fromarray(rgb).quantize(16, dither=Image.Dither.NONE),
    "uint8 array": lambda rgb: rgb,
    "int64 array": lambda rgb: rgb.astype(np.int64),
    "float array": lambda rgb: rgb / 255,
    "tensor": lambda rgb: torch.from_numpy(rgb),
    "TIFF": lambda rgb: encoded(Image.fromarray(rgb), "TIFF"),
    "GIF": lambda rgb: encoded(Image.fromarray(rgb), "GIF"),
}
COLOURS = [tuple(PALETTE), ("black",), ("grey", "purple"), ("black", "grey", "white")]


def check_palette_mask(source: object, names: tuple[str, ...], region_map: np.ndarray) -> None:
    regions = read_masks(source, SIZE)
    assert regions.names == tuple(name for name in PALETTE if name in names)
    np.testing.assert_array_equal(numbered(regions, names), region_map)


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize("names", COLOURS, ids=["all nine", "black", "grey and purple", "greys"])
def test_palette_colours_in_every_container(names, container):
    region_map, rgb = painted(names)
    check_palette_mask(container(rgb), names, region_map)


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
@pytest.mark.parametrize("names", COLOURS, ids=["all nine", "black", "grey and purple", "greys"])
def test_palette_colours_in_a_file(names, kind, tmp_path):
    region_map, rgb = painted(names)
    Image.fromarray(rgb).save(tmp_path / "mask.png")
    check_palette_mask(kind(tmp_path / "mask.png"), names, region_map)


@pytest.mark.parametrize("names", [("black",), ("black", "grey", "white")], ids=["black", "greys"])
def test_palette_greys_in_a_grey_image(names):
    region_map, rgb = painted(names)
    check_palette_mask(Image.fromarray(rgb).convert("L"), names, region_map)


# Class ids


def check_ids(source: object) -> None:
    regions = read_masks(source, SIZE)
    names = ("0", "3", "17", "200")
    assert regions.names == names
    np.testing.assert_array_equal(numbered(regions, names), painted()[0])


def id_map(dtype: type) -> np.ndarray:
    return np.array([0, 3, 17, 200])[painted()[0]].astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint16])
def test_class_ids_in_an_array_keep_their_numbers(dtype):
    check_ids(id_map(dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_class_ids_in_a_tensor_keep_their_numbers(dtype):
    check_ids(torch.from_numpy(id_map(dtype)))
    check_ids(torch.from_numpy(id_map(dtype))[None].to(torch.int64))


@pytest.mark.parametrize("index", [np.s_[..., None], np.s_[None]], ids=["(H, W, 1)", "(1, H, W)"])
def test_an_axis_of_length_1_is_dropped(index):
    check_ids(id_map(np.int64)[index])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_class_ids_in_a_grey_file_keep_their_numbers(dtype, tmp_path):
    Image.fromarray(id_map(dtype)).save(tmp_path / "ids.png")
    check_ids(tmp_path / "ids.png")


def test_class_ids_in_an_indexed_file_keep_their_numbers(tmp_path):
    indexed = Image.fromarray(id_map(np.uint8), "P")
    indexed.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    indexed.save(tmp_path / "ids.png")
    check_ids(tmp_path / "ids.png")


@pytest.mark.parametrize("ids", [(0, 1), (0, 1, 2), (0, 1, 255), (4, 5)], ids=str)
def test_small_class_ids_in_a_grey_picture_are_not_taken_for_black(ids):
    picture = np.array(ids, np.uint8)[painted([*PALETTE][: len(ids)])[0]]
    assert read_masks(Image.fromarray(picture), SIZE).names == tuple(map(str, np.unique(picture)))


def test_negative_ids_belong_to_no_region():
    ids = painted()[0] - 1
    regions = read_masks(ids, SIZE)
    assert regions.names == ("0", "1", "2")
    np.testing.assert_array_equal(regions.masks.sum(0) == 0, ids == -1)


# Transparency and orientation


@pytest.mark.parametrize("kind", [Image.fromarray, np.asarray], ids=["image", "array"])
def test_transparent_pixels_belong_to_no_region(kind):
    region_map, rgb = painted()
    alpha = np.where(region_map == 1, 0, 255).astype(np.uint8)
    regions = read_masks(kind(np.dstack([rgb, alpha])), SIZE)
    assert regions.names == ("blue", "white", "red")
    np.testing.assert_array_equal(regions.masks.sum(0) == 0, region_map == 1)


def stroked() -> np.ndarray:
    """(H, W, 4): strokes of not quite palette colours on a transparent picture."""
    picture = np.zeros((*SIZE, 4), np.uint8)
    picture[8:11, 5:-5] = (253, 2, 2, 255)
    picture[-9:-6, 5:-5] = (253, 2, 253, 255)
    return picture


@pytest.mark.parametrize("kind", [Image.fromarray, np.asarray], ids=["image", "array"])
@pytest.mark.parametrize("beneath", ["photo", "brown", "black"])
def test_strokes_are_read_whatever_colours_lie_under_transparent_pixels(beneath, kind):
    strokes, photo = stroked(), np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    clear = strokes[..., 3] == 0
    colours = {"photo": photo, "brown": np.full_like(photo, (200, 90, 40)), "black": np.zeros_like(photo)}[beneath]
    strokes[clear, :3] = colours[clear]
    regions = read_masks(kind(strokes), SIZE, kind="strokes")
    assert regions.names == ("red", "purple")
    for mask, rows in zip(regions.masks, (slice(8, 11), slice(-9, -6)), strict=True):
        expected = torch.zeros(SIZE)
        expected[rows, 5:-5] = 1
        assert torch.equal(mask, expected)


def test_strokes_blurred_by_compression_are_refused_and_not_another_colour():
    strokes = stroked()
    strokes[strokes[..., 3] == 0, :3] = (200, 90, 40)
    with pytest.raises(InputError, match="far from the palette"):
        read_masks(encoded(Image.fromarray(strokes), "WEBP", quality=80), SIZE)


def test_strokes_of_an_indexed_picture_are_read(tmp_path):
    strokes = stroked()
    numbers = np.where(strokes[..., 3] == 0, 2, np.where(strokes[..., 2] > 100, 1, 0)).astype(np.uint8)
    indexed = Image.fromarray(numbers, "P")
    indexed.putpalette([*PALETTE["red"], *PALETTE["purple"], 10, 20, 30])
    indexed.save(tmp_path / "indexed.png", transparency=2)
    regions = read_masks(tmp_path / "indexed.png", SIZE)
    assert regions.names == ("red", "purple")
    np.testing.assert_array_equal(numbered(regions, regions.names), np.where(numbers == 2, -1, numbers.astype(int)))


def test_half_transparent_pixels_are_part_of_their_region():
    picture = Image.fromarray(np.dstack([painted()[1], np.full(SIZE, 140, np.uint8)]))
    with pytest.warns(FastPhotoWarning, match="transparent"):
        assert bool((read_masks(picture, SIZE).masks.sum(0) == 1).all())


def test_the_orientation_of_a_mask_is_applied(tmp_path):
    region_map, rgb = painted()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(rgb)).save(tmp_path / "mask.png", exif=exif)
    regions = read_masks(tmp_path / "mask.png", SIZE)
    np.testing.assert_array_equal(numbered(regions, ("blue", "black", "white", "red")), region_map)


# Soft masks


SOFT = np.random.default_rng(0).random((3, *SIZE)).astype(np.float32)


@pytest.mark.parametrize(
    "source",
    [SOFT, SOFT.astype(np.float64), torch.from_numpy(SOFT), torch.from_numpy(SOFT).double()],
    ids=["float32 array", "float64 array", "float32 tensor", "float64 tensor"],
)
def test_soft_masks_keep_their_values(source):
    regions = read_masks(source, SIZE)
    assert regions.names == ("0", "1", "2") and regions.masks.dtype == torch.float32
    np.testing.assert_allclose(regions.masks, SOFT, atol=1e-7)


def test_named_masks_are_read_from_every_kind(tmp_path):
    Image.fromarray((SOFT[0] * 255).astype(np.uint8)).save(tmp_path / "sky.png")
    Image.fromarray((SOFT[1] * 65535).astype(np.uint16)).save(tmp_path / "sea.png")
    named = {
        "sky": tmp_path / "sky.png",
        "sea": Image.open(tmp_path / "sea.png"),
        "sand": torch.from_numpy(SOFT[2]),
        "rock": SOFT[0] > 0.5,
        "tree": (SOFT[1] * 255).astype(np.uint8),
    }
    regions = read_masks(named, SIZE)
    assert regions.names == tuple(named)
    expected, errors = (SOFT[0], SOFT[1], SOFT[2], SOFT[0] > 0.5, SOFT[1]), (4e-3, 2e-5, 0, 0, 4e-3)
    for name, mask, values, error in zip(named, regions.masks, expected, errors, strict=True):
        np.testing.assert_allclose(mask, values, atol=error, err_msg=name)


HALF = np.repeat(np.arange(SIZE[1])[None] < 60, SIZE[0], 0)


def indexed_picture(values: np.ndarray, table: list[int]) -> Image.Image:
    picture = Image.fromarray(values.astype(np.uint8), "P")
    picture.putpalette(table)
    return picture


VOC_TABLE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
ONE_MASK = {
    "grey of 0 and 1": Image.fromarray(HALF.astype(np.uint8)),
    "grey of 0 and 255": Image.fromarray(HALF.astype(np.uint8) * 255),
    "16 bits of 0 and 1": Image.fromarray(HALF.astype(np.uint16)),
    "16 bits of 0 and 65535": Image.fromarray(HALF.astype(np.uint16) * 65535),
    "one bit": Image.fromarray(HALF.astype(np.uint8) * 255).convert("1"),
    "indexed, in colours": indexed_picture(HALF * 3, VOC_TABLE),
    "indexed, in greys": indexed_picture(1 - HALF, [255, 255, 255, 0, 0, 0]),
}


@pytest.mark.parametrize("picture", ONE_MASK.values(), ids=ONE_MASK)
def test_named_pictures_of_two_values_are_0_and_1(picture, tmp_path):
    picture.save(tmp_path / "mask.png")
    for source in (picture, tmp_path / "mask.png"):
        np.testing.assert_array_equal(read_masks({"sky": source}, SIZE).masks[0], HALF)


@pytest.mark.parametrize("shade", [1, 0.5])
def test_a_named_float_picture_keeps_its_values(shade, tmp_path):
    Image.fromarray(HALF.astype(np.float32) * shade).save(tmp_path / "mask.tif")
    for source in (Image.open(tmp_path / "mask.tif"), tmp_path / "mask.tif"):
        np.testing.assert_array_equal(read_masks({"sky": source}, SIZE).masks[0], HALF * shade)


def test_a_named_indexed_picture_in_greys_is_soft():
    picture = indexed_picture(HALF * 2, [0, 0, 0, 51, 51, 51, 102, 102, 102])
    np.testing.assert_allclose(read_masks({"sky": picture}, SIZE).masks[0], HALF * 0.4, atol=1e-6)


def test_region_masks_are_read_as_they_are():
    regions = RegionMasks(("sky", "sea", "sand"), torch.from_numpy(SOFT))
    again = read_masks(regions, SIZE)
    assert again.names == regions.names and torch.equal(again.masks, regions.masks)


@pytest.mark.parametrize(
    ("names", "masks"),
    [
        pytest.param(("a",), torch.ones(2, *SIZE), id="too few names"),
        pytest.param(("a", "a"), torch.ones(2, *SIZE), id="equal names"),
        pytest.param(("a", "b"), torch.ones(SIZE), id="one mask"),
    ],
)
def test_region_masks_without_a_name_for_each_mask_are_refused(names, masks):
    with pytest.raises(InputError, match="a name of its own"):
        read_masks(RegionMasks(names, masks), SIZE)


# Sizes


def test_a_larger_mask_is_resized_with_a_warning():
    names = ("black", "white")
    region_map, rgb = painted(names, (180, 240))
    with pytest.warns(FastPhotoWarning, match="240x180 pixels, resized to the photo's 120x90"):
        regions = read_masks(rgb, SIZE)
    assert (numbered(regions, names) == region_map[1::2, 1::2]).mean() > 0.98


def test_a_mask_that_is_a_pixel_off_is_resized_with_a_warning():
    with pytest.warns(FastPhotoWarning, match="120x91"):
        read_masks(painted(("black", "white"), (91, 120))[1], SIZE)


def test_a_larger_soft_mask_is_interpolated():
    with pytest.warns(FastPhotoWarning, match="resized"):
        regions = read_masks({"a": np.tile(np.linspace(0, 1, 240), (180, 1))}, SIZE)
    np.testing.assert_allclose(regions.masks[0, 5, 2:-2], np.linspace(0, 1, 120)[2:-2], atol=0.01)


def test_a_mask_of_another_aspect_is_refused():
    with pytest.raises(InputError, match="120x60 pixels do not fit the photo's 120x90$"):
        read_masks(painted(("black", "white"), (60, 120))[1], SIZE)


def test_swapped_masks_are_recognised():
    with pytest.raises(InputError, match="swapped"):
        read_masks(painted(("black", "white"), (60, 120))[1], SIZE, "style", other_size=(60, 120))


@pytest.mark.parametrize("shrunk", [(45, 60), (31, 41)], ids=str)
def test_masks_are_shrunk_to_means_over_areas(shrunk):
    regions = read_masks(painted()[0], SIZE, shrunk=shrunk)
    full = read_masks(painted()[0], SIZE)
    assert regions.masks.shape == (4, *shrunk)
    torch.testing.assert_close(regions.masks.mean((1, 2)), full.masks.mean((1, 2)), atol=1e-5, rtol=0)


# What cannot be used


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(np.full((*SIZE, 3), (255, 128, 0), np.uint8), r"palette.*\(255, 128, 0\) 100", id="off palette"),
        pytest.param(np.arange(90 * 120).reshape(SIZE) % 65, "65 regions", id="65 ids"),
        pytest.param(np.arange(90 * 120).reshape(SIZE), "10800 regions; at most 64", id="10800 ids"),
        pytest.param(np.zeros((65, *SIZE), np.float32), "65 regions", id="65 soft masks"),
        pytest.param(dict.fromkeys(map(str, range(65)), np.zeros(SIZE)), "65 regions", id="65 named masks"),
        pytest.param({}, "empty", id="no named masks"),
        pytest.param({"sky": np.full(SIZE, 2.0)}, "'sky'.*0 to 2", id="values above 1"),
        pytest.param({"sky": np.full(SIZE, np.nan)}, "nan", id="NaN"),
        pytest.param({"sky": np.zeros((3, *SIZE))}, "3x90x120", id="named mask of three axes"),
        pytest.param({"sky": np.zeros(SIZE), "sea": np.zeros((45, 60))}, "'sea'.*60x45", id="two sizes"),
        pytest.param({"sky": 1}, "int", id="named number"),
        pytest.param(
            {"sky": indexed_picture(painted()[0], VOC_TABLE)}, "'sky'.* indexed .* 4 values", id="named map of classes"
        ),
        pytest.param({"sky": Image.new("F", SIZE[::-1], 255)}, "'sky'.*255", id="named float picture above 1"),
        pytest.param(np.full((2, *SIZE), -1.0), "-1", id="negative values"),
        pytest.param(np.zeros(SIZE), "float", id="one float mask"),
        pytest.param(np.zeros(SIZE, complex), "complex", id="complex"),
        pytest.param(np.zeros((2, 2, *SIZE)), "2x2x90x120", id="four axes"),
        pytest.param(np.full(SIZE, -1), "no pixel", id="negative ids only"),
        pytest.param(np.full((*SIZE, 3), 700), "700", id="colours above 255"),
        pytest.param(Image.new("F", SIZE[::-1]), "float", id="float image"),
        pytest.param(Image.effect_noise(SIZE[::-1], 90), "regions", id="noise"),
        pytest.param(7, "int", id="number"),
        pytest.param(np.zeros((0, 0), np.uint8), "is empty", id="no pixels"),
        pytest.param({"sky": np.zeros(SIZE, np.complex64)}, "array of complex64", id="named complex mask"),
    ],
)
def test_unusable_masks_are_refused_in_one_line_that_names_the_cause(source, message):
    with pytest.raises(InputError, match=message) as caught:
        read_masks(source, SIZE, "style")
    assert str(caught.value).startswith("style mask") and "\n" not in str(caught.value)


@pytest.mark.parametrize("named", [False, True], ids=["alone", "in a mapping"])
def test_a_mask_file_that_cannot_be_read_is_refused(named, tmp_path):
    (tmp_path / "mask.png").write_text("nothing")
    source = {"sky": tmp_path / "mask.png"} if named else tmp_path / "mask.png"
    with pytest.raises(FileError, match="mask.png"):
        read_masks(source, SIZE)
