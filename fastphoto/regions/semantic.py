"""Find regions with a semantic network: the kinds of region that both photos show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.guided import guided_filter
from fastphoto.photos.resize import resize, shrunk_size
from fastphoto.regions.masks import RegionMasks, masks_of_map
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.segmentation_model import DEFAULT_MODEL, score_kinds

_MINIMUM_SHARE = 0.01  # of a photo's pixels: a smaller kind of region is given up; by eye
_MAXIMUM_KINDS = len(PALETTE)  # masks are painted in as many colours
_MINIMUM_ISLAND = 0.001  # of a photo's pixels: a smaller piece joins what surrounds it; by eye
_WORKING_SIDE = 1000  # pixels of the long side at most, where borders are found; by eye
_BORDER = 0.015  # of the long side: radius of the guided filter, which moves borders by a third of it at most; by eye


def find_semantic_regions(
    pair: PhotoPair, segmentation_model: str | os.PathLike[str] | None, device: torch.device
) -> PhotoPair:
    """Return the pair with the regions that a semantic network finds in both photos, without what alpha hides.

    A region that is hidden in one of the photos is given up; if all are, the pair is returned as it is. None is the
    default model.
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

    The weights have licences of their own. By their model cards the default's is MIT and that of
    microsoft/beit-base-finetuned-ade-640-640 Apache-2.0; nvidia/segformer-* are for non-commercial use only. The
    photos of ADE20K, which all were trained on, are for research.

    Args:
        content: the content, (3, H, W), sRGB in [0, 1].
        style: the style, (3, h, w), sRGB in [0, 1].
        model: network for semantic segmentation trained on ADE20K, of any architecture that
            `transformers.AutoModelForSemanticSegmentation` knows: a name on the Hugging Face Hub, which is looked for
            in the Hub's cache first and downloaded otherwise, or a folder with config.json, preprocessor_config.json
            and weights. Code that comes with a model is never run.
        device: device that the network runs on.
        size: the network gets about size x size pixels, in the photo's aspect; at least 32. Of no effect on networks
            that take images of one size only.

    Returns:
        The regions of content and style, as `shared_regions` makes them.

    Raises:
        InputError: an unusable size, a missing transformers, or a model for other categories than those of ADE20K.
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

    First the kinds that hold too little of the style are given up, and the content's pixels go to the best of the
    others, as Luan et al. constrain the content's labels to those of the style; then, smallest first, those that hold
    too little of either photo, and as many more as leave nine. Borders move to the photos' edges, and small islands
    join what surrounds them.

    Args:
        content_scores: logarithms of the scores of K kinds, (K, h, w) of any size, as `score_kinds` returns them.
        style_scores: the same for the style.
        content: the content, (3, H, W), sRGB in [0, 1].
        style: the style, (3, H', W'), sRGB in [0, 1].
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
    for make_map in (_coarse_map, _refined_map):  # most kinds are given up before the costly step
        while True:
            maps = [make_map(scores[kinds], photo) for scores, photo in scored]
            shares = torch.stack([_shares(region_map, len(kinds)) for region_map in maps]).amin(0)
            if len(kinds) == 1 or (shares.min() >= _MINIMUM_SHARE and len(kinds) <= _MAXIMUM_KINDS):
                break
            kinds = kinds[torch.arange(len(kinds)) != shares.argmin()]
    shared = tuple(names[kind] for kind in kinds)
    content_masks, style_masks = (
        masks_of_map(_resized_map(region_map, photo), len(kinds))
        for region_map, photo in zip(maps, (content, style), strict=True)
    )
    return RegionMasks(shared, content_masks), RegionMasks(shared, style_masks)


def _shares(region_map: Tensor, count: int) -> Tensor:
    return torch.bincount(region_map.flatten(), minlength=count) / region_map.numel()


def _coarse_map(scores: Tensor, photo: Tensor) -> Tensor:
    return scores.argmax(0)


def _refined_map(scores: Tensor, photo: Tensor) -> Tensor:
    """Return the best kind of each pixel of the photo, shrunk if it is large, with borders at the photo's edges."""
    size = shrunk_size((photo.shape[1], photo.shape[2]), _WORKING_SIDE)
    probabilities = F.interpolate(scores.softmax(0)[None], size, mode="bilinear", antialias=True)[0]
    refined = guided_filter(probabilities, resize(photo, size), max(1, round(_BORDER * max(size))))
    return _without_islands(refined.argmax(0))


def _without_islands(region_map: Tensor) -> Tensor:
    """Return the region map (H, W) with small pieces given to the region of the nearest pixel of a larger one."""
    numbers, minimum_area = region_map.numpy(), _MINIMUM_ISLAND * region_map.numel()
    small = np.zeros(numbers.shape, bool)
    for number in np.unique(numbers):
        pieces, _ = ndimage.label(numbers == number)
        small |= (np.bincount(pieces.ravel()) < minimum_area)[pieces] & (pieces > 0)
    if small.all():
        return torch.full_like(region_map, int(region_map.flatten().mode().values))
    rows, columns = ndimage.distance_transform_edt(small, return_distances=False, return_indices=True)
    return torch.from_numpy(numbers[rows, columns])


def _resized_map(region_map: Tensor, photo: Tensor) -> Tensor:
    """Return the region map at the photo's size, each pixel that of the nearest."""
    rows, columns = (
        (torch.arange(n) + 0.5).mul(old / n).long() for n, old in zip(photo.shape[1:], region_map.shape, strict=True)
    )
    return region_map[rows][:, columns]
