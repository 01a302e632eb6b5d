"""The photo pairs in the package: their masks match, their licences are listed, and they are small."""

from __future__ import annotations

import pytest
import torch

from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.read import read_photo
from fastphoto.regions.matching import match_regions
from fastphoto.regions.reading import read_masks

PAIRS = demo_pairs()
EACH = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)


def test_there_are_two_or_more_and_they_are_small():
    assert len(PAIRS) >= 2
    assert sum(file.stat().st_size for file in PAIRS[0].parent.rglob("*") if file.is_file()) < 1.2e6


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
