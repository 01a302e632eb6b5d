"""The photo pairs in the package: they are complete and small, their masks match, their licences are listed."""

from __future__ import annotations

import warnings

import pytest
import torch

from fastphoto.errors import FastPhotoWarning
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.read import read_photo
from fastphoto.regions.matching import match_regions
from fastphoto.regions.pair import prepare_pair
from fastphoto.regions.reading import read_masks

PAIRS = demo_pairs()
EACH = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)


def test_there_are_two_or_more_in_order_and_they_are_small():
    assert len(PAIRS) >= 2 and sorted(PAIRS) == PAIRS
    assert sum(file.stat().st_size for file in PAIRS[0].parent.rglob("*") if file.is_file()) < 1.2e6


@EACH
def test_a_pair_is_complete(pair):
    names = {"content.jpg", "content_mask.png", "style.jpg", "style_mask.png"}
    assert names == {path.name for path in pair.iterdir()}


@EACH
def test_a_pair_is_prepared_without_a_warning(pair):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FastPhotoWarning)  # such as that of regions that the style lacks
        photos = read_photo(pair / "content.jpg"), read_photo(pair / "style.jpg", "style")
        prepared = prepare_pair(*photos, pair / "content_mask.png", pair / "style_mask.png", 120)
    assert len(prepared.names) >= 2 and max(prepared.content.shape) == max(prepared.style.shape) == 120
    for masks in (prepared.content_masks, prepared.style_masks):
        assert torch.allclose(masks.sum(0), torch.ones(masks.shape[1:]), atol=1e-5), "a pixel has no region"


@EACH
def test_masks_match(pair):
    content, style = (read_photo(pair / f"{role}.jpg", role) for role in ("content", "style"))
    masks = (
        read_masks(pair / "content_mask.png", content.size, "content"),
        read_masks(pair / "style_mask.png", style.size, "style"),
    )
    matched = match_regions(*masks, content.pixels, style.pixels, orphans="error")
    assert len(matched.names) >= 2
    assert torch.all(matched.content.sum(0) == 1), "a pixel belongs to no region"


@EACH
@pytest.mark.parametrize("role", ["content", "style"])
def test_the_licence_is_listed(pair, role):
    assert f"`{pair.name}/{role}.jpg`" in (pair.parent / "LICENCES.md").read_text()
