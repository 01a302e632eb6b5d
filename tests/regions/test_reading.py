"""Masks read: every kind of source, lossy and blended pictures, and masks that cannot be used."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from locations import SHARED
from PIL import Image

from fastphoto.errors import FastPhotoWarning, FileError, InputError
from fastphoto.photos.read import read_photo
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_masks

SIZE = (90, 120)
PAIRS = SHARED / "pairs"


@pytest.fixture(autouse=True)
def no_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FastPhotoWarning)
        yield


def painted(names=("blue", "black", "white", "red"), size=SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Slanted stripes, one per name, with a disc of the last: labels (H, W) and colours (H, W, 3)."""
    y, x = np.mgrid[: size[0], : size[1]]
    stripes = max(1, len(names) - 1)
    index = np.minimum((x + y // 3) * stripes // (size[1] + size[0] // 3), stripes - 1)
    index[(y - size[0] // 2) ** 2 + (x - size[1] // 2) ** 2 < (size[0] // 6) ** 2] = len(names) - 1
    colours = np.array([PALETTE[n] for n in names], np.uint8)
    return index, colours[index]


def hard(labels: RegionMasks, names) -> np.ndarray:
    """RegionMasks as numbers in the order of `names`, -1 where a pixel belongs to none."""
    assert set(labels.names) <= set(names)
    result = np.full(labels.masks.shape[1:], -1)
    for name, mask in zip(labels.names, labels.masks.numpy(), strict=True):
        assert set(np.unique(mask)) <= {0, 1}
        assert (result[mask == 1] == -1).all()
        result[mask == 1] = list(names).index(name)
    return result


def encoded(image: Image.Image, kind: str, **options) -> Image.Image:
    data = io.BytesIO()
    image.save(data, kind, **options)
    data.seek(0)
    return Image.open(data)


# Reading


def test_no_mask_is_one_region():
    labels = read_masks(None, SIZE)
    assert labels.names == ("all",) and labels.masks.shape == (1, *SIZE) and bool((labels.masks == 1).all())


@pytest.mark.parametrize("names", [tuple(PALETTE), ("black",), ("grey", "purple"), ("black", "grey", "white")])
def test_the_palette_in_every_container(names, tmp_path):
    index, rgb = painted(names)
    image = Image.fromarray(rgb)
    image.save(tmp_path / "mask.png")
    indexed = image.quantize(16, dither=Image.Dither.NONE)
    sources = [tmp_path / "mask.png", str(tmp_path / "mask.png"), image, image.convert("RGBA"), indexed, rgb]
    sources += [
        rgb / 255,
        torch.from_numpy(rgb),
        rgb.astype(np.int64),
        encoded(image, "TIFF"),
        encoded(image, "GIF"),
    ]
    if set(names) <= {"black", "grey", "white"}:
        sources += [image.convert("L")]
    for source in sources:
        labels = read_masks(source, SIZE)
        assert labels.names == tuple(n for n in PALETTE if n in names)
        np.testing.assert_array_equal(hard(labels, names), index)


def test_a_thin_line_of_an_exact_mask_is_kept():
    _, rgb = painted()
    rgb[10] = PALETTE["purple"]
    labels = read_masks(rgb, SIZE)
    assert labels.masks[labels.names.index("purple")].sum() == SIZE[1]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 75}), ("JPEG", {"quality": 95}), ("JPEG", {"quality": 40}),
        ("WEBP", {"quality": 75}), ("WEBP", {"quality": 40}),
    ],
)  # fmt: skip
def test_lossy_masks_snap_to_the_colours_in_use(kind, options):
    names = ("blue", "green", "black", "white", "red", "yellow", "lightblue", "purple")
    index, rgb = painted(names, (300, 420))
    labels = read_masks(encoded(Image.fromarray(rgb), kind, **options), (300, 420))
    assert set(labels.names) == set(names)
    assert (hard(labels, names) == index).mean() > 0.99


def test_a_grey_jpeg_is_in_palette_colours():
    index, rgb = painted(("black", "white"))
    labels = read_masks(encoded(Image.fromarray(rgb).convert("L"), "JPEG", quality=60), SIZE)
    assert labels.names == ("black", "white")
    assert (hard(labels, ("black", "white")) == index).mean() > 0.99


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.LANCZOS, Image.Resampling.BICUBIC])
def test_blended_edges_never_become_another_region(resample):
    names = ("black", "white")
    index, rgb = painted(names, (360, 480))
    small = Image.fromarray(rgb).resize((120, 90), resample)
    for image in (small, small.convert("L"), small.convert("RGBA")):
        labels = read_masks(image, SIZE)
        assert labels.names == names  # their blends are exactly the palette's grey
        assert (hard(labels, names) == index[2::4, 2::4]).mean() > 0.99
    grown = Image.fromarray(rgb).resize((960, 720), resample)
    assert read_masks(grown, (720, 960)).names == names


def test_blends_stay_out_of_a_grey_region_that_exists_elsewhere():
    index = np.zeros((240, 320), int)
    index[:, 160:] = 1
    index[200:, :60] = 2
    names = ("black", "white", "grey")
    rgb = np.array([PALETTE[n] for n in names], np.uint8)[index]
    small = Image.fromarray(rgb).resize((107, 80), Image.Resampling.LANCZOS)
    labels = read_masks(small, (80, 107))
    assert labels.names == ("black", "white", "grey")
    grey = labels.masks[2]
    assert grey[:64].sum() == 0 and abs(float(grey.mean()) - (index == 2).mean()) < 0.005


def test_faint_colours_of_no_area_are_not_regions():
    _, rgb = painted(("black", "white"))
    rgb[40, 10:14] = (200, 30, 40)
    rgb[70, 30] = PALETTE["red"]
    rgb[0, 0] = (3, 1, 2)
    assert read_masks(rgb, SIZE).names == ("black", "white")


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint16])
def test_class_ids_keep_their_numbers(dtype, tmp_path):
    ids = np.array([0, 3, 17, 200])[painted()[0]].astype(dtype)
    wanted = ("0", "3", "17", "200")
    sources: list = [ids]
    if dtype != np.uint16:
        sources += [torch.from_numpy(ids), torch.from_numpy(ids)[None].to(torch.int64)]
    if dtype == np.uint8:
        voc = Image.fromarray(ids, "P")
        voc.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        for name, image in (("l.png", Image.fromarray(ids)), ("p.png", voc)):
            image.save(tmp_path / name)
            sources.append(tmp_path / name)
    elif dtype == np.uint16:
        Image.fromarray(ids).save(tmp_path / "m.png")
        sources.append(tmp_path / "m.png")
    for source in sources:
        labels = read_masks(source, SIZE)
        assert labels.names == wanted
        np.testing.assert_array_equal(hard(labels, wanted), painted()[0])


@pytest.mark.parametrize("levels", [(0, 1), (0, 1, 2), (0, 1, 255), (4, 5)])
def test_small_class_ids_in_a_grey_picture_are_not_taken_for_black(levels):
    ids = np.array(levels, np.uint8)[painted([*PALETTE][: len(levels)])[0]]
    assert read_masks(Image.fromarray(ids), SIZE).names == tuple(map(str, np.unique(ids)))


def test_negative_ids_and_transparent_pixels_belong_to_no_region():
    ids = painted()[0] - 1
    labels = read_masks(ids, SIZE)
    assert labels.names == ("0", "1", "2")
    np.testing.assert_array_equal(labels.masks.sum(0) == 0, ids == -1)
    index, rgb = painted()
    alpha = np.where(index == 1, 0, 255).astype(np.uint8)
    for source in (Image.fromarray(np.dstack([rgb, alpha])), np.dstack([rgb, alpha])):
        labels = read_masks(source, SIZE)
        assert labels.names == ("blue", "white", "red")
        np.testing.assert_array_equal(labels.masks.sum(0) == 0, index == 1)
    half = Image.fromarray(np.dstack([rgb, np.full(SIZE, 140, np.uint8)]))
    with pytest.warns(FastPhotoWarning, match="transparent"):
        assert bool((read_masks(half, SIZE).masks.sum(0) == 1).all())


def test_soft_masks_keep_their_values(tmp_path):
    soft = np.random.default_rng(0).random((3, *SIZE)).astype(np.float32)
    for source in (soft, torch.from_numpy(soft), torch.from_numpy(soft).double(), soft.astype(np.float64)):
        labels = read_masks(source, SIZE)
        assert labels.names == ("0", "1", "2") and labels.masks.dtype == torch.float32
        np.testing.assert_allclose(labels.masks, soft, atol=1e-7)
    Image.fromarray((soft[0] * 255).astype(np.uint8)).save(tmp_path / "sky.png")
    Image.fromarray((soft[1] * 65535).astype(np.uint16)).save(tmp_path / "sea.png")
    named = {
        "sky": tmp_path / "sky.png",
        "sea": Image.open(tmp_path / "sea.png"),
        "sand": torch.from_numpy(soft[2]),
        "rock": soft[0] > 0.5,
        "tree": (soft[1] * 255).astype(np.uint8),
    }
    labels = read_masks(named, SIZE)
    assert labels.names == tuple(named)
    for mask, wanted, error in zip(
        labels.masks,
        (soft[0], soft[1], soft[2], soft[0] > 0.5, soft[1]),
        (4e-3, 2e-5, 0, 0, 4e-3),
        strict=True,
    ):
        np.testing.assert_allclose(mask, wanted, atol=error)


def test_the_orientation_of_a_mask_is_applied(tmp_path):
    index, rgb = painted()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(rgb)).save(tmp_path / "m.png", exif=exif)
    np.testing.assert_array_equal(hard(read_masks(tmp_path / "m.png", SIZE), ("blue", "black", "white", "red")), index)


def test_sizes_that_differ():
    names = ("black", "white")
    index, rgb = painted(names, (180, 240))
    with pytest.warns(FastPhotoWarning, match="240x180 pixels, resized to the photo's 120x90"):
        labels = read_masks(rgb, SIZE)
    assert (hard(labels, names) == index[1::2, 1::2]).mean() > 0.98
    with pytest.warns(FastPhotoWarning, match="120x91"):
        read_masks(painted(names, (91, 120))[1], SIZE)
    with pytest.warns(FastPhotoWarning, match="resized"):
        soft = read_masks({"a": np.tile(np.linspace(0, 1, 240), (180, 1))}, SIZE)
    np.testing.assert_allclose(soft.masks[0, 5, 2:-2], np.linspace(0, 1, 120)[2:-2], atol=0.01)
    with pytest.raises(InputError, match="120x60 pixels do not fit the photo's 120x90$"):
        read_masks(painted(names, (60, 120))[1], SIZE)
    with pytest.raises(InputError, match="swapped"):
        read_masks(painted(names, (60, 120))[1], SIZE, "style", other_size=(60, 120))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.full((*SIZE, 3), (255, 128, 0), np.uint8), r"palette.*\(255, 128, 0\) 100"),
        (np.arange(90 * 120).reshape(SIZE) % 65, "65 regions"),
        (np.arange(90 * 120).reshape(SIZE), "10800 regions"),
        (np.zeros((65, *SIZE), np.float32), "65 regions"),
        (dict.fromkeys(map(str, range(65)), np.zeros(SIZE)), "65 regions"),
        ({}, "empty"),
        ({"sky": np.full(SIZE, 2.0)}, "'sky'.*0 to 2"),
        ({"sky": np.full(SIZE, np.nan)}, "nan"),
        ({"sky": np.zeros((3, *SIZE))}, "3x90x120"),
        ({"sky": np.zeros(SIZE), "sea": np.zeros((45, 60))}, "'sea'.*60x45"),
        ({"sky": 1}, "int"),
        (np.full((2, *SIZE), -1.0), "-1"),
        (np.zeros(SIZE), "float"),
        (np.zeros(SIZE, complex), "complex"),
        (np.zeros((2, 2, *SIZE)), "2x2x90x120"),
        (np.full(SIZE, -1), "no pixel"),
        (np.full((*SIZE, 3), 700), "700"),
        (Image.new("F", SIZE[::-1]), "float"),
        (Image.effect_noise(SIZE[::-1], 90), "regions"),
        (7, "int"),
    ],
)
def test_unusable_masks_are_one_line_that_names_the_cause(source, message):
    with pytest.raises(InputError, match=message) as caught:
        read_masks(source, SIZE, "style")
    assert str(caught.value).startswith("style mask") and "\n" not in str(caught.value)


def test_off_palette_colours_are_listed_with_their_share():
    _, rgb = painted()
    rgb[:30, :40] = (255, 128, 0)
    rgb[60:, 80:] = (90, 160, 90)
    with pytest.raises(InputError, match=r"2\d%.*: \(90, 160, 90\) 1\d\.\d%, \(255, 128, 0\) 1\d\.\d%$"):
        read_masks(rgb, SIZE)
    _, rgb = painted()
    rgb[:12, :20] = (255, 128, 0)
    with pytest.warns(FastPhotoWarning, match="2.2%"):
        labels = read_masks(rgb, SIZE)
    assert bool((labels.masks.sum(0) == 1).all())


def test_a_photo_given_as_mask_is_refused():
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((240, 180), Image.Resampling.BICUBIC)
    with pytest.raises(InputError, match="palette"):
        read_masks(coarse, (180, 240))
    with pytest.raises(InputError, match="palette"):
        read_masks(encoded(coarse, "JPEG"), (180, 240))


def test_a_mask_file_that_cannot_be_read(tmp_path):
    (tmp_path / "m.png").write_text("nothing")
    with pytest.raises(FileError, match="m.png"):
        read_masks(tmp_path / "m.png", SIZE)
    with pytest.raises(FileError, match="m.png"):
        read_masks({"sky": tmp_path / "m.png"}, SIZE)


@pytest.mark.skipif(not PAIRS.is_dir(), reason=f"no photo pairs at {PAIRS}")
@pytest.mark.parametrize("side", ["content", "style"])
def test_real_masks_survive_recompression(side):
    folders = sorted(p for p in PAIRS.iterdir() if p.is_dir())
    assert len(folders) == 24
    for folder in folders:
        size = read_photo(folder / f"{side}.png").size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FastPhotoWarning)  # one of the masks is a pixel short
            first = read_masks(folder / f"{side}_mask.png", size, side)
            with Image.open(folder / f"{side}_mask.png") as image:
                again = read_masks(encoded(image.convert("RGB"), "JPEG", quality=75), size, side)
        assert again.names == first.names, folder.name
        assert (again.masks * first.masks).sum() / first.masks[0].numel() >= 0.995, folder.name
        assert bool((first.masks.sum(0) == 1).all())
