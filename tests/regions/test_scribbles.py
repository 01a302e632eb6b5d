"""Regions grown from strokes: the solution of the equation, borders at the photo's edges, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from rendered_photos import LAND, SKY, day
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.regions import scribbles
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_masks
from fastphoto.regions.scribbles import grow_scribbles

PHOTO = day(96, 128)


def marked(size: tuple[int, int], *boxes: tuple[slice, slice]) -> Tensor:
    """Strokes (R, H, W), a rectangle for each region."""
    masks = torch.zeros(len(boxes), *size)
    for mask, box in zip(masks, boxes, strict=True):
        mask[box] = 1
    return masks


def strokes_of_day() -> Tensor:
    """One line in the sky and one on the land."""
    return marked((96, 128), np.s_[20:22, 30:100], np.s_[84:86, 20:110])


def intersection_over_union(grown: Tensor, regions: Tensor) -> Tensor:
    return torch.minimum(grown, regions).sum((1, 2)) / torch.maximum(grown, regions).sum((1, 2))


def noisy(colours: Tensor, deviation: float) -> Tensor:
    noise = torch.randn(colours.shape, generator=torch.Generator().manual_seed(3))
    return (colours + deviation * noise).clamp(0, 1)


def test_shares_solve_the_equation(monkeypatch):
    """The reference has L by its definition (Levin et al. 2008, eq. 12), window by window, and solves it densely."""
    height, width = 9, 11
    random = np.random.default_rng(0)
    picture = random.random((height, width, 3)).astype(np.float32)
    marks, likeness = np.zeros((3, height, width)), random.random((3, height, width))
    marks[0, 1, 1:4] = marks[1, 4, 6:9] = marks[2, 7, 2] = 1
    likeness /= likeness.sum(0)

    dense = np.zeros((height * width, height * width))
    for y in range(height - 2):
        for x in range(width - 2):
            window = [(y + dy) * width + x + dx for dy in range(3) for dx in range(3)]
            colours = picture.reshape(-1, 3)[window].astype(np.float64)
            apart = colours - colours.mean(0)
            inverse = np.linalg.inv(apart.T @ apart / 9 + scribbles._EPSILON / 9 * np.eye(3))
            dense[np.ix_(window, window)] += np.eye(9) - (1 + apart @ inverse @ apart.T) / 9
    known = scribbles._STROKE_WEIGHT * marks.sum(0).ravel()
    system = dense + np.diag(known + scribbles._LIKENESS_WEIGHT)
    right = known * marks.reshape(3, -1) + scribbles._LIKENESS_WEIGHT * likeness.reshape(3, -1)
    expected = np.linalg.solve(system, right.T).T.reshape(3, height, width)

    tensors = [torch.from_numpy(a.astype(np.float32)) for a in (picture.transpose(2, 0, 1), marks, likeness)]
    monkeypatch.setattr(scribbles, "_TOLERANCE", 1e-9)
    shares = scribbles._solved_shares(*tensors, start=torch.zeros(3, height, width))
    np.testing.assert_allclose(shares, expected, atol=1e-4)
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-4)


def test_likeness_is_kernel_ridge_regression():
    random = np.random.default_rng(1)
    picture = random.random((3, 6, 7))
    marks = np.zeros((2, 6, 7))
    marks[0, 1, 1:4] = marks[1, 4, 5] = 1
    r, g, b = picture
    y, x = np.mgrid[:6, :7].astype(float)
    features = []
    for kind in (np.stack([(r + g + b) / 3, (r - g) / 2, (r + g) / 4 - b / 2]), np.stack([x, y])):
        centred = kind.reshape(len(kind), -1) - kind.mean((1, 2))[:, None]
        features.append(centred / np.sqrt((centred**2).sum(0).mean()))
    pixels = np.concatenate(features).T
    samples = pixels[[8, 9, 10, 33]]

    def kernel(a, b):
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(2) / (2 * scribbles._KERNEL_WIDTH**2))

    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    gram = kernel(samples, samples) + scribbles._RIDGE * np.eye(4)
    expected = (kernel(pixels, samples) @ np.linalg.solve(gram, targets)).clip(0, 1).T
    likeness = scribbles._likeness(torch.from_numpy(picture).float(), torch.from_numpy(marks).float())
    np.testing.assert_allclose(likeness.flatten(1), expected / expected.sum(0), atol=1e-3)


def test_sky_and_land_from_a_line_each():
    grown = grow_scribbles(PHOTO.pixels, strokes_of_day())
    assert grown.names == ("0", "1") and grown.masks.dtype == torch.float32
    assert torch.equal(grown.masks.sum(0), torch.ones(96, 128)) and set(grown.masks.unique().tolist()) == {0, 1}
    assert intersection_over_union(grown.masks, PHOTO.masks).min() > 0.97


def test_strokes_keep_their_regions_even_where_colours_speak_against_it():
    strokes = strokes_of_day()
    strokes[1, 5, 5] = 1  # one pixel of land in the middle of the sky
    strokes[0, 90, 60:70] = 1
    grown = grow_scribbles(PHOTO.pixels, strokes).masks
    assert torch.equal(grown * strokes, strokes)


@pytest.mark.parametrize("shift", [-24, 0, 24])
def test_a_border_is_where_the_colours_change(shift):
    """It is not half-way between the strokes."""
    colours = torch.tensor([0.55, 0.5, 0.4])[:, None, None].repeat(1, 80, 120)
    colours[:, :, 60 + shift :] = torch.tensor([0.4, 0.5, 0.55])[:, None, None]
    strokes = marked((80, 120), np.s_[30:50, 10:13], np.s_[30:50, 106:109])
    grown = grow_scribbles(noisy(colours, 0.02), strokes).masks
    expected = (torch.arange(120) >= 60 + shift).expand(80, -1)
    assert (grown[1].bool() == expected).float().mean() > 0.99


def test_an_island_without_a_stroke_joins_what_looks_like_it():
    colours = torch.tensor([0.2, 0.5, 0.2])[:, None, None].repeat(1, 80, 120)
    colours[:, 10:40, 10:50] = colours[:, 45:70, 70:110] = torch.tensor([0.8, 0.3, 0.2])[:, None, None]
    strokes = marked((80, 120), np.s_[60:62, 10:50], np.s_[20:22, 20:40])
    grown = grow_scribbles(noisy(colours, 0.02), strokes).masks
    assert grown[1, 47:68, 72:108].mean() > 0.98
    assert grown[0, 45:78, 5:65].mean() > 0.98


def test_any_order_of_regions():
    colours = torch.zeros(3, 60, 90)
    for third, colour in enumerate(((0.2, 0.3, 0.7), (0.6, 0.6, 0.5), (0.3, 0.5, 0.2))):
        colours[:, 20 * third : 20 * (third + 1)] = torch.tensor(colour)[:, None, None]
    strokes = marked((60, 90), np.s_[8:10, 20:60], np.s_[30:32, 20:60], np.s_[50:52, 20:60])
    photo = noisy(colours, 0.05)
    grown = grow_scribbles(photo, RegionMasks(("sky", "house", "land"), strokes))
    order = [2, 0, 1]
    other = grow_scribbles(photo, RegionMasks(("land", "sky", "house"), strokes[order]))
    assert grown.names == ("sky", "house", "land") and other.names == ("land", "sky", "house")
    assert (other.masks == grown.masks[order]).float().mean() > 0.999  # sums in another order round otherwise
    assert all(0.25 < float(mask.mean()) < 0.42 for mask in grown.masks)


def test_the_result_is_the_same_every_time_with_any_number_of_threads():
    threads, results = torch.get_num_threads(), []
    try:
        for seed, count in enumerate((1, 1, 3)):
            torch.set_num_threads(count)
            torch.manual_seed(seed)
            results.append(grow_scribbles(PHOTO.pixels, strokes_of_day()).masks)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]), "another seed gives another result"
    # Sums of more threads round otherwise, which decides pixels that are half in each of two regions.
    assert (results[0] == results[2]).float().mean() > 0.999, "more threads give another result"


def test_photo_and_strokes_are_only_read():
    strokes, photo = strokes_of_day(), PHOTO.pixels.clone()
    grow_scribbles(photo, strokes)
    assert torch.equal(photo, PHOTO.pixels), "the photo changed although only read"
    assert torch.equal(strokes, strokes_of_day()), "the strokes changed although only read"


def test_a_large_photo_has_borders_at_its_own_pixels():
    """Thin strokes and ragged borders are parts of a pixel at the size that the equation is solved at."""
    y, x = np.mgrid[:900, :1200]
    land = torch.from_numpy(y > 500 + 60 * np.sin(x / 90) + 4 * np.sign(np.sin(x / 2)))
    colours = torch.where(
        land, torch.tensor([0.3, 0.45, 0.2])[:, None, None], torch.tensor([0.5, 0.6, 0.8])[:, None, None]
    )
    strokes = marked((900, 1200), np.s_[200:201, 300:900], np.s_[800:801, 300:900])
    strokes[1, 199, 500] = 1  # in the same pixel of the small photo as the stroke of the sky
    grown = grow_scribbles(noisy(colours, 0.02), strokes).masks
    assert (grown[1].bool() != land)[300:].float().mean() < 0.0015
    assert torch.equal(grown * strokes, strokes)


@pytest.mark.parametrize("size", [(16, 16), (16, 400), (130, 40)], ids=str)
@pytest.mark.parametrize(
    "colours",
    [torch.zeros, lambda *size: torch.full(size, 0.5), torch.rand],
    ids=["black", "grey", "noise"],
)
def test_any_photo_has_regions(colours, size):
    strokes = marked(size, np.s_[2:3, 2:6], np.s_[12:13, 9:14])
    grown = grow_scribbles(colours(3, *size), strokes).masks
    assert torch.equal(grown.sum(0), torch.ones(size)) and torch.equal(grown * strokes, strokes)


def test_strokes_painted_on_a_transparent_picture(tmp_path):
    """Paint programs blend the rims of strokes into the transparent rest."""
    picture = np.zeros((96, 128, 4), np.uint8)
    for name, mask in zip((SKY, LAND), strokes_of_day().numpy() > 0, strict=True):
        picture[mask] = (*PALETTE[name], 255)
    picture[19, 30:100] = (*PALETTE[SKY], 60)
    Image.fromarray(picture).save(tmp_path / "strokes.png")
    strokes = read_masks(tmp_path / "strokes.png", (96, 128))
    assert int(strokes.masks.sum()) == int(strokes_of_day().sum())
    grown = grow_scribbles(PHOTO.pixels, strokes)
    assert set(grown.names) == {SKY, LAND}
    masks = torch.stack([grown.masks[grown.names.index(name)] for name in (SKY, LAND)])
    expected = grow_scribbles(PHOTO.pixels, strokes_of_day()).masks
    assert (masks == expected).float().mean() > 0.999  # sums in another order round otherwise


def buried() -> Tensor:
    """The middle region's single pixel lies within another's wide stroke."""
    strokes = marked((600, 600), np.s_[10:200, 10:200], np.s_[100:101, 100:101], np.s_[400:410, 100:400])
    strokes[0, 100, 100] = 0
    return strokes


SKY_ONLY = strokes_of_day() * torch.tensor([1.0, 0])[:, None, None]
TWICE_SKY = RegionMasks(("sky", "sea"), strokes_of_day()[[0, 0]])
FAINT = RegionMasks(("sky", "sea"), strokes_of_day() * 0.4)


@pytest.mark.parametrize(
    ("photo", "strokes", "message"),
    [
        pytest.param(PHOTO.pixels, strokes_of_day()[:1], "strokes: 1 regions; paint at least 2", id="one region"),
        pytest.param(PHOTO.pixels, strokes_of_day()[:0], "strokes: 0 regions", id="no region"),
        pytest.param(
            PHOTO.pixels,
            torch.zeros(65, 96, 128),
            "strokes: 65 regions; paint at least 2 and at most 64",
            id="65 regions",
        ),
        pytest.param(PHOTO.pixels, SKY_ONLY, "no pixel is marked as 1", id="region without a stroke"),
        pytest.param(
            PHOTO.pixels, TWICE_SKY, "no pixel is marked as sea; paint a stroke in every region", id="covered strokes"
        ),
        pytest.param(PHOTO.pixels, FAINT, "no pixel is marked as sky, sea", id="faint strokes"),
        pytest.param(torch.rand(3, 600, 600), buried(), "the strokes of 1 vanish between others", id="buried stroke"),
        pytest.param(
            PHOTO.pixels,
            strokes_of_day()[:, 1:],
            r"strokes: shape is \(2, 95, 128\), expected \(regions, 96, 128\)",
            id="another size",
        ),
        pytest.param(PHOTO.pixels, strokes_of_day()[0], "strokes: shape is", id="one mask"),
        pytest.param(PHOTO.pixels[:1], strokes_of_day(), r"photo: shape is \(1, 96, 128\)", id="grey photo"),
        pytest.param(torch.rand(3, 15, 40), torch.rand(2, 15, 40), "sides of at least 16", id="small photo"),
        pytest.param(PHOTO.pixels * 255, strokes_of_day(), "photo: values from .* expected", id="photo of 0 to 255"),
        pytest.param(PHOTO.pixels * float("nan"), strokes_of_day(), "photo: values from nan", id="photo of NaN"),
        pytest.param(PHOTO.pixels, strokes_of_day() / 0, "strokes: values from nan", id="strokes of NaN"),
        pytest.param(PHOTO.pixels, strokes_of_day() * 2, "strokes: values from 0 to 2", id="strokes of 0 to 2"),
        pytest.param("photo.jpg", strokes_of_day(), "got str and Tensor; give pixels of read_photo", id="path"),
    ],
)
def test_unusable_arguments_are_refused_in_one_line(photo, strokes, message):
    with pytest.raises(InputError, match=message) as caught:
        grow_scribbles(photo, strokes)
    assert "\n" not in str(caught.value)
