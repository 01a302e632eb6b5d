"""Regions found by a semantic network: the kinds of region that both photos show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fastphoto.regions.borders import refined_map, resized_map
from fastphoto.regions.masks import RegionMasks, masks_of_map
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.segmentation_model import DEFAULT_MODEL, score_kinds

_MINIMUM_SHARE = 0.01  # of a photo's pixels; a smaller kind of region is dropped; by eye
_MAXIMUM_KINDS = len(PALETTE)  # masks are painted in as many colours


def find_semantic_regions(
    pair: PhotoPair, segmentation_model: str | os.PathLike[str] | None, device: torch.device
) -> PhotoPair:
    """Return the pair with the visible regions that a semantic network finds in both photos.

    A region that alpha hides in one of the photos is dropped; if all are, the pair is returned as it is. A
    `segmentation_model` of None is the default model.
    """
    model = os.fspath(segmentation_model or DEFAULT_MODEL)
    content, style = semantic_regions(pair.content, pair.style, model=model, device=device)
    content_masks = content.masks * pair.content_masks.amax(0)
    style_masks = style.masks * pair.style_masks.amax(0)
    visible = torch.stack([content_masks.sum((1, 2)), style_masks.sum((1, 2))]).amin(0) >= 1
    if not visible.any():
        return pair
    names = tuple(name for name, shown in zip(content.names, visible, strict=True) if shown)
    return replace(pair, names=names, content_masks=content_masks[visible], style_masks=style_masks[visible])


@torch.no_grad()
def semantic_regions(
    content: Tensor,
    style: Tensor,
    *,
    model: str = DEFAULT_MODEL,
    device: str | torch.device = "cpu",
    size: int = 512,
) -> tuple[RegionMasks, RegionMasks]:
    """Find the regions of both photos with a semantic network, named by kind: "sky", "water", "buildings", ...

    The weights have licences of their own. According to the model cards, the default model is under MIT,
    microsoft/beit-base-finetuned-ade-640-640 is under Apache-2.0, and nvidia/segformer-* are for non-commercial use
    only. All were trained on the photos of ADE20K, which are for research.

    Args:
        content: content photo, (3, H, W), sRGB in [0, 1].
        style: style photo, (3, h, w), sRGB in [0, 1].
        model: network for semantic segmentation trained on ADE20K, of any architecture that
            `transformers.AutoModelForSemanticSegmentation` supports. Either a name on the Hugging Face Hub, read from
            the Hub's cache or else downloaded; or a folder with config.json, preprocessor_config.json and weights. Code
            that comes with a model is never run.
        device: device that the network runs on.
        size: square root of the network's input area in pixels, about; the input has the photo's aspect. At least 32.
            Networks for images of one size ignore it.

    Returns:
        The regions of content and style, as `shared_regions` returns them.

    Raises:
        InputError: an unusable size, a missing transformers, or a model without the categories of ADE20K.
        FileError: a model that cannot be found or read.

    Example:
        >>> content, style = semantic_regions(day, night)  # doctest: +SKIP
        >>> content.names  # doctest: +SKIP
        ('sky', 'water', 'buildings')
    """
    photos = [photo.detach().float().cpu() for photo in (content, style)]
    kinds, (content_scores, style_scores) = score_kinds(photos, str(model), device, size)
    return shared_regions(content_scores, style_scores, photos[0], photos[1], kinds)


@torch.no_grad()
def shared_regions(
    content_scores: Tensor, style_scores: Tensor, content: Tensor, style: Tensor, names: Sequence[str]
) -> tuple[RegionMasks, RegionMasks]:
    """Turn scores of kinds of region into the regions that both photos have.

    First, kinds that cover too little of the style are dropped, and each pixel of the content goes to its best
    remaining kind, as Luan et al. constrain the content's labels to those of the style. Then the smallest kinds are
    dropped until each covers enough of both photos and at most nine remain. Borders move to the photos' edges, and
    small islands join the regions around them.

    Args:
        content_scores: logarithms of the scores of K kinds, (K, h, w) of any size, as `score_kinds` returns them.
        style_scores: the same for the style.
        content: content photo, (3, H, W), sRGB in [0, 1].
        style: style photo, (3, H', W'), sRGB in [0, 1].
        names: names of the K kinds.

    Returns:
        The regions of content and style, masks of 0 and 1 at the photos' sizes, of the same names, at least one. Each
        pixel belongs to one region, and each region has at least a hundredth of either photo.

    Example:
        >>> photo = torch.zeros(3, 16, 16)
        >>> photo[:, 8:] = 1
        >>> scores = torch.tensor([[[9.0], [0.0]], [[0.0], [9.0]], [[1.0], [1.0]]])
        >>> content, style = shared_regions(scores, scores, photo, photo, ("sky", "sea", "sand"))
        >>> content.names, content.masks.sum((1, 2))
        (('sky', 'sea'), tensor([128., 128.]))
    """
    scored = (content_scores, content), (style_scores, style)
    kinds = (_shares(style_scores.argmax(0), len(names)) >= _MINIMUM_SHARE).nonzero()[:, 0]
    for make_map in (_coarse_map, refined_map):  # most kinds are dropped before the costly step
        while True:
            maps = [make_map(scores[kinds], photo) for scores, photo in scored]
            shares = torch.stack([_shares(region_map, len(kinds)) for region_map in maps]).amin(0)
            if len(kinds) == 1 or (shares.min() >= _MINIMUM_SHARE and len(kinds) <= _MAXIMUM_KINDS):
                break
            kinds = kinds[torch.arange(len(kinds)) != shares.argmin()]
    shared = tuple(names[kind] for kind in kinds)
    content_masks, style_masks = (
        masks_of_map(resized_map(region_map, (photo.shape[1], photo.shape[2])), len(kinds))
        for region_map, photo in zip(maps, (content, style), strict=True)
    )
    return RegionMasks(shared, content_masks), RegionMasks(shared, style_masks)


def _shares(region_map: Tensor, count: int) -> Tensor:
    return torch.bincount(region_map.flatten(), minlength=count) / region_map.numel()


def _coarse_map(scores: Tensor, photo: Tensor) -> Tensor:
    return scores.argmax(0)
