"""From a semantic network's scores to the regions that both photos share."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rendered_photos import Rendered, day, dusk
from torch import Tensor

from fastphoto.cli import command as cli
from fastphoto.photos.read import read_photo
from fastphoto.regions.ade20k import KINDS
from fastphoto.regions.borders import without_islands
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.regions.reading import read_masks
from fastphoto.regions.semantic import find_semantic_regions, semantic_regions, shared_regions


def painted(kinds: np.ndarray, colours: int = 8) -> Tensor:
    """A photo (3, H, W) in which each kind of a region map (H, W) has a colour of its own."""
    random = torch.Generator().manual_seed(3)
    return torch.rand(colours, 3, generator=random)[torch.from_numpy(kinds)].permute(2, 0, 1).contiguous()


def certain(kinds: np.ndarray, count: int, second: dict[int, int] | None = None) -> Tensor:
    """Scores (count, H, W): nearly all for each pixel's kind, and more for a second one than for the rest."""
    scores = torch.zeros(count, *kinds.shape)
    for kind in range(count):
        scores[kind][torch.from_numpy(kinds == kind)] = 10
    for kind, other in (second or {}).items():
        scores[other][torch.from_numpy(kinds == kind)] = 3
    return scores


def halves(left: int, right: int, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    """A region map of a left and a right half."""
    kinds = np.full(size, left)
    kinds[:, size[1] // 2 :] = right
    return kinds


def thirds(size: tuple[int, int] = (60, 100)) -> np.ndarray:
    """A region map of two upper quarters and a lower third."""
    kinds = halves(0, 1, size)
    kinds[size[0] * 2 // 3 :] = 2
    return kinds


def stripes() -> np.ndarray:
    """A region map of three horizontal stripes."""
    return np.repeat(np.arange(3), 30)[:, None].repeat(50, 1)


def region(regions: RegionMasks, name: str) -> np.ndarray:
    return regions.masks[regions.names.index(name)].numpy() == 1


def assert_shared(
    content: RegionMasks, style: RegionMasks, names: Sequence[str], sizes: Sequence[tuple[int, ...]]
) -> None:
    assert content.names == style.names and len(content.names) >= 1
    assert [name for name in names if name in content.names] == list(content.names), (
        "names are out of order, or appear twice"
    )
    for regions, size in zip((content, style), sizes, strict=True):
        assert regions.masks.shape == (len(regions.names), *size) and regions.masks.dtype == torch.float32
        assert set(regions.masks.unique().tolist()) <= {0.0, 1.0}
        assert bool((regions.masks.sum(0) == 1).all()), "a pixel belongs to no region, or to several"
        assert regions.masks.mean((1, 2)).min() >= min(0.01, 1 / len(regions.names)) - 1e-6, "a region is too small"


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kinds=st.integers(1, 9),
    sizes=st.lists(st.tuples(st.integers(16, 60), st.integers(16, 60)), min_size=2, max_size=2),
    coarse=st.sampled_from([1, 3, 12]),
    contrast=st.sampled_from([0.0, 0.5, 6.0, 200.0]),
    bias=st.sampled_from([0.0, 4.0]),
    flat=st.booleans(),
)
def test_any_scores_give_shared_regions(seed, kinds, sizes, coarse, contrast, bias, flat):
    random = torch.Generator().manual_seed(seed)
    scores, photos = [], []
    for size in sizes:
        scores.append(contrast * torch.randn(kinds, coarse, coarse + 1, generator=random))
        scores[-1] += bias * torch.randn(kinds, 1, 1, generator=random)
        photos.append(torch.full((3, *size), 0.5) if flat else torch.rand(3, *size, generator=random))
    names = tuple("abcdefghi"[:kinds])
    assert_shared(*shared_regions(*scores, *photos, names), names, sizes)


# Kinds that are given up


@pytest.mark.parametrize(("lacked", "other"), [(1, 2), (2, 1)])
def test_content_takes_its_best_kind_among_those_of_the_style(lacked, other):
    content, style = halves(0, lacked), halves(0, other, (50, 70))
    scores = certain(content, 4, {lacked: other}), certain(style, 4)
    content_regions, style_regions = shared_regions(*scores, painted(content), painted(style), tuple("abcd"))
    assert content_regions.names == ("a", "abc"[other])
    np.testing.assert_array_equal(region(content_regions, "abc"[other]), content == lacked)
    np.testing.assert_array_equal(region(style_regions, "abc"[other]), style == other)


@pytest.mark.parametrize(("lacked", "other"), [(1, 2), (2, 1)])
def test_kinds_that_the_content_lacks_are_given_up_in_the_style(lacked, other):
    content, style = halves(0, lacked), halves(0, other, (50, 70))
    scores = certain(content, 4, {lacked: 0}), certain(style, 4)
    assert shared_regions(*scores, painted(content), painted(style), tuple("abcd"))[0].names == ("a",)


def spot(height: int) -> np.ndarray:
    """Two halves with a spot of 13 pixels width, 0.8 % of the photo for 4 pixels and 1.3 % for 6."""
    kinds = halves(0, 1, (60, 100))
    kinds[20 : 20 + height, 62 : 62 + 13] = 2
    return kinds


def shared_by(content: np.ndarray, style: np.ndarray) -> tuple[RegionMasks, RegionMasks]:
    scores = [certain(kinds, 3, {2: 0}) for kinds in (content, style)]
    regions = shared_regions(*scores, painted(content), painted(style), tuple("abc"))
    assert_shared(*regions, tuple("abc"), [content.shape, style.shape])
    return regions


@pytest.mark.parametrize(
    ("content", "style"), [(spot(4), thirds()), (thirds(), spot(4))], ids=["small in content", "small in style"]
)
def test_kinds_too_small_in_either_photo_join_the_next_best(content, style):
    for regions, kinds in zip(shared_by(content, style), (content, style), strict=True):
        assert regions.names == ("a", "b")
        np.testing.assert_array_equal(region(regions, "b"), kinds == 1)


@pytest.mark.parametrize(
    ("content", "style"), [(spot(6), thirds()), (thirds(), spot(6))], ids=["small in content", "small in style"]
)
def test_kinds_of_more_than_a_hundredth_stay(content, style):
    for regions, kinds in zip(shared_by(content, style), (content, style), strict=True):
        assert regions.names == ("a", "b", "c")
        assert (region(regions, "c") == (kinds == 2)).mean() > 0.99


@pytest.mark.parametrize("second", [0, 1])
def test_kinds_that_the_content_lacks_join_the_next_best_however_sure_the_network_was(second):
    """The other kinds' probabilities are 1e-17 and less: what counts is how they compare."""
    style = halves(0, 1, (60, 90))
    style[30:] = 2
    scores = 4 * certain(halves(0, 1), 3), 4 * certain(style, 3, {2: second})
    content, regions = shared_regions(*scores, painted(halves(0, 1)), painted(style), tuple("abc"))
    assert content.names == ("a", "b")
    np.testing.assert_array_equal(region(regions, "ab"[second]), (style == second) | (style == 2))


def test_the_smallest_kind_is_given_up_first_and_may_save_another():
    """Two kinds of 0.7 % each are second best to each other: one of them stays, with the pixels of both."""
    kinds = halves(0, 0, (100, 100))
    kinds[20:27, 20:30] = 1
    kinds[60:67, 60:69] = 2
    scores = certain(kinds, 3, {1: 2, 2: 1}), certain(stripes(), 3)
    content, _ = shared_regions(*scores, painted(kinds), painted(stripes()), tuple("abc"))
    assert content.names == ("a", "b")
    assert (region(content, "b") == (kinds > 0)).mean() > 0.999


def test_of_more_than_nine_kinds_the_smallest_are_given_up():
    widths = (12, 4, 11, 10, 9, 8, 7, 6, 5, 13, 14)
    kinds = np.repeat(np.arange(11), widths)[None].repeat(40, 0)
    scores, photo = certain(kinds, 11, {1: 0, 8: 7}), painted(kinds, 11)
    content, style = shared_regions(scores, scores, photo, photo, tuple("abcdefghijk"))
    assert_shared(content, style, tuple("abcdefghijk"), [kinds.shape] * 2)
    assert content.names == tuple("acdefghjk")
    np.testing.assert_array_equal(region(content, "a"), (kinds == 0) | (kinds == 1))
    np.testing.assert_array_equal(region(style, "h"), (kinds == 7) | (kinds == 8))


# Islands


def test_small_islands_join_what_surrounds_them_and_larger_ones_stay():
    kinds = halves(0, 1, (100, 150))
    kinds[20:23, 20:24] = 1  # 12 pixels, below a thousandth
    kinds[70:74, 100:103] = 0
    kinds[40:48, 30:40] = 1
    scores = certain(kinds, 2), certain(halves(0, 1), 2)
    content, _ = shared_regions(*scores, painted(kinds), painted(halves(0, 1)), ("a", "b"))
    expected = halves(0, 1, (100, 150))
    expected[40:48, 30:40] = 1
    np.testing.assert_array_equal(region(content, "b"), expected == 1)


def test_islands_between_two_regions_take_the_nearer_one():
    """Islands of a kind that has a region elsewhere: each pixel goes to the region beside it, whatever its scores."""
    kinds = halves(0, 1, (100, 150))
    expected = kinds.copy()
    expected[90:] = kinds[90:] = 2
    kinds[5:85:10, 72:78] = 2
    scores = certain(kinds, 3), certain(stripes(), 3)
    content, _ = shared_regions(*scores, painted(kinds), painted(stripes()), tuple("abc"))
    np.testing.assert_array_equal(content.masks.argmax(0).numpy(), expected)


def test_nothing_but_islands_is_one_region():
    checks = np.indices((61, 60)).sum(0) % 2
    content, style = shared_regions(certain(checks, 2), certain(checks, 2), painted(checks), painted(checks), "ab")
    assert len(content.names) == 1 and content.names == style.names


def test_nothing_but_islands_is_the_most_common_kind():
    checks = np.indices((61, 60)).sum(0) % 2
    mixed = np.where(checks == 1, 1, np.indices(checks.shape)[0] // 2 % 2 * 2)  # half of the pixels are of kind 1
    assert bool((without_islands(torch.from_numpy(mixed)) == 1).all())


# Borders and sizes


@pytest.mark.parametrize("size", [(300, 400), (600, 300), (60, 1400)], ids=str)
def test_borders_follow_the_photos_edges(size):
    """Scores are soft and half a hundredth of the photo's length off; the photo tells where the border is."""
    width = size[1]
    kinds = np.zeros(size, int)
    kinds[:, width * 2 // 5 :] = 1
    photo = 0.9 * painted(kinds) + 0.1 * torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    off = 0.005 * max(size)
    scores = torch.stack([(width * 2 // 5 + off - torch.arange(width)).div(off).expand(size), torch.zeros(size)])
    style = certain(halves(0, 1), 2), painted(halves(0, 1))

    def wrong_pixels(guide: Tensor) -> float:
        """Pixels of a row that are in the wrong region."""
        content, _ = shared_regions(scores, style[0], guide, style[1], ("a", "b"))
        return float((region(content, "b") != (kinds == 1)).mean() * width)

    assert wrong_pixels(torch.full_like(photo, 0.5)) >= off - 0.5, "the border is right without the photo"
    assert wrong_pixels(photo) < 0.3 * off


def test_photos_larger_than_the_working_size_have_masks_of_their_own_size():
    kinds = halves(0, 1, (700, 1700))
    kinds[100:200, 100:240] = 1
    content, style = shared_regions(
        certain(kinds[::7, ::7], 2), certain(kinds[:600:6, ::6], 2), painted(kinds), painted(kinds), ("a", "b")
    )
    assert_shared(content, style, ("a", "b"), [kinds.shape] * 2)
    assert (region(content, "b") == (kinds == 1)).mean() > 0.998


# With a network


def accuracy(regions: RegionMasks, photo: Rendered) -> float:
    return float((regions.masks * photo.masks).sum() / photo.region_map.size)


@pytest.mark.parametrize("size", [(96, 128), (144, 120)], ids=str)
def test_a_network_finds_the_skies_of_both_photos(network, size):
    content, style = day(*size), dusk(size[0] + 13, size[1])
    regions = semantic_regions(content.pixels, style.pixels, model=str(network), size=128)
    assert_shared(*regions, tuple(KINDS), [content.region_map.shape, style.region_map.shape])
    assert regions[0].names == ("sky", "mountains")
    assert accuracy(regions[0], content) > 0.9 and accuracy(regions[1], style) > 0.9


def test_size_changes_the_input_of_the_network(network):
    photos = day(96, 128).pixels, dusk(96, 128).pixels
    coarse, fine = (semantic_regions(*photos, model=str(network), size=size)[0] for size in (32, 128))
    assert fine.names != coarse.names or not torch.equal(fine.masks, coarse.masks)


def test_the_command_writes_the_regions_of_a_network(network, tmp_path):
    content, style = day(96, 128), dusk(96, 80)
    Image.fromarray(content.array).save(tmp_path / "content.png")
    Image.fromarray(style.array).save(tmp_path / "style.png")
    words = [tmp_path / "content.png", tmp_path / "style.png", "--regions", "semantic", "--device", "cpu"]
    words += ["--segmentation-model", network, "-o", tmp_path / "out", "--quiet"]
    assert cli.main(["regions", *map(str, words)]) == 0
    names = json.loads((tmp_path / "out" / "names.json").read_text())
    assert names["blue"] == "sky" and len(names) > 1
    regions = read_masks(tmp_path / "out" / "content_mask.png", (96, 128))
    assert (region(regions, "blue") == (content.region_map == 0)).mean() > 0.9


# In a pair of photos


@pytest.fixture
def pair(monkeypatch) -> PhotoPair:
    """A pair of one region, in which the network finds sky and grass."""
    content, style = day(120, 160), dusk(140, 120)

    def regions(*_, **options):
        return tuple(RegionMasks(("sky", "grass"), photo.masks) for photo in (content, style))

    monkeypatch.setattr("fastphoto.regions.semantic.semantic_regions", regions)
    return prepare_pair(read_photo(content.pixels), read_photo(style.pixels), None, None, 160)


def test_a_pair_gets_the_visible_part_of_each_region(pair):
    pair.content_masks[0, :, :50] = 0
    found = find_semantic_regions(pair, None, torch.device("cpu"))
    assert found.names == ("sky", "grass")
    assert torch.equal(found.content_masks, day(120, 160).masks * pair.content_masks[0])
    assert torch.equal(found.style_masks, dusk(140, 120).masks)


def test_a_region_that_is_hidden_in_one_photo_is_given_up(pair):
    pair.content_masks[0] = day(120, 160).masks[1]  # all of the sky is hidden
    assert find_semantic_regions(pair, None, torch.device("cpu")).names == ("grass",)


def test_a_pair_keeps_its_regions_if_all_shared_ones_are_hidden(pair):
    pair.content_masks[0] = 0
    assert find_semantic_regions(pair, None, torch.device("cpu")) is pair


@pytest.mark.parametrize(
    ("model", "name"), [(None, "openmmlab/upernet-convnext-tiny"), ("folder/of/model", "folder/of/model")]
)
def test_the_network_gets_its_model_and_device(model, name, pair, monkeypatch):
    calls = []
    regions = (
        RegionMasks(("sky", "grass"), day(120, 160).masks),
        RegionMasks(("sky", "grass"), dusk(140, 120).masks),
    )
    monkeypatch.setattr(
        "fastphoto.regions.semantic.semantic_regions", lambda *_, **options: calls.append(options) or regions
    )
    find_semantic_regions(pair, model, torch.device("cpu"))
    assert calls == [{"model": name, "device": torch.device("cpu")}]
