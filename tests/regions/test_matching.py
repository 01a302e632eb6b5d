"""Regions of content and style paired by name: orphans, tiny regions, masks on one side only, and what is refused."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastphoto.errors import FastPhotoWarning, InputError
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.matching import ORPHANS, match_regions
from fastphoto.regions.reading import read_masks

GREY = torch.full((3, 100, 100), 0.5)


@pytest.fixture(autouse=True)
def no_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FastPhotoWarning)
        yield


def bands(**shares: float) -> RegionMasks:
    """Regions of 100x100 pixels, one horizontal band for each name from the top."""
    masks, row = torch.zeros(len(shares), 100, 100), 0
    for mask, rows in zip(masks, shares.values(), strict=True):
        mask[row : row + int(rows)] = 1
        row += int(rows)
    return RegionMasks(tuple(shares), masks)


def with_speck(regions: RegionMasks, name: str) -> RegionMasks:
    """One more region of two pixels."""
    speck = torch.zeros(1, 100, 100)
    speck[0, 2, 3:5] = 1
    return RegionMasks((*regions.names, name), torch.cat([regions.masks * (1 - speck), speck]))


def test_regions_pair_by_name_in_the_contents_order():
    content, style = bands(sky=30, sea=40, sand=30), bands(sand=20, tree=10, sky=60, sea=10)
    with pytest.warns(FastPhotoWarning, match=r"the content has no region for tree \(10.0%\) of the style"):
        regions = match_regions(content, style, GREY, GREY)
    assert regions.names == ("sky", "sea", "sand") and regions.orphans == ()
    assert torch.equal(regions.content, content.masks)
    assert torch.equal(regions.style, style.masks[[2, 3, 0]])


# Orphans


def test_several_orphans_are_one_warning():
    content, style = bands(a=40, b=20, c=20, d=20), bands(a=60, d=40)
    with pytest.warns(FastPhotoWarning, match=r"b \(20.0%\), c \(20.0%\)") as caught:
        regions = match_regions(content, style, GREY, GREY)
    assert len(caught) == 1 and regions.orphans == ("b", "c")


def test_an_orphan_merges_into_the_region_that_looks_alike():
    content, style = bands(sky=30, bush=10, sea=30, grass=30), bands(grass=30, sky=40, sea=30)
    colours = torch.tensor([(0.5, 0.7, 1), (0.1, 0.4, 0.1), (0, 0.2, 0.6), (0.2, 0.5, 0.1)])
    pixels = torch.einsum("rhw,rc->chw", content.masks, colours)
    with pytest.warns(FastPhotoWarning, match=r"bush \(10.0%\).*merged into grass$") as caught:
        regions = match_regions(content, style, pixels, GREY)
    assert len(caught) == 1
    assert regions.names == ("sky", "sea", "grass") and regions.orphans == ("bush",)
    assert torch.equal(regions.content[2], content.masks[1] + content.masks[3])
    assert bool((regions.content.sum(0) == 1).all())


def test_a_merged_orphan_adds_its_pixels_to_a_shared_region():
    content = bands(a=40, b=60)
    with pytest.warns(FastPhotoWarning, match=r"no region for b \(60.0%\) of the content; merged into a"):
        regions = match_regions(content, bands(a=60, c=40), GREY, GREY, orphans="merge")
    assert regions.names == ("a",) and torch.equal(regions.content, torch.ones(1, 100, 100))
    assert torch.equal(content.masks, bands(a=40, b=60).masks), "the given masks changed"


def test_a_global_orphan_takes_the_whole_style():
    content, style = bands(a=40, b=60), bands(a=60, c=40)
    with pytest.warns(FastPhotoWarning, match="whole style"):
        regions = match_regions(content, style, GREY, GREY, orphans="global")
    assert regions.names == ("a", "b") and regions.orphans == ("b",)
    assert torch.equal(regions.style, torch.stack([style.masks[0], torch.ones(100, 100)]))
    assert torch.equal(regions.content, content.masks)


def test_a_dropped_orphan_has_no_region():
    content, style = bands(a=40, b=60), bands(a=60, c=40)
    with pytest.warns(FastPhotoWarning, match="without style"):
        regions = match_regions(content, style, GREY, GREY, orphans="drop")
    assert regions.names == ("a",) and regions.orphans == ("b",)
    assert torch.equal(regions.content, content.masks[:1])


def test_an_orphan_can_be_an_error():
    with pytest.raises(InputError, match=r"b \(60.0%\)"):
        match_regions(bands(a=40, b=60), bands(a=60, c=40), GREY, GREY, orphans="error")


def test_unknown_words_for_orphans_are_refused():
    with pytest.raises(InputError, match="got 'ignore'; give merge, global, drop or error"):
        match_regions(bands(a=40, b=60), bands(a=60, c=40), GREY, GREY, orphans="ignore")  # type: ignore[arg-type]


# Photos without a shared region


def test_without_a_shared_region_merging_gives_one_region():
    with pytest.warns(FastPhotoWarning, match="share no region"):
        regions = match_regions(bands(a=40, b=60), bands(c=60, d=40), GREY, GREY)
    assert regions.names == ("all",) and regions.content.mean() == 1 and regions.style.mean() == 1
    assert regions.orphans == ("a", "b")


def test_without_a_shared_region_all_can_be_global():
    with pytest.warns(FastPhotoWarning, match="whole style"):
        regions = match_regions(bands(a=40, b=60), bands(c=60, d=40), GREY, GREY, orphans="global")
    assert regions.names == ("a", "b")


def test_without_a_shared_region_dropping_leaves_nothing():
    with pytest.raises(InputError, match="share no region"):
        match_regions(bands(a=40, b=60), bands(c=60, d=40), GREY, GREY, orphans="drop")


# Tiny and empty regions


@pytest.mark.parametrize("orphans", ORPHANS)
def test_tiny_regions_merge_without_a_warning(orphans):
    plain = bands(a=40, b=60)
    regions = match_regions(with_speck(plain, "c"), with_speck(plain, "c"), GREY, GREY, orphans=orphans)
    assert regions.names == ("a", "b") and torch.equal(regions.content, plain.masks)


def test_tiny_style_regions_count_as_absent():
    with pytest.warns(FastPhotoWarning, match="c"):
        regions = match_regions(bands(a=40, b=30, c=30), with_speck(bands(a=40, b=60), "c"), GREY, GREY)
    assert regions.names == ("a", "b") and regions.orphans == ("c",)


def test_the_minimum_share_can_be_lowered():
    regions = with_speck(bands(a=40, b=60), "c")
    assert match_regions(regions, regions, GREY, GREY, minimum_share=1e-4).names == ("a", "b", "c")


@pytest.mark.parametrize("orphans", ORPHANS)
def test_empty_masks_never_come_out(orphans):
    content = RegionMasks(("a", "b"), torch.stack([torch.ones(100, 100), torch.zeros(100, 100)]))
    regions = match_regions(content, content, GREY, GREY, orphans=orphans, minimum_share=0)
    assert regions.names == ("a",) and regions.style.sum() > 0


@pytest.mark.parametrize(("names", "named"), [(("a", "a"), "a"), (("a", "b"), "all")], ids=["same name", "two names"])
def test_an_only_region_without_pixels_is_refused(names, named):
    content = RegionMasks(names[:1], torch.ones(1, 100, 100))
    style = RegionMasks(names[1:], torch.zeros(1, 100, 100))
    with pytest.raises(InputError, match=f"^style mask: region {named} is empty$"):
        match_regions(content, style, GREY, GREY)


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
            assert not any(content_rows[name] and style_rows.get(name) for name in content_rows)
            return
    assert len(regions.names) == len(regions.content) == len(regions.style)
    assert bool((regions.content.sum((1, 2)) > 0).all()) and bool((regions.style.sum((1, 2)) > 0).all())
    covered = regions.content.sum(0)
    assert covered.max() <= 1
    if orphans != "drop" and regions.names != ("all",):
        assert torch.equal(covered, content.masks.sum(0))


# Masks on one side only


def test_several_regions_on_one_side_only_are_refused():
    none, two = read_masks(None, (100, 100)), bands(a=40, b=60)
    with pytest.raises(InputError, match="style mask: missing.*both or neither"):
        match_regions(two, none, GREY, GREY)
    with pytest.raises(InputError, match="content mask: missing.*both or neither"):
        match_regions(none, two, GREY, GREY)


def test_one_region_pairs_with_the_whole_other_photo():
    none, sky = read_masks(None, (100, 100)), bands(sky=40)
    regions = match_regions(none, sky, GREY, GREY)
    assert regions.names == ("all",) and torch.equal(regions.style, sky.masks)
    regions = match_regions(sky, none, GREY, GREY)
    assert torch.equal(regions.content, sky.masks) and bool((regions.style == 1).all())


def test_whole_photos_pair_whatever_their_names():
    none = read_masks(None, (100, 100))
    assert match_regions(none, none, GREY, GREY).names == ("all",)
    assert match_regions(bands(black=100), bands(white=100), GREY, GREY).names == ("all",)


def test_masks_and_photos_of_different_sizes_are_refused():
    with pytest.raises(InputError, match="style mask"):
        match_regions(bands(a=100), bands(a=100), GREY, GREY[:, :50])
