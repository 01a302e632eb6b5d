"""Regions by the network in the package: which are made, when they are given up, and what the masks hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from demo_scenes import DESERT, MOUNTAINS
from flat_photos import flat_photos
from torch import Tensor

from fastphoto.photos.read import read_photo
from fastphoto.regions import scenes
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.regions.scenes import SCENE_KINDS, plan_regions, scene_regions
from fastphoto.regions.segmenter import SCENE_CLASSES

KINDS = tuple(SCENE_KINDS)


def scores(sureness: float = 0.95, /, **rows: int) -> Tensor:
    """Log-probabilities (K, 20, 20): each kind has this many rows, from the top, and this probability there."""
    assert sum(rows.values()) == 20
    probabilities = torch.full((len(KINDS), 20, 20), (1 - sureness) / (len(KINDS) - 1))
    top = 0
    for kind, count in rows.items():
        probabilities[KINDS.index(kind), top : top + count] = sureness
        top += count
    return probabilities.log()


def pair_of(content: Tensor, style: Tensor) -> PhotoPair:
    return prepare_pair(read_photo(content), read_photo(style, "style"), None, None, 160)


def test_each_class_belongs_to_one_kind():
    classes = [name for names in SCENE_KINDS.values() for name in names.split()]
    assert sorted(classes) == sorted(SCENE_CLASSES)


# The plan


@pytest.mark.parametrize(
    ("content", "style", "names"),
    [
        pytest.param({"sky": 8, "buildings": 12}, {"sky": 5, "buildings": 15}, ("sky", "buildings"), id="shared"),
        pytest.param({"sky": 8, "mountains": 12}, {"sky": 5, "vegetation": 15}, ("sky", "rest"), id="rest with rest"),
        pytest.param({"buildings": 20}, {"buildings": 20}, ("buildings",), id="the same one kind"),
        pytest.param({"interior": 20}, {"sky": 10, "people": 10}, (), id="nothing shared"),
        pytest.param({"objects": 20}, {"objects": 20}, (), id="objects are no kind to match"),
        pytest.param({"sky": 8, "water": 12}, {"sky": 10, "water": 10}, ("sky", "water"), id="water with water"),
    ],
)
def test_kinds_that_both_photos_show_are_regions(content, style, names):
    assert plan_regions(scores(**content), scores(**style)).names == names


@pytest.mark.parametrize("unsure", ["content", "style"])
def test_kinds_that_the_network_is_unsure_of_are_not_matched(unsure):
    sure, doubtful = scores(sky=10, buildings=10), scores(0.5, sky=10, buildings=10)
    assert plan_regions(*((doubtful, sure) if unsure == "content" else (sure, doubtful))).names == ()


def test_a_kind_that_the_style_lacks_joins_one_that_goes_with_it():
    plan = plan_regions(scores(sky=6, vegetation=10, ground=4), scores(sky=10, vegetation=10))
    assert plan.names == ("sky", "vegetation") and plan.content[KINDS.index("ground")] == "vegetation"


def test_water_takes_the_look_of_the_whole_style_if_nothing_is_left_there():
    plan = plan_regions(scores(sky=6, buildings=6, water=8), scores(sky=10, buildings=10))
    assert plan.names == ("sky", "buildings", "water") and plan.whole == {"water"}
    assert "water" not in plan.style


@pytest.mark.parametrize(("kind", "whole"), [("vegetation", set()), ("ground", set()), ("people", {"rest"})])
def test_a_rest_unlike_that_of_the_style_takes_the_look_of_the_whole_style(kind, whole):
    plan = plan_regions(scores(sky=8, mountains=12), scores(**{"sky": 10, kind: 10}))
    assert plan.names[0] == "sky" and plan.whole == whole


def test_a_rest_that_the_network_is_unsure_of_joins_the_regions():
    content = scores(sky=8, buildings=8, people=4)
    content[:, 16:] = torch.full((len(KINDS), 1, 1), 0.4 / (len(KINDS) - 2)).log()
    content[KINDS.index("people"), 16:] = torch.tensor(0.35).log()
    content[KINDS.index("buildings"), 16:] = torch.tensor(0.25).log()
    plan = plan_regions(content, scores(sky=8, buildings=8, ground=4))
    assert plan.names == ("sky", "buildings") and plan.content[KINDS.index("people")] is None


def test_a_part_of_the_style_without_counterpart_gives_its_look_to_nothing():
    plan = plan_regions(scores(sky=10, buildings=10), scores(sky=8, buildings=8, ground=4))
    assert plan.names == ("sky", "buildings") and plan.style[KINDS.index("ground")] is None


# The masks


def test_the_sky_of_a_photograph_is_found_in_both_photos():
    found = scene_regions(pair_of(MOUNTAINS, DESERT))
    assert found.names == ("sky", "mountains")
    for masks in (found.content_masks, found.style_masks):
        height = masks.shape[1]
        assert masks[0, : height // 8].mean() > 0.99 and masks[0, -height // 8 :].mean() < 0.05


def test_masks_are_zero_or_one_and_cover_the_content():
    found = scene_regions(pair_of(MOUNTAINS, DESERT))
    assert torch.equal(found.content_masks.sum(0), torch.ones(found.content.shape[1:]))
    assert set(found.content_masks.unique().tolist()) == set(found.style_masks.unique().tolist()) == {0.0, 1.0}


def test_two_calls_give_the_same_bits():
    first, second = (scene_regions(pair_of(MOUNTAINS, DESERT)) for _ in range(2))
    assert torch.equal(first.content_masks, second.content_masks)
    assert torch.equal(first.style_masks, second.style_masks)


def test_pixels_hidden_by_alpha_belong_to_no_region():
    alpha = torch.ones(1, *MOUNTAINS.shape[1:])
    alpha[:, :, :60] = 0
    found = scene_regions(pair_of(torch.cat([MOUNTAINS, alpha]), DESERT))
    assert torch.equal(found.content_masks.sum(0), alpha[0]) and len(found.names) == 2


@pytest.mark.parametrize("scene", ["one colour", "black frame", "linear gradient", "film grain", "two flat colours"])
def test_photos_with_nothing_to_find_stay_one_region(scene):
    found = scene_regions(pair_of(flat_photos()[scene], DESERT))
    assert found.names == ("all",)
    assert torch.equal(found.content_masks, torch.ones(1, *found.content.shape[1:]))


@pytest.mark.parametrize("size", [(16, 16), (16, 150), (131, 17)])
def test_photos_of_any_shape_have_regions(size):
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    found = scene_regions(pair_of(noise, DESERT))
    assert torch.equal(found.content_masks.sum(0), torch.ones(found.content.shape[1:]))


def two_regions(left: float, right: float) -> PhotoPair:
    """A pair whose content is grey, lighter in one half than in the other, and each half a region."""
    content = torch.full((3, 40, 60), left)
    content[:, :, 30:] = right
    half = torch.zeros(40, 60)
    half[:, :30] = 1
    pair = pair_of(content, content)
    masks = torch.stack([half, 1 - half])
    return replace(pair, names=("sky", "rest"), content_masks=masks, style_masks=masks)


def test_regions_with_an_edge_between_them_stay():
    pair = two_regions(0.3, 0.6)
    assert scenes._without_hidden_borders(pair) is pair


def test_regions_without_an_edge_between_them_are_merged():
    merged = scenes._without_hidden_borders(two_regions(0.5, 0.51))
    assert len(merged.names) == 1
    assert torch.equal(merged.content_masks, torch.ones(1, 40, 60))
    assert torch.equal(merged.style_masks, torch.ones(1, 40, 60))


def test_regions_that_do_not_touch_stay():
    pair = two_regions(0.5, 0.5)
    pair = replace(pair, content_masks=pair.content_masks.clone())
    pair.content_masks[:, :, 24:36] = 0  # hidden by alpha
    assert scenes._without_hidden_borders(pair) is pair


def test_regions_that_touch_at_a_corner_stay():
    pair = two_regions(0.5, 0.5)
    content = torch.zeros(2, 40, 60)
    content[0, :2, :30], content[1, :, 30:] = 1, 1  # a border of two pixels; the rest is hidden
    pair = replace(pair, content_masks=content)
    assert scenes._without_hidden_borders(pair) is pair


def test_worn_regions_join_the_largest():
    pair = two_regions(0.3, 0.6)
    content = torch.zeros(3, 40, 60)
    content[0, :, :30], content[1, :, 30:], content[2, 0, 0] = 1, 1, 1
    content[0, 0, 0] = 0
    style = torch.cat([pair.style_masks, torch.ones(1, 40, 60)])
    kept = scenes._without_small_regions(replace(pair, names=("a", "b", "c"), content_masks=content, style_masks=style))
    assert kept.names == ("a", "b") and torch.equal(kept.content_masks.sum(0), torch.ones(40, 60))
