"""Regions: matching by name, and shrinking against slow definitions."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from locations import SHARED
from PIL import Image

from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.matching import match_regions
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import layer_masks, resize_masks

SIZE = (90, 120)
PAIRS = SHARED / "pairs"


@pytest.fixture(autouse=True)
def no_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FastPhotoWarning)
        yield


# Matching


def bands(**shares: float) -> RegionMasks:
    """RegionMasks on 100x100, one horizontal band per name from the top."""
    masks, row = torch.zeros(len(shares), 100, 100), 0
    for r, rows in enumerate(shares.values()):
        masks[r, row : row + int(rows)] = 1
        row += int(rows)
    return RegionMasks(tuple(shares), masks)


def looks(labels: RegionMasks, colours: dict[str, tuple[float, float, float]]) -> torch.Tensor:
    pixels = torch.full((3, *labels.masks.shape[1:]), 0.5)
    for name, mask in zip(labels.names, labels.masks, strict=True):
        pixels[:, mask == 1] = torch.tensor(colours.get(name, (0.5, 0.5, 0.5)))[:, None]
    return pixels


GREY = torch.full((3, 100, 100), 0.5)


def test_regions_pair_by_name_in_the_contents_order():
    content, style = bands(sky=30, sea=40, sand=30), bands(sand=20, tree=10, sky=60, sea=10)
    with pytest.warns(FastPhotoWarning, match=r"the content has no region for tree \(10.0%\) of the style"):
        regions = match_regions(content, style, GREY, GREY)
    assert regions.names == ("sky", "sea", "sand") and regions.orphans == ()
    assert torch.equal(regions.content, content.masks)
    assert torch.equal(regions.style, style.masks[[2, 3, 0]])


def test_orphans_merge_into_the_region_that_looks_alike():
    content, style = bands(sky=30, bush=10, sea=30, grass=30), bands(grass=30, sky=40, sea=30)
    pixels = looks(
        content,
        {"sky": (0.5, 0.7, 1), "bush": (0.1, 0.4, 0.1), "sea": (0, 0.2, 0.6), "grass": (0.2, 0.5, 0.1)},
    )
    with pytest.warns(FastPhotoWarning, match=r"bush \(10.0%\).*grass") as caught:
        regions = match_regions(content, style, pixels, GREY)
    assert len(caught) == 1
    assert regions.names == ("sky", "sea", "grass") and regions.orphans == ("bush",)
    assert torch.equal(regions.content[2], content.masks[1] + content.masks[3])
    assert bool((regions.content.sum(0) == 1).all())


def test_orphans_of_no_particular_colour_merge_into_the_region_around():
    content = bands(top=40, left=20, bottom=40)
    spot = torch.zeros(100, 100)
    spot[85:90, 40:60] = 1
    content = RegionMasks((*content.names, "spot"), torch.cat([content.masks * (1 - spot), spot[None]]))
    with pytest.warns(FastPhotoWarning, match="bottom"):
        match_regions(content, bands(top=40, left=20, bottom=40), GREY, GREY)


def test_several_orphans_are_one_warning():
    content, style = bands(a=40, b=20, c=20, d=20), bands(a=60, d=40)
    with pytest.warns(FastPhotoWarning, match=r"b \(20.0%\), c \(20.0%\)") as caught:
        regions = match_regions(content, style, GREY, GREY)
    assert len(caught) == 1 and regions.orphans == ("b", "c")


def test_the_other_ways_to_treat_orphans():
    content, style = bands(a=40, b=60), bands(a=60, c=40)
    with pytest.warns(FastPhotoWarning, match="whole style"):
        regions = match_regions(content, style, GREY, GREY, orphans="global")
    assert regions.names == ("a", "b") and bool((regions.style[1] == 1).all())
    assert torch.equal(regions.content, content.masks)
    with pytest.warns(FastPhotoWarning, match="without style"):
        regions = match_regions(content, style, GREY, GREY, orphans="drop")
    assert regions.names == ("a",) and torch.equal(regions.content, content.masks[:1])
    with pytest.raises(InputError, match=r"b \(60.0%\)"):
        match_regions(content, style, GREY, GREY, orphans="error")
    with pytest.raises(InputError, match="give merge"):
        match_regions(content, style, GREY, GREY, orphans="ignore")  # type: ignore[arg-type]


def test_nothing_in_common():
    content, style = bands(a=40, b=60), bands(c=60, d=40)
    with pytest.warns(FastPhotoWarning, match="share no region"):
        regions = match_regions(content, style, GREY, GREY)
    assert regions.names == ("all",) and regions.content.mean() == 1 and regions.style.mean() == 1
    with pytest.warns(FastPhotoWarning, match="whole style"):
        assert match_regions(content, style, GREY, GREY, orphans="global").names == ("a", "b")
    with pytest.raises(InputError, match="share no region"):
        match_regions(content, style, GREY, GREY, orphans="drop")


def test_tiny_regions_merge_in_silence_and_tiny_style_regions_count_as_absent():
    def with_speck(labels: RegionMasks, name: str) -> RegionMasks:
        speck = torch.zeros(1, 100, 100)
        speck[0, 2, 3:5] = 1
        return RegionMasks((*labels.names, name), torch.cat([labels.masks * (1 - speck), speck]))

    plain = bands(a=40, b=60)
    for orphans in ("merge", "global", "drop", "error"):
        regions = match_regions(with_speck(plain, "c"), with_speck(plain, "c"), GREY, GREY, orphans=orphans)
        assert regions.names == ("a", "b") and torch.equal(regions.content, plain.masks)
    with pytest.warns(FastPhotoWarning, match="c"):
        regions = match_regions(bands(a=40, b=30, c=30), with_speck(plain, "c"), GREY, GREY)
    assert regions.names == ("a", "b") and regions.orphans == ("c",)
    kept = match_regions(with_speck(plain, "c"), with_speck(plain, "c"), GREY, GREY, minimum_share=1e-4)
    assert kept.names == ("a", "b", "c")


def test_empty_masks_never_come_out():
    content = RegionMasks(("a", "b"), torch.stack([torch.ones(100, 100), torch.zeros(100, 100)]))
    for orphans in ("merge", "global", "drop", "error"):
        regions = match_regions(content, content, GREY, GREY, orphans=orphans, minimum_share=0)
        assert regions.names == ("a",) and regions.style.sum() > 0


def test_a_mask_on_one_side_only():
    none, two = read_masks(None, (100, 100)), bands(a=40, b=60)
    with pytest.raises(InputError, match="style mask: missing.*both or neither"):
        match_regions(two, none, GREY, GREY)
    with pytest.raises(InputError, match="content mask: missing.*both or neither"):
        match_regions(none, two, GREY, GREY)
    sky = bands(sky=40)
    regions = match_regions(none, sky, GREY, GREY)
    assert regions.names == ("all",) and torch.equal(regions.style, sky.masks)
    regions = match_regions(sky, none, GREY, GREY)
    assert torch.equal(regions.content, sky.masks) and bool((regions.style == 1).all())
    assert match_regions(none, none, GREY, GREY).names == ("all",)
    assert match_regions(bands(black=100), bands(white=100), GREY, GREY).names == ("all",)


def test_ids_that_look_like_grey_palette_colours_still_pair():
    ids = np.zeros((100, 100), np.uint8)
    ids[:, 60:] = 255
    picture = read_masks(Image.fromarray(ids), (100, 100))
    ids[80:, :30] = 7
    numbers = read_masks(ids, (100, 100))
    assert picture.names == ("black", "white") and numbers.names == ("0", "7", "255")
    with pytest.warns(FastPhotoWarning, match="the content has no region for 7"):
        assert match_regions(picture, numbers, GREY, GREY).names == ("0", "255")


def test_masks_and_photos_of_different_sizes_are_refused():
    with pytest.raises(InputError, match="style mask"):
        match_regions(bands(a=100), bands(a=100), GREY, GREY[:, :50])


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 16), min_size=1),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 16), min_size=1),
    st.sampled_from(["merge", "global", "drop"]),
)
def test_matching_never_leaves_an_empty_region_nor_loses_pixels(content_rows, style_rows, orphans):
    content, style = bands(**content_rows), bands(**style_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FastPhotoWarning)
        try:
            regions = match_regions(content, style, GREY, GREY, orphans=orphans)
        except InputError:
            assert not any(content_rows[n] and style_rows.get(n) for n in content_rows)
            return
    assert len(regions.names) == len(regions.content) == len(regions.style)
    assert bool((regions.content.sum((1, 2)) > 0).all()) and bool((regions.style.sum((1, 2)) > 0).all())
    covered = regions.content.sum(0)
    assert covered.max() <= 1
    if orphans != "drop" and regions.names != ("all",):
        assert torch.equal(covered, content.masks.sum(0))


# Shrinking


def slow_shrink(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Area averaging by its definition, one overlap at a time."""
    high, wide = mask.shape
    result = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y0, y1 = i * high / size[0], (i + 1) * high / size[0]
            x0, x1 = j * wide / size[1], (j + 1) * wide / size[1]
            for y in range(math.floor(y0), min(high, math.ceil(y1))):
                for x in range(math.floor(x0), min(wide, math.ceil(x1))):
                    area = (min(y + 1, y1) - max(y, y0)) * (min(x + 1, x1) - max(x, x0))
                    result[i, j] += mask[y, x] * area / ((y1 - y0) * (x1 - x0))
    return result


def slow_mean(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    result = np.zeros(mask.shape)
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            result[i, j] = padded[i : i + 3, j : j + 3].sum() / 9
    return result


@settings(max_examples=40, deadline=None)
@given(*[st.integers(1, 23)] * 4, st.integers(0, 1000))
def test_resize_masks_is_area_averaging(height, width, h, w, seed):
    masks = torch.rand(2, height, width, generator=torch.Generator().manual_seed(seed))
    result = resize_masks(masks, (h, w))
    for r in range(2):
        np.testing.assert_allclose(result[r], slow_shrink(masks[r].numpy().astype(float), (h, w)), atol=2e-6)


@pytest.mark.parametrize("size", [(233, 350), (59, 88), (466, 700), (1, 1), (467, 701)])
def test_resize_masks_keeps_the_sum_of_the_masks(size):
    labels = torch.randint(0, 5, (466, 700), generator=torch.Generator().manual_seed(0))
    masks = torch.stack([(labels == r).float() for r in range(5)])
    small = resize_masks(masks, size)
    assert (small.sum(0) - 1).abs().max() < 1e-5
    torch.testing.assert_close(small.mean((1, 2)), masks.mean((1, 2)), atol=1e-5, rtol=0)
    assert small.min() >= 0 and small.max() <= 1 + 1e-6


def pooled(size: tuple[int, int], times: int, up: bool) -> tuple[int, int]:
    for _ in range(times):
        size = ((size[0] + up) // 2, (size[1] + up) // 2)
    return size


@pytest.mark.parametrize("up", [True, False])
def test_layer_masks_follow_the_network_layer_by_layer(up):
    masks = torch.rand(2, 37, 53, generator=torch.Generator().manual_seed(0))
    wanted, current, sizes = {}, masks.double().numpy(), {}
    for block, count in enumerate((2, 2, 4, 4, 4), 1):
        if block > 1:
            size = pooled((37, 53), block - 1, up)
            current = np.stack([slow_shrink(m, size) for m in current])
        for step in range(1, count + 1):
            current = np.stack([slow_mean(m) for m in current])
            wanted[f"relu{block}_{step}"] = current
            sizes[f"relu{block}_{step}"] = current.shape[1:]
    found = layer_masks(masks, list(wanted), sizes)
    assert list(found) == list(wanted)
    for layer, values in wanted.items():
        np.testing.assert_allclose(found[layer], values, atol=1e-5, err_msg=layer)
    paper = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    alone = layer_masks(masks, paper, {"relu5_1": sizes["relu5_1"]})  # the last size alone tells the rounding
    assert list(alone) == paper and all(torch.equal(alone[k], found[k]) for k in paper)
    before = layer_masks(masks, ["conv4_2"], sizes)["conv4_2"]
    assert torch.equal(before, found["relu4_2"])


def test_layer_masks_round_up_where_nothing_tells():
    assert layer_masks(torch.ones(1, 37, 53), ["relu3_1"], {})["relu3_1"].shape == (1, 10, 14)


def test_layer_masks_sum_to_one_inside_and_fade_at_the_border():
    labels = torch.randint(0, 4, (65, 91), generator=torch.Generator().manual_seed(1))
    masks = torch.stack([(labels == r).float() for r in range(4)])
    for layer, reach in (("relu1_1", 1), ("relu2_1", 3), ("relu3_1", 4)):
        total = layer_masks(masks, [layer], {})[layer].sum(0)
        assert (total[reach:-reach, reach:-reach] - 1).abs().max() < 1e-5
        assert total[0, 0] < 0.7 and total.max() < 1 + 1e-5
    assert layer_masks(masks, ["relu1_1"], {})["relu1_1"].sum(0)[0, 0] == pytest.approx(4 / 9)


@pytest.mark.parametrize("layer", ["relu1_3", "relu6_1", "pool1", "conv", "relu3_5", "xrelu1_1", "relu1_1 "])
def test_unknown_layers_are_refused(layer):
    with pytest.raises(InputError, match="relu1_1 to relu5_4"):
        layer_masks(torch.ones(1, 32, 32), [layer], {})


def test_sizes_no_pooling_has_are_refused():
    with pytest.raises(InputError, match="poolings"):
        layer_masks(torch.ones(1, 32, 32), ["relu2_1"], {"relu2_1": (15, 16)})
