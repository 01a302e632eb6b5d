"""Regions found in photos that come without masks: the ways to find them, for transfers and as masks of their own."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import InputError
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.regions.clusters import cluster_regions
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.mismatch import warn_of_mismatch
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import resize_masks
from fastphoto.runtime.device import choose_device

RegionSource = Literal["masks", "auto", "semantic", "none"]
REGION_SOURCES: tuple[str, ...] = get_args(RegionSource)
"""Where a transfer takes its regions from."""


def check_region_source(
    regions: str, content_mask: Any, style_mask: Any, segmentation_model: str | os.PathLike[str] | None
) -> None:
    """Raise InputError for a way to find regions that is unknown, or that does not go with the other arguments."""
    if regions not in REGION_SOURCES:
        raise InputError(f"regions: must be one of {', '.join(REGION_SOURCES)}, got {regions!r}")
    if regions != "masks" and not (content_mask is None and style_mask is None):
        raise InputError(f'regions: "{regions}" takes no masks, but masks are given; leave out one or the other')
    if regions != "semantic" and segmentation_model is not None:
        raise InputError('segmentation_model: only regions="semantic" uses one; leave it out or ask for those')
    if regions == "semantic" and find_spec("transformers") is None:
        raise InputError("semantic regions need transformers: pip install fastphoto[segment]")


def assign_regions(
    pair: PhotoPair, regions: str, segmentation_model: str | os.PathLike[str] | None, device: torch.device
) -> PhotoPair:
    """A pair with the regions that are asked for, of which `check_region_source` says that they can be found.

    Warns where those that are found hardly match (`fastphoto.segmentation.likeness`).
    """
    if regions == "auto":
        pair = cluster_regions(pair)
    elif regions == "semantic":
        pair = _semantic_regions(pair, segmentation_model, device)
    else:
        return pair
    warn_of_mismatch(pair)
    return pair


def _semantic_regions(
    pair: PhotoPair, segmentation_model: str | os.PathLike[str] | None, device: torch.device
) -> PhotoPair:
    from fastphoto.regions.semantic import (  # loads scipy's parts, which others do not need
        DEFAULT_MODEL,
        semantic_regions,
    )

    model = os.fspath(segmentation_model or DEFAULT_MODEL)
    labels = semantic_regions(pair.content, pair.style, model=model, device=device)
    seen = pair.content_masks.amax(0), pair.style_masks.amax(0)
    masks = [found.masks * mask for found, mask in zip(labels, seen, strict=True)]
    kept = torch.stack([m.sum((1, 2)) for m in masks]).amin(0) >= 1
    if not kept.any():  # all that the photos share is hidden
        return pair
    names = tuple(name for name, there in zip(labels[0].names, kept, strict=True) if there)
    return replace(pair, names=names, content_masks=masks[0][kept], style_masks=masks[1][kept])


@torch.inference_mode(False)
def find_regions(
    content: PhotoSource,
    style: PhotoSource | None = None,
    content_mask: Any = None,
    style_mask: Any = None,
    *,
    regions: RegionSource = "auto",
    segmentation_model: str | os.PathLike[str] | None = None,
    size: int = 700,
    orphans: str = "merge",
    device: str | torch.device = "auto",
) -> tuple[RegionMasks, RegionMasks]:
    """The regions that a transfer between two photos would work with, as masks at the photos' own sizes.

    Args:
        content, style: photos as `fastphoto.transfer` takes them; without a style those of the content by itself.
        content_mask, style_mask: of regions="masks", as `fastphoto.transfer` takes them, to see what becomes of them.
        regions: "auto" clusters what the embedded encoder sees in both photos, relative to each
            (`fastphoto.segmentation.clusters`); "semantic" names what a network for semantic segmentation sees
            (`fastphoto.segmentation.semantic`); "masks" matches those that are given.
        segmentation_model: of "semantic", a name on the Hugging Face Hub or a folder; None for the default.
        size: long side in pixels that photos are looked at, at least 16.
        orphans: what happens to regions of a content mask that the style lacks; see `fastphoto.regions.match_regions`.
        device: where the network of "semantic" runs.

    Returns:
        (content, style): `RegionMasks` of the same names, masks (R, H, W) float32 at the photos' own sizes; pixels that
        alpha hides are of no region, but for a region that has no others. `fastphoto.transfer` takes them as masks.

    Raises:
        InputError: arguments, masks or photos that cannot be used, and transformers missing for "semantic".
        FileError: files that cannot be read.
    """
    place = choose_device(device)
    check_region_source(regions, content_mask, style_mask, segmentation_model)
    if orphans == "global":
        raise InputError('orphans: "global" gives a region the whole style, which no mask can say; use merge or drop')
    first = read_photo(content, "content")
    second = first if style is None else read_photo(style, "style")
    for photo in (first, second):
        if photo.alpha is not None and not (photo.alpha >= 0.5).any():
            raise InputError(f"{photo.name}: alpha hides all of the photo; there is nothing to find regions in")
    if style is None and style_mask is None and content_mask is not None:
        content_mask = style_mask = read_masks(content_mask, first.size)  # once, or remarks would be made twice
    pair = prepare_pair(first, second, content_mask, style_mask, size, orphans)
    pair = assign_regions(pair, regions, segmentation_model, place)
    return (
        RegionMasks(pair.names, _enlarged(pair.content_masks, first)),
        RegionMasks(pair.names, _enlarged(pair.style_masks, second)),
    )


def _enlarged(masks: Tensor, photo: Photo) -> Tensor:
    """Masks (R, h, w) at a photo's own size (R, H, W), 0 or 1: of every pixel the region that has most of it."""
    seen = torch.ones_like(masks[:1])
    if photo.alpha is not None:
        seen = resize_masks(photo.alpha[None], (masks.shape[1], masks.shape[2]))
    # What alpha hides wholly is its region's all the same where that has nothing else, see `prepare_pair`.
    seen = torch.maximum(seen, masks.sum(0, keepdim=True))
    shares = F.interpolate(torch.cat([seen - masks.sum(0, keepdim=True), masks])[None], photo.size, mode="bilinear")[0]
    number = shares.argmax(0) - 1
    found = torch.stack([number == region for region in range(len(masks))]).float()
    if photo.alpha is None:
        return found
    visible = found * (photo.alpha >= 0.5)
    return torch.where(visible.sum((1, 2), keepdim=True) > 0, visible, found)
