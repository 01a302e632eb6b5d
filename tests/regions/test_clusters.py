"""Regions found by clustering: they are those of the photos, shared by both, and always usable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rendered_photos import Rendered, day, dusk
from torch import Tensor

import fastphoto
from fastphoto.errors import InputError
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions import clusters
from fastphoto.regions.clusters import cluster_regions
from fastphoto.regions.pair import PhotoPair, prepare_pair

CONTENT, STYLE = day(120, 160), dusk(140, 120)


def bare(content: Tensor | Photo, style: Tensor | Photo, size: int = 350) -> PhotoPair:
    """A pair without regions of its own."""
    photos = [p if isinstance(p, Photo) else read_photo(p, "photo") for p in (content, style)]
    return prepare_pair(*photos, None, None, size)


def check(pair: PhotoPair) -> None:
    """What holds of all regions that are found: everything belongs to one, and each is in both photos."""
    for pixels, masks in ((pair.content, pair.content_masks), (pair.style, pair.style_masks)):
        assert masks.shape == (len(pair.names), *pixels.shape[1:]) and masks.dtype == torch.float32
        assert torch.equal(masks.sum(0), torch.ones_like(masks[0])) and set(masks.unique().tolist()) <= {0.0, 1.0}
        assert (masks.sum((1, 2)) >= 1).all()
    assert 1 <= len(pair.names) <= 7 and len(set(pair.names)) == len(pair.names)


def kinds(masks: Tensor, photo: Rendered) -> Tensor:
    """(R, 2): the share of every region that is sky, and that is land."""
    return torch.einsum("rhw,shw->rs", masks, photo.regions) / masks.sum((1, 2))[:, None]


def counterparts(found: PhotoPair, content: Tensor, style: Tensor) -> float:
    """How probable it is that a pixel of the content and one of the same region in the style are of one kind."""
    return float(((content * style).sum(1) * found.content_masks.mean((1, 2))).sum())


def test_sky_goes_with_sky_and_land_with_land():
    """Although one sky is blue and the other red."""
    found = cluster_regions(bare(CONTENT.pixels, STYLE.pixels))
    check(found)
    ours, theirs = kinds(found.content_masks, CONTENT), kinds(found.style_masks, STYLE)
    assert counterparts(found, ours, theirs) > 0.85 and set(ours.argmax(1).tolist()) == {0, 1}
    assert float((ours.amax(1) * found.content_masks.mean((1, 2))).sum()) > 0.9, "borders are the photo's"
    upside_down = cluster_regions(bare(CONTENT.pixels, STYLE.pixels.flip(1)))
    assert (
        counterparts(
            upside_down, kinds(upside_down.content_masks, CONTENT), kinds(upside_down.style_masks.flip(1), STYLE)
        )
        < 0.7
    )


def test_left_and_right_are_alike():
    found = cluster_regions(bare(CONTENT.pixels, STYLE.pixels.flip(2)))
    check(found)
    assert counterparts(found, kinds(found.content_masks, CONTENT), kinds(found.style_masks.flip(2), STYLE)) > 0.85


def test_a_photo_with_itself_has_the_same_regions_twice():
    found = cluster_regions(bare(CONTENT.pixels, CONTENT.pixels))
    check(found)
    assert torch.equal(found.content_masks, found.style_masks) and len(found.names) > 1


def test_same_regions_every_time_whatever_the_random_state():
    torch.manual_seed(1)
    first = cluster_regions(bare(CONTENT.pixels, STYLE.pixels))
    torch.manual_seed(2)
    second = cluster_regions(bare(CONTENT.pixels, STYLE.pixels))
    assert torch.equal(first.content_masks, second.content_masks)
    assert torch.equal(first.style_masks, second.style_masks)


def test_regions_are_those_of_the_photo_at_any_size():
    """What a layer sees depends on the size of what it sees, so photos are looked at at one size."""
    large = [
        torch.from_numpy(np.kron(p.array, np.ones((4, 4, 1), np.uint8))).permute(2, 0, 1) for p in (CONTENT, STYLE)
    ]
    coarse, fine = (cluster_regions(bare(*large, size=size)) for size in (350, 640))
    assert len(coarse.names) == len(fine.names)
    shrunk = torch.nn.functional.interpolate(fine.content_masks[None], coarse.content_masks.shape[1:], mode="area")[0]
    assert float((shrunk - coarse.content_masks).abs().mean()) < 0.03


@pytest.mark.parametrize(
    ("content", "style"),
    [
        (torch.zeros(3, 40, 40), torch.ones(3, 40, 40)),
        (torch.full((3, 16, 16), 0.4), CONTENT.pixels),
        (torch.rand(3, 16, 90, generator=torch.Generator().manual_seed(1)), torch.rand(3, 60, 17)),
        (CONTENT.pixels[:, :16, :16], STYLE.pixels[:, -17:]),
    ],
    ids=["constant", "constant content", "noise", "corners"],
)
def test_any_photos_have_regions(content, style):
    check(cluster_regions(bare(content, style)))


def test_few_of_a_cluster_in_either_photo_go_to_the_others(monkeypatch):
    """A frame in the content alone has no counterpart."""
    content = CONTENT.pixels.clone()
    content[:, :, :24] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    found = cluster_regions(bare(content, STYLE.pixels))
    check(found)
    for masks in (found.content_masks, found.style_masks):
        assert float(masks.mean((1, 2)).min()) > 0.01
    monkeypatch.setattr(clusters, "_LEAST_SHARE", 1.0)
    assert len(cluster_regions(bare(content, STYLE.pixels)).names) == 1


def test_what_alpha_hides_is_of_no_region():
    alpha = np.full((120, 160, 1), 255, np.uint8)
    alpha[:, :70] = 0
    photo = read_photo(np.concatenate([CONTENT.array, alpha], 2), "content")
    found = cluster_regions(bare(photo, STYLE.pixels))
    assert float(found.content_masks[:, :, :64].sum()) == 0
    assert torch.equal(found.content_masks[:, :, 80:].sum(0), torch.ones(120, 80))
    # Nor does it say what the rest is compared with.
    other = np.concatenate([CONTENT.array, alpha], 2)
    other[:, :60, :3] = 128
    again = cluster_regions(bare(read_photo(other, "content"), STYLE.pixels))
    assert float((again.content_masks - found.content_masks).abs().mean()) < 0.1


def test_transfer_with_regions_found_gives_the_sky_the_skys_colour():
    content, style = day(64, 80), dusk(72, 64)
    result = fastphoto.transfer(content.pixels, style.pixels, regions="auto", steps=6)
    wanted, before, after = style.mean_colours(), content.mean_colours(), content.mean_colours(result)
    assert ((after - wanted).norm(dim=1) < 0.5 * (before - wanted).norm(dim=1)).all()
    assert torch.equal(result, fastphoto.transfer(content.pixels, style.pixels, regions="auto", steps=6))
    whole = fastphoto.transfer(content.pixels, style.pixels, steps=6)
    assert not torch.equal(result, whole)


def test_regions_are_found_or_given(monkeypatch):
    photos = CONTENT.pixels, STYLE.pixels
    for way in ("auto", "none", "semantic"):
        with pytest.raises(InputError, match=f'regions: "{way}" takes no masks, but masks are given'):
            fastphoto.transfer(*photos, CONTENT.mask, STYLE.mask, regions=way)
    with pytest.raises(InputError, match="regions: must be one of masks, auto, semantic, none, got 'sky'"):
        fastphoto.transfer(*photos, regions="sky")
    with pytest.raises(InputError, match='segmentation_model: only regions="semantic" uses one'):
        fastphoto.transfer(*photos, regions="auto", segmentation_model="some/model")
    monkeypatch.setattr("fastphoto.regions.find.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"semantic regions need transformers: pip install fastphoto\[segment\]"):
        fastphoto.transfer(*photos, regions="semantic")
