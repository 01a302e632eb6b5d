"""The choice of a region source for a transfer, and `find_regions`, which returns masks of the photos' own sizes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Literal, get_args

import torch

from fastphoto.errors import InputError
from fastphoto.photos.photo import PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.regions.mask_forms import OpenedMask
from fastphoto.regions.masks import MaskSource, RegionMasks
from fastphoto.regions.matching import Orphans
from fastphoto.regions.mismatch import warn_of_mismatch
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import enlarge_masks
from fastphoto.regions.scenes import scene_regions
from fastphoto.runtime.device import choose_device
from fastphoto.runtime.host_state import apart_from_host

RegionSource = Literal["masks", "auto", "semantic", "none"]
REGION_SOURCES: tuple[RegionSource, ...] = get_args(RegionSource)
"""Where regions come from: the given masks, the network in the package, a large network, or the whole photo."""

_logger = logging.getLogger("fastphoto")

RegionFinder = Callable[[PhotoPair, torch.device], PhotoPair]
"""Function that returns a pair with the regions found in it; networks run on the device."""


def region_finder(
    source: RegionSource,
    content_mask: MaskSource | OpenedMask,
    style_mask: MaskSource | OpenedMask,
    segmentation_model: str | os.PathLike[str] | None = None,
) -> RegionFinder:
    """Check the arguments that choose where regions come from, and return the function that finds the regions.

    The function takes a prepared pair. For "masks" and "none" it returns the pair as it is; for the others it replaces
    the pair's regions. "auto" logs what it found; "semantic" warns if the new regions hardly match.

    Args:
        source: where the regions come from.
        content_mask: mask of the content; None unless `source` is "masks".
        style_mask: mask of the style; None unless `source` is "masks".
        segmentation_model: network for "semantic": a Hugging Face Hub name or a local folder. None: the default model.

    Raises:
        InputError: an unknown source, arguments that do not go with it, and a missing transformers for "semantic".
    """
    if source not in REGION_SOURCES:
        raise InputError(f"regions: must be one of {', '.join(REGION_SOURCES)}, got {source!r}")
    if source != "masks" and not (content_mask is None and style_mask is None):
        raise InputError(f'regions: "{source}" takes no masks, but masks are given; leave out one or the other')
    if source != "semantic" and segmentation_model is not None:
        raise InputError('segmentation_model: only regions="semantic" uses one; leave it out or choose these regions')
    if source == "semantic" and find_spec("transformers") is None:
        raise InputError("semantic regions need transformers: pip install fastphoto[segment]")
    return partial(_find, source, segmentation_model)


def _find(
    source: RegionSource,
    segmentation_model: str | os.PathLike[str] | None,
    pair: PhotoPair,
    device: torch.device,
) -> PhotoPair:
    if source == "auto":
        pair = scene_regions(pair)
        _log_regions(pair)
        return pair
    elif source == "semantic":
        from fastphoto.regions.semantic import find_semantic_regions  # loads parts of scipy that others do not need

        pair = find_semantic_regions(pair, segmentation_model, device)
    elif source in ("masks", "none"):
        return pair
    else:
        raise AssertionError(f"no region finder for {source!r}")
    warn_of_mismatch(pair)
    return pair


def _log_regions(pair: PhotoPair) -> None:
    """Log the regions that were found, each with its share of the content."""
    if len(pair.names) == 1:
        _logger.info("regions: the whole photo is one, because the photos surely share no two kinds of scene")
        return
    areas = pair.content_masks.sum((1, 2))
    listed = ", ".join(f"{name} {share:.0%}" for name, share in zip(pair.names, areas / areas.sum(), strict=True))
    _logger.info(f"regions: {listed}, found automatically; `fastphoto regions` shows them, regions none turns them off")


@apart_from_host
def find_regions(
    content: PhotoSource,
    style: PhotoSource | None = None,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    regions: RegionSource = "auto",
    segmentation_model: str | os.PathLike[str] | None = None,
    size: int = 700,
    orphans: Orphans = "merge",
    device: str | torch.device = "auto",
) -> tuple[RegionMasks, RegionMasks]:
    """Return the regions that a transfer between two photos would use, as masks of the photos' own sizes.

    Args:
        content: the content photo, anything `fastphoto.transfer` takes.
        style: the style photo. None: find the regions of the content alone.
        content_mask: mask of the content for regions="masks", to preview how a transfer reads it.
        style_mask: mask of the style for regions="masks".
        regions: where regions come from: "auto" uses the network in the package (`fastphoto.regions.scenes`);
            "semantic" runs a large network (`fastphoto.regions.semantic`); "masks" matches the given masks; "none"
            makes each photo one region.
        segmentation_model: network for regions="semantic": a Hugging Face Hub name or a local folder. None: the default
            model.
        size: long side in pixels at which regions are found, at least 16. Given masks keep the photos' own size.
        orphans: treatment of content regions that the style lacks, "merge", "drop" or "error"; see
            `fastphoto.regions.match_regions`.
        device: device that the segmentation network runs on: "auto", "cpu", "cuda", "cuda:1", ...

    Returns:
        The regions of content and style with the same names, and masks (R, H, W) float32, 0 or 1. Pixels hidden by
        alpha belong to no region, except in a region that is hidden completely. `fastphoto.transfer` accepts both as
        masks.

    Raises:
        InputError: arguments, masks or photos that cannot be used, and a missing transformers for "semantic".
        FileError: files that cannot be read.

    Example:
        >>> content, style = find_regions(torch.rand(3, 40, 60), torch.rand(3, 50, 30), regions="none")
        >>> content.names, content.masks.shape, style.masks.shape
        (('all',), torch.Size([1, 40, 60]), torch.Size([1, 50, 30]))
    """
    device = choose_device(device)
    finder = region_finder(regions, content_mask, style_mask, segmentation_model)
    if orphans == "global":
        raise InputError('orphans: "global" cannot be written as masks; use merge or drop')
    content_photo = read_photo(content, "content")
    style_photo = content_photo if style is None else read_photo(style, "style")
    for photo in (content_photo, style_photo):
        if photo.alpha is not None and not (photo.alpha >= 0.5).any():
            raise InputError(f"{photo.name}: alpha hides all of the photo; there is nothing to find regions in")
    if style is None and style_mask is None and content_mask is not None:
        content_mask = style_mask = read_masks(content_mask, content_photo.size)  # once, so that warnings come once
    if regions == "masks":  # at the photos' own size, masks keep their borders and their smallest regions
        size = max(content_photo.size + style_photo.size)
    pair = finder(prepare_pair(content_photo, style_photo, content_mask, style_mask, size, orphans), device)
    if style is None:
        pair = replace(pair, style_masks=pair.content_masks)
    return (
        RegionMasks(pair.names, enlarge_masks(pair.content_masks, content_photo.size, content_photo.alpha)),
        RegionMasks(pair.names, enlarge_masks(pair.style_masks, style_photo.size, style_photo.alpha)),
    )
