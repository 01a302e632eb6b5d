"""Regions by clustering: those of the photos, shared by both, and usable for any two photos."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rendered_photos import Rendered, day, dusk
from torch import Tensor

import fastphoto
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
    """Check what holds for all clusters: each pixel belongs to one, and each is in both photos."""
    for pixels, masks in ((pair.content, pair.content_masks), (pair.style, pair.style_masks)):
        assert masks.shape == (len(pair.names), *pixels.shape[1:]) and masks.dtype == torch.float32
        assert torch.equal(masks.sum(0), torch.ones_like(masks[0])) and set(masks.unique().tolist()) <= {0.0, 1.0}
        assert (masks.sum((1, 2)) >= 1).all()
    assert 1 <= len(pair.names) <= 7 and len(set(pair.names)) == len(pair.names)


def kinds(masks: Tensor, photo: Rendered) -> Tensor:
    """(R, 2): the share of each region that is sky, and that is land."""
    return torch.einsum("rhw,shw->rs", masks, photo.masks) / masks.sum((1, 2))[:, None]


def agreement(pair: PhotoPair, content: Tensor, style: Tensor) -> float:
    """The probability that a pixel of the content and one of the same region in the style are of one kind."""
    return float(((content * style).sum(1) * pair.content_masks.mean((1, 2))).sum())


def test_sky_goes_with_sky_and_land_with_land():
    """Although one sky is blue and the other red."""
    found = cluster_regions(bare(CONTENT.pixels, STYLE.pixels))
    check(found)
    content, style = kinds(found.content_masks, CONTENT), kinds(found.style_masks, STYLE)
    assert agreement(found, content, style) > 0.85 and set(content.argmax(1).tolist()) == {0, 1}
    assert float((content.amax(1) * found.content_masks.mean((1, 2))).sum()) > 0.9, "borders are off the photo's edges"


def test_height_tells_sky_from_land():
    found = cluster_regions(bare(CONTENT.pixels, STYLE.pixels.flip(1)))
    assert agreement(found, kinds(found.content_masks, CONTENT), kinds(found.style_masks.flip(1), STYLE)) < 0.7


def test_left_and_right_do_not_matter():
    found = cluster_regions(bare(CONTENT.pixels, STYLE.pixels.flip(2)))
    check(found)
    assert agreement(found, kinds(found.content_masks, CONTENT), kinds(found.style_masks.flip(2), STYLE)) > 0.85


def test_a_photo_with_itself_has_the_same_regions_twice():
    found = cluster_regions(bare(CONTENT.pixels, CONTENT.pixels))
    check(found)
    # Pixels are equal, but matrix products may round their rows differently, which decides between equal distances.
    assert (found.content_masks != found.style_masks).float().mean() < 1e-3 and len(found.names) > 1


def test_same_regions_every_time_whatever_the_random_state():
    torch.manual_seed(1)
    first = cluster_regions(bare(CONTENT.pixels, STYLE.pixels))
    torch.manual_seed(2)
    second = cluster_regions(bare(CONTENT.pixels, STYLE.pixels))
    assert torch.equal(first.content_masks, second.content_masks)
    assert torch.equal(first.style_masks, second.style_masks)


def test_photos_of_any_size_have_the_same_regions():
    """They are clustered at one size, since what a layer responds to depends on size."""
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


def test_a_cluster_that_one_photo_lacks_is_given_up(monkeypatch):
    """The green frame is in the content alone."""
    content = CONTENT.pixels.clone()
    content[:, :, :24] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    found = cluster_regions(bare(content, STYLE.pixels))
    check(found)
    for masks in (found.content_masks, found.style_masks):
        assert float(masks.mean((1, 2)).min()) > 0.01
    monkeypatch.setattr(clusters, "_MINIMUM_SHARE", 1.0)
    assert len(cluster_regions(bare(content, STYLE.pixels)).names) == 1


def half_hidden(array: np.ndarray) -> Photo:
    """The photo with its left 70 columns hidden by alpha."""
    alpha = np.full((120, 160, 1), 255, np.uint8)
    alpha[:, :70] = 0
    return read_photo(np.concatenate([array, alpha], 2), "content")


def test_what_alpha_hides_belongs_to_no_region():
    found = cluster_regions(bare(half_hidden(CONTENT.array), STYLE.pixels))
    assert float(found.content_masks[:, :, :64].sum()) == 0
    assert torch.equal(found.content_masks[:, :, 80:].sum(0), torch.ones(120, 80))


def test_what_alpha_hides_does_not_count():
    other = CONTENT.array
    other[:, :60] = 128
    first, second = (cluster_regions(bare(half_hidden(array), STYLE.pixels)) for array in (CONTENT.array, other))
    assert float((first.content_masks - second.content_masks).abs().mean()) < 0.1


def test_a_transfer_gives_the_sky_the_skys_colour():
    content, style = day(64, 80), dusk(72, 64)
    result = fastphoto.transfer(content.pixels, style.pixels, regions="auto", steps=6)
    target, before, after = style.mean_colours(), content.mean_colours(), content.mean_colours(result)
    assert ((after - target).norm(dim=1) < 0.5 * (before - target).norm(dim=1)).all()
    assert torch.equal(result, fastphoto.transfer(content.pixels, style.pixels, regions="auto", steps=6))
    whole = fastphoto.transfer(content.pixels, style.pixels, steps=6)
    assert not torch.equal(result, whole)
