"""Pairs of masks read in one form: class numbers, colours of data sets, the nine colours, and masks of two values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from painted_masks import SIZE, encoded, numbered, painted
from PIL import Image, ImageDraw

from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.regions.dataset_colours import DATASET_COLOURS, voc_colour
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_mask_pair, read_masks

VOC = np.array([voc_colour(number) for number in range(256)], np.uint8)
GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)


@pytest.fixture(autouse=True)
def no_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FastPhotoWarning)
        yield


def region_map(count: int) -> np.ndarray:
    return painted([*PALETTE][:count])[0]


def ids(*values: int) -> np.ndarray:
    return np.array(values)[region_map(len(values))]


def grey(*values: int) -> Image.Image:
    return Image.fromarray(ids(*values).astype(np.uint8))


def indexed(*values: int, table: np.ndarray = VOC) -> Image.Image:
    picture = Image.fromarray(ids(*values).astype(np.uint8), "P")
    picture.putpalette(table.tobytes())
    return picture


def coloured(*colours: tuple[int, int, int]) -> Image.Image:
    return Image.fromarray(np.array(colours, np.uint8)[region_map(len(colours))])


def names_of_pair(content: object, style: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    both = read_mask_pair((content, style), (SIZE, SIZE), (SIZE, SIZE))
    return both[0].names, both[1].names


def check_equal_names(content: object, style: object, shared: tuple[str, ...]) -> None:
    """Check, both ways round, that these names are shared and in the same places."""
    for one, other in ((content, style), (style, content)):
        both = read_mask_pair((one, other), (SIZE, SIZE), (SIZE, SIZE))
        assert set(both[0].names) & set(both[1].names) == set(shared)


# Class numbers and colours


def test_a_class_whose_colour_is_grey_meets_the_same_class():
    """7 is (128, 128, 128) in the colours of Pascal VOC, and 0 black."""
    check_equal_names(indexed(0, 7), indexed(0, 7, 15), ("background", "car"))
    check_equal_names(indexed(0, 7), indexed(0, 7), ("black", "grey"))
    check_equal_names(indexed(0, 7), ids(0, 7, 15), ("0", "7"))
    check_equal_names(indexed(0, 7), grey(0, 7, 9), ("0", "7"))


def test_class_numbers_of_two_tables_meet_by_number():
    random = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    check_equal_names(indexed(0, 7, 15), indexed(0, 7, 15, table=random), ("0", "7", "15"))


def test_class_numbers_that_are_greys_of_the_palette_meet_class_numbers():
    check_equal_names(grey(0, 128), grey(0, 7, 128), ("0", "128"))
    check_equal_names(grey(0, 255), ids(0, 7, 255), ("0", "255"))


def test_class_numbers_in_three_equal_channels_are_class_numbers():
    assert read_masks(coloured(*GREYS[[0, 7, 15]]), SIZE).names == ("0", "7", "15")
    check_equal_names(coloured(*GREYS[[0, 7, 15]]), grey(0, 7), ("0", "7"))
    transparent = coloured(*GREYS[[3, 7, 15]]).convert("RGBA")
    transparent.putalpha(Image.fromarray(np.where(region_map(3) == 1, 0, 255).astype(np.uint8)))
    assert read_masks(transparent, SIZE).names == ("3", "15")


def test_painted_greys_near_the_palette_are_colours():
    assert read_masks(coloured((2, 2, 2), (250, 250, 250)), SIZE).names == ("black", "white")


def test_an_indexed_picture_in_the_nine_colours_meets_the_same_colours():
    table = np.array([*PALETTE.values()], np.uint8)
    names = ("blue", "green", "black")
    check_equal_names(indexed(0, 1, 2, table=table), Image.fromarray(painted(names)[1]), names)
    turned = indexed(0, 1, 2, table=table[[2, 1, 0]])  # an editor has sorted the table
    content, style = read_mask_pair((indexed(0, 1, 2, table=table), turned), (SIZE, SIZE), (SIZE, SIZE))
    np.testing.assert_array_equal(numbered(content, names), region_map(3))
    np.testing.assert_array_equal(numbered(style, names[::-1]), region_map(3))


@pytest.mark.parametrize("swap", [False, True])
def test_colours_and_class_numbers_are_refused_in_one_line(swap):
    pair = (Image.fromarray(painted(("blue", "red"))[1]), ids(0, 1))
    with pytest.raises(InputError, match=r"^masks: that of the content is in .*; save both in one form") as caught:
        names_of_pair(*(pair[::-1] if swap else pair))
    assert "\n" not in str(caught.value)


def test_whole_photos_meet_in_any_form():
    assert names_of_pair(Image.fromarray(painted(("blue",))[1]), ids(4)) == (("blue",), ("4",))


def test_given_names_choose_the_form_of_the_other_mask():
    half = np.zeros(SIZE)
    half[:40] = 1
    assert names_of_pair({"car": half, "background": 1 - half}, indexed(0, 7))[1] == ("background", "car")
    assert names_of_pair({"black": half, "grey": 1 - half}, indexed(0, 7))[1] == ("black", "grey")
    assert names_of_pair(np.stack([half, 1 - half]), grey(0, 255))[1] == ("0", "1")


# Smooth edges


FILTERS = {"box": Image.Resampling.BOX, "bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS}
EDGED = (384, 512)


def smooth(*colours: tuple[int, int, int], resampling: Image.Resampling = FILTERS["box"]) -> Image.Image:
    """Return a picture with a disc for each further colour, with blends on its edge."""
    large = Image.new("RGB", (EDGED[1] * 4, EDGED[0] * 4), colours[0])
    for number, colour in enumerate(colours[1:]):
        x = 300 + 600 * number
        ImageDraw.Draw(large).ellipse((x - 250, 500, x + 250, 1000), fill=colour)
    return large.resize(EDGED[::-1], resampling)


def names_of_edged(content: object, style: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    both = read_mask_pair((content, style), (EDGED, EDGED), (EDGED, EDGED))
    return both[0].names, both[1].names


@pytest.mark.parametrize("resampling", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize(
    "names",
    [("blue", "red"), ("black", "red"), ("blue", "yellow"), ("black", "grey"), ("green", "black"), ("black", "white")],
    ids="-".join,
)
def test_smooth_edges_leave_the_nine_colours_what_they_are(names, resampling):
    """Most of these colours are classes of a data set too."""
    colours = [PALETTE[name] for name in names]
    picture = smooth(*colours, resampling=resampling)
    for one in (picture, picture.quantize(64, dither=Image.Dither.NONE)):
        assert set(read_masks(one, EDGED).names) == set(names)
    others = [picture, smooth(*colours, PALETTE["purple"]), encoded(smooth(*colours), "JPEG", quality=90)]
    for other in others:
        for content, style in (names_of_edged(picture, other), names_of_edged(other, picture)[::-1]):
            assert set(content) == set(names) and set(content) <= set(style)


def test_smooth_edges_leave_the_choice_to_the_other_mask():
    picture = smooth(PALETTE["blue"], PALETTE["red"])
    ade20k = smooth(PALETTE["blue"], PALETTE["red"], (120, 120, 120))
    assert names_of_edged(picture, ade20k) == (("case", "flower"), ("wall", "case", "flower"))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("resampling", FILTERS.values(), ids=FILTERS)
def test_blends_of_greys_are_no_class_numbers(mode, resampling):
    def picture(*greys: int) -> Image.Image:
        return smooth(*((grey, grey, grey) for grey in greys), resampling=resampling).convert(mode)

    assert names_of_edged(picture(0, 128), picture(0, 255)) == (("black", "grey"), ("black", "white"))
    assert read_masks(picture(0, 128), EDGED).names == ("black", "grey")
    assert read_masks(picture(3, 90, 200), EDGED).names == ("3", "90", "200")
    numbers = np.where(np.arange(EDGED[1]) < 200, 0, 7) + np.zeros(EDGED, int)
    assert names_of_edged(picture(0, 128), numbers) == (("0", "128"), ("0", "7"))


def test_blends_of_16_bits_are_no_class_numbers():
    values = np.asarray(smooth((0, 0, 0), (255, 255, 255)).convert("L")).astype(np.uint16) * 257
    assert read_masks(Image.fromarray(values), EDGED).names == ("0", "65535")


def test_a_blend_that_is_a_class_of_a_data_set_is_no_region():
    """Half of (128, 128, 128) is (64, 64, 64), class 56 in the colour map of Pascal VOC."""
    rgb = np.zeros((*EDGED, 3), np.uint8)
    rgb[:, 200:] = (128, 128, 128)
    rgb[:, 199] = (64, 64, 64)
    rgb[:, 400:] = (192, 128, 128)
    assert read_masks(Image.fromarray(rgb), EDGED).names == ("background", "car", "person")


def test_thin_lines_of_a_picture_without_blends_are_regions():
    classes = np.array(Image.new("RGB", EDGED[::-1]))
    classes[:, 200:] = (128, 128, 128)
    classes[100] = (192, 128, 128)
    assert read_masks(Image.fromarray(classes), EDGED).names == ("background", "car", "person")
    numbers = np.where(np.arange(EDGED[1]) < 200, 0, 7).astype(np.uint8) + np.zeros(EDGED, np.uint8)
    numbers[100] = 15
    assert read_masks(Image.fromarray(numbers), EDGED).names == ("0", "7", "15")


def test_strokes_of_two_photos_are_read_in_one_form():
    strokes = [smooth((0, 0, 0), (255, 0, 0)), Image.fromarray(np.full(EDGED, 9, np.uint8))]
    with pytest.raises(InputError, match="^pictures of strokes: that of the content is in the nine colours"):
        read_mask_pair((strokes[0], strokes[1]), (EDGED, EDGED), (EDGED, EDGED), kind="strokes")


# Masks of two values


ON_AND_OFF = {
    "0 and 1": grey(0, 1),
    "0 and 255": grey(0, 255),
    "one bit": grey(0, 255).convert("1"),
    "0 and 65535": Image.fromarray(ids(0, 65535).astype(np.uint16)),
    "black and white": coloured((0, 0, 0), (255, 255, 255)),
    "JPEG": encoded(coloured((0, 0, 0), (255, 255, 255)), "JPEG", quality=90),
    "array": ids(0, 1) == 1,
    "numbers with a white 0": indexed(0, 1, table=np.array([(255, 255, 255), (0, 0, 0)], np.uint8)),
}


@pytest.mark.parametrize("other", ON_AND_OFF.values(), ids=ON_AND_OFF)
def test_masks_of_two_values_mean_the_same_two_regions(other):
    check_equal_names(grey(0, 1), other, ("0", "1"))
    both = read_mask_pair((grey(0, 1), other), (SIZE, SIZE), (SIZE, SIZE))
    assert (numbered(both[1], ("0", "1")) == numbered(both[0], ("0", "1"))).mean() > 0.99


# Colours of data sets


@pytest.mark.parametrize(
    ("colours", "names"),
    [
        pytest.param([(0, 0, 0), (192, 128, 128), (0, 64, 0)], ("background", "person", "potted plant"), id="VOC"),
        pytest.param([(0, 0, 0), tuple(VOC[100])], ("background", "class 100"), id="colour map of VOC"),
        pytest.param([(128, 64, 128), (70, 130, 180), (107, 142, 35)], ("road", "sky", "vegetation"), id="Cityscapes"),
        pytest.param([(120, 120, 120), (140, 140, 140)], ("wall", "road or skyscraper"), id="ADE20K, greys"),
        pytest.param([(6, 230, 230), (4, 250, 7), (61, 230, 250)], ("sky", "grass", "water"), id="ADE20K"),
    ],
)
def test_colours_of_a_data_set_are_its_classes(colours, names):
    for picture in (coloured(*colours), coloured(*colours).convert("RGBA"), coloured(*colours).quantize(16)):
        regions = read_masks(picture, SIZE)
        assert set(regions.names) == set(names)
        np.testing.assert_array_equal(numbered(regions, names), region_map(len(names)))


@pytest.mark.parametrize(("dataset", "count"), [("Pascal VOC", 256), ("Cityscapes", 29), ("ADE20K", 150)])
def test_every_colour_of_a_data_set_has_one_name(dataset, count):
    names = DATASET_COLOURS[dataset]
    assert len(names) == count == len(set(names.values())) and all(0 <= c <= 255 for colour in names for c in colour)


def test_blends_on_edges_join_the_nearest_class():
    large = coloured((128, 64, 128), (70, 130, 180), (107, 142, 35)).resize((480, 360), Image.Resampling.NEAREST)
    regions = read_masks(large.resize((240, 180), Image.Resampling.BICUBIC), (180, 240))
    assert set(regions.names) == {"road", "sky", "vegetation"} and bool((regions.masks.sum(0) == 1).all())


def test_colours_that_a_data_set_shares_with_the_palette_are_those_of_the_other_mask():
    shared = [(0, 0, 255), (255, 0, 0)]
    assert read_masks(coloured(*shared), SIZE).names == ("blue", "red")
    check_equal_names(coloured(*shared), coloured(*shared), ("blue", "red"))
    check_equal_names(coloured(*shared), coloured(*shared, (120, 120, 120)), ("case", "flower"))
