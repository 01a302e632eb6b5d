"""Regions found as masks of their own: at the photos' sizes, shared by both, and what a transfer works with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rendered_photos import day, dusk

import fastphoto
from fastphoto.errors import InputError
from fastphoto.photos.read import read_photo
from fastphoto.regions import find as finding
from fastphoto.regions.pair import prepare_pair

CONTENT, STYLE = day(120, 160), dusk(140, 120)


def test_masks_have_the_photos_own_sizes_and_one_set_of_names():
    ours, theirs = fastphoto.find_regions(CONTENT.pixels, STYLE.pixels, size=64)
    assert ours.names == theirs.names and len(set(ours.names)) == len(ours.names) > 1
    for found, photo in ((ours, CONTENT), (theirs, STYLE)):
        assert found.masks.shape == (len(found.names), *photo.pixels.shape[1:])
        assert torch.equal(found.masks.sum(0), torch.ones_like(found.masks[0]))
        assert set(found.masks.unique().tolist()) == {0.0, 1.0}


def test_a_transfer_with_the_masks_found_is_that_of_regions_auto():
    labels = fastphoto.find_regions(CONTENT.pixels, STYLE.pixels)
    by_masks = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, *labels, steps=4)
    assert torch.equal(by_masks, fastphoto.transfer(CONTENT.pixels, STYLE.pixels, regions="auto", steps=4))
    whole = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, regions="none", steps=4)
    assert torch.equal(whole, fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=4))
    assert not torch.equal(whole, by_masks)


def test_one_photo_has_regions_of_its_own():
    ours, theirs = fastphoto.find_regions(CONTENT.pixels)
    assert torch.equal(ours.masks, theirs.masks) and len(ours.names) > 1


def test_given_masks_are_matched():
    with pytest.warns(fastphoto.FastPhotoWarning, match="the style has no region for 2"):
        ours, theirs = fastphoto.find_regions(
            CONTENT.pixels,
            STYLE.pixels,
            CONTENT.labels + (np.arange(160) > 80) * (CONTENT.labels == 1),
            STYLE.labels,
            regions="masks",
        )
    assert ours.names == theirs.names == ("0", "1")
    assert torch.equal(ours.masks, CONTENT.regions)


def test_what_alpha_hides_is_of_no_region():
    alpha = np.full((120, 160, 1), 255, np.uint8)
    alpha[:, :70] = 0
    colours = (CONTENT.pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    ours, _ = fastphoto.find_regions(np.concatenate([colours, alpha], 2), STYLE.pixels, size=80)
    assert float(ours.masks[:, :, :70].sum()) == 0
    assert torch.equal(ours.masks[:, :, 70:].sum(0), torch.ones(120, 90))


def test_regions_of_a_network_are_those_of_what_is_seen(monkeypatch):
    """Its own work is tested in test_semantic_regions.py; here it is what becomes of it."""
    pair = prepare_pair(*(read_photo(p.pixels, "photo") for p in (CONTENT, STYLE)), None, None, 160)
    asked = {}

    def found(content, style, *, model, device):
        asked.update(model=model, device=device)
        return tuple(finding.RegionMasks(("sky", "grass"), p.regions) for p in (CONTENT, STYLE))

    monkeypatch.setattr("fastphoto.regions.semantic.semantic_regions", found)
    seen = pair.content_masks.clone()
    seen[0, :, :50] = 0
    hidden = finding.replace(pair, content_masks=seen)
    result = finding.assign_regions(hidden, "semantic", "folder/of/model", torch.device("cpu"))
    assert result.names == ("sky", "grass") and asked["model"] == "folder/of/model"
    assert torch.equal(result.content_masks, CONTENT.regions * seen[0])
    assert torch.equal(result.style_masks, STYLE.regions)
    seen[0] = CONTENT.regions[1]  # all of the sky is hidden
    assert finding.assign_regions(hidden, "semantic", None, torch.device("cpu")).names == ("grass",)
    seen[0] = 0
    assert finding.assign_regions(hidden, "semantic", None, torch.device("cpu")) is hidden


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="regions: must be one of"):
        fastphoto.find_regions(CONTENT.pixels, regions="everything")
    with pytest.raises(InputError, match="device 'tpu'"):
        fastphoto.find_regions(CONTENT.pixels, device="tpu")
    with pytest.raises(InputError, match="size: must be"):
        fastphoto.find_regions(CONTENT.pixels, size=3)
