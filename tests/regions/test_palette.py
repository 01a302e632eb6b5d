"""Pictures in the nine colours, exact, blended and compressed, snapped to the colours in use."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from locations import SHARED
from painted_masks import SIZE, encoded, numbered, painted
from PIL import Image

from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.photos.read import read_photo
from fastphoto.regions.palette import PALETTE, snap_to_palette
from fastphoto.regions.reading import read_masks

PAIRS = SHARED / "pairs"


@pytest.fixture(autouse=True)
def no_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FastPhotoWarning)
        yield


def test_exact_colours_keep_their_numbers():
    region_map, rgb = painted(tuple(PALETTE))
    names, snapped = snap_to_palette(rgb, "mask")
    assert names == tuple(PALETTE)
    np.testing.assert_array_equal(snapped, region_map)


CSS = {"green": (0, 128, 0), "lightblue": (173, 216, 230), "purple": (128, 0, 128)}


@pytest.mark.parametrize("name", CSS)
@pytest.mark.parametrize("change", [0, -12, 12], ids=["exact", "darker", "lighter"])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_the_colours_of_css_are_those_of_their_names(name, change, file_format):
    region_map, rgb = painted(("blue", "black", "white", name))
    colour = np.clip(np.array(CSS[name]) + change, 0, 255)
    rgb[region_map == 3] = colour
    regions = read_masks(encoded(Image.fromarray(rgb), file_format), SIZE)
    assert set(regions.names) == {"blue", "black", "white", name}
    assert (numbered(regions, ("blue", "black", "white", name)) == region_map).mean() > 0.98


@pytest.mark.parametrize("name", CSS)
def test_two_colours_of_one_name_are_refused(name):
    region_map, rgb = painted(("blue", "black", "white", name))
    rgb[region_map == 1] = CSS[name]
    with pytest.raises(InputError, match=rf"both \(.*\) and \(.*\) are {name}; paint one of them in another colour"):
        read_masks(rgb, SIZE)


def test_blends_of_green_and_black_are_no_green_of_css():
    """(0, 128, 0) lies on the edge of every smoothed mask in green and black."""
    region_map, rgb = painted(("green", "black"), (180, 240))
    small = Image.fromarray(rgb).resize(SIZE[::-1], Image.Resampling.BILINEAR)
    regions = read_masks(small, SIZE)
    assert regions.names == ("green", "black")
    assert (numbered(regions, regions.names) == region_map[1::2, 1::2]).mean() > 0.98


def test_a_thin_line_of_an_exact_mask_stays():
    _, rgb = painted()
    rgb[10] = PALETTE["purple"]
    regions = read_masks(rgb, SIZE)
    assert regions.masks[regions.names.index("purple")].sum() == SIZE[1]


@pytest.mark.parametrize(
    ("file_format", "quality"), [("JPEG", 95), ("JPEG", 75), ("JPEG", 40), ("WEBP", 75), ("WEBP", 40)]
)
def test_lossy_masks_snap_to_the_colours_in_use(file_format, quality):
    names = ("blue", "green", "black", "white", "red", "yellow", "lightblue", "purple")
    region_map, rgb = painted(names, (300, 420))
    regions = read_masks(encoded(Image.fromarray(rgb), file_format, quality=quality), (300, 420))
    assert set(regions.names) == set(names)
    assert (numbered(regions, names) == region_map).mean() > 0.99


def test_a_grey_jpeg_is_in_palette_colours():
    region_map, rgb = painted(("black", "white"))
    regions = read_masks(encoded(Image.fromarray(rgb).convert("L"), "JPEG", quality=60), SIZE)
    assert regions.names == ("black", "white")
    assert (numbered(regions, ("black", "white")) == region_map).mean() > 0.99


RESAMPLINGS = {
    "bilinear": Image.Resampling.BILINEAR,
    "Lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
}


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("resampling", RESAMPLINGS.values(), ids=RESAMPLINGS)
def test_blends_on_edges_never_become_another_region(resampling, mode):
    """Blends of black and white are exactly the palette's grey."""
    names = ("black", "white")
    region_map, rgb = painted(names, (360, 480))
    regions = read_masks(Image.fromarray(rgb).resize((120, 90), resampling).convert(mode), SIZE)
    assert regions.names == names
    assert (numbered(regions, names) == region_map[2::4, 2::4]).mean() > 0.99


@pytest.mark.parametrize("resampling", RESAMPLINGS.values(), ids=RESAMPLINGS)
def test_blends_of_an_enlarged_mask_never_become_another_region(resampling):
    _, rgb = painted(("black", "white"), (360, 480))
    assert read_masks(Image.fromarray(rgb).resize((960, 720), resampling), (720, 960)).names == ("black", "white")


def test_blends_stay_out_of_a_grey_region_that_exists_elsewhere():
    region_map = np.zeros((240, 320), int)
    region_map[:, 160:] = 1
    region_map[200:, :60] = 2
    names = ("black", "white", "grey")
    rgb = np.array([PALETTE[name] for name in names], np.uint8)[region_map]
    small = Image.fromarray(rgb).resize((107, 80), Image.Resampling.LANCZOS)
    regions = read_masks(small, (80, 107))
    assert regions.names == names
    grey = regions.masks[2]
    assert grey[:64].sum() == 0 and abs(float(grey.mean()) - (region_map == 2).mean()) < 0.005


def test_stray_pixels_are_not_regions():
    _, rgb = painted(("black", "white"))
    rgb[40, 10:14] = (200, 30, 40)
    rgb[70, 30] = PALETTE["red"]
    rgb[0, 0] = (3, 1, 2)
    assert read_masks(rgb, SIZE).names == ("black", "white")


# Colours off the palette


def test_colours_off_the_palette_are_listed_with_their_shares():
    _, rgb = painted()
    rgb[:30, :40] = (255, 128, 0)
    rgb[60:, 80:] = (90, 160, 90)
    shares = r"\(90, 160, 90\) 1\d\.\d%, \(255, 128, 0\) 1\d\.\d%"
    with pytest.raises(InputError, match=rf"2\d%.*: {shares}; paint in blue \(0, 0, 255\), .*or save class numbers"):
        read_masks(rgb, SIZE)


def test_a_few_pixels_off_the_palette_join_the_nearest_region():
    _, rgb = painted()
    rgb[:12, :20] = (255, 128, 0)
    with pytest.warns(FastPhotoWarning, match="2.2%"):
        regions = read_masks(rgb, SIZE)
    assert bool((regions.masks.sum(0) == 1).all())


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_photo_given_as_a_mask_is_refused(file_format):
    colours = np.random.default_rng(5).integers(0, 256, (6, 8, 3), np.uint8)
    photo = Image.fromarray(colours).resize((240, 180), Image.Resampling.BICUBIC)
    with pytest.raises(InputError, match="palette"):
        read_masks(encoded(photo, file_format), (180, 240))


# Published masks


@pytest.mark.skipif(not PAIRS.is_dir(), reason=f"no photo pairs at {PAIRS}")
@pytest.mark.parametrize("role", ["content", "style"])
def test_published_masks_survive_recompression(role):
    folders = sorted(path for path in PAIRS.iterdir() if path.is_dir())
    assert len(folders) == 24
    for folder in folders:
        size = read_photo(folder / f"{role}.png").size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FastPhotoWarning)  # one of the masks is a pixel short
            first = read_masks(folder / f"{role}_mask.png", size, role)
            with Image.open(folder / f"{role}_mask.png") as image:
                again = read_masks(encoded(image.convert("RGB"), "JPEG", quality=75), size, role)
        assert again.names == first.names, folder.name
        assert (again.masks * first.masks).sum() / first.masks[0].numel() >= 0.995, folder.name
        assert bool((first.masks.sum(0) == 1).all()), folder.name
