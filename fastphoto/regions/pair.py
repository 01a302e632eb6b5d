"""Content and style made ready for work at one size: pixels, and the regions that they share."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.photos.photo import MINIMUM_SIDE, Photo
from fastphoto.photos.resize import fit_size, resize
from fastphoto.regions.matching import match_regions
from fastphoto.regions.reading import read_masks
from fastphoto.regions.resizing import resize_masks


@dataclass(frozen=True, eq=False)
class PhotoPair:
    """Two photos shrunk to a size, each side at least 16 pixels, and their regions, matched."""

    content: Tensor  # (3, h, w), sRGB in [0, 1]
    style: Tensor  # (3, h', w')
    names: tuple[str, ...]  # of the R regions
    content_masks: Tensor  # (R, h, w), [0, 1]
    style_masks: Tensor  # (R, h', w'), [0, 1]
    orphans: tuple[str, ...] = ()  # those of `names` that the style lacks, which take theirs from the whole style
    content_alpha: Tensor | None = None  # (1, h, w), [0, 1]: the photo's alpha; None: nothing is hidden
    style_alpha: Tensor | None = None  # (1, h', w')


@torch.inference_mode(False)  # tensors of a caller's inference mode could not be optimised with later
def prepare_pair(
    content: Photo, style: Photo, content_mask: Any, style_mask: Any, size: int, orphans: str = "merge"
) -> PhotoPair:
    """Two photos shrunk to a long side of `size` pixels, or as they are where they are smaller, with their regions.

    Masks are what `fastphoto.labels.read_masks` takes; orphans: see `fastphoto.regions.match_regions`. What a photo's
    alpha hides is of no region. Raises InputError for masks and sizes that cannot be used, FileError for mask files
    that cannot be read.
    """
    if isinstance(size, bool) or not isinstance(size, Integral) or size < MINIMUM_SIDE:
        raise InputError(f"size: must be a whole number of {MINIMUM_SIDE} pixels or more, got {size!r}")
    photos = content, style
    # Nor could photos that were decoded in it; a copy made outside it can.
    small = [resize(p.pixels, fit_size(*p.size, int(size), p.name)) for p in photos]
    small = [pixels.clone() if pixels.is_inference() else pixels for pixels in small]
    sizes = [(pixels.shape[1], pixels.shape[2]) for pixels in small]
    content_labels = read_masks(content_mask, content.size, "content", style.size, shrunk=sizes[0])
    style_labels = read_masks(style_mask, style.size, "style", content.size, shrunk=sizes[1])
    matched = match_regions(content_labels, style_labels, small[0], small[1], orphans)
    return PhotoPair(
        small[0],
        small[1],
        matched.names,
        _visible(matched.content, content.alpha, sizes[0]),
        _visible(matched.style, style.alpha, sizes[1]),
        tuple(name for name in matched.orphans if name in matched.names),
        *(
            None if photo.alpha is None else _visible(torch.ones_like(pixels[:1]), photo.alpha, size)
            for photo, pixels, size in zip(photos, small, sizes, strict=True)
        ),
    )


def _visible(masks: Tensor, alpha: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Masks (R, h, w) times the photo's alpha; a region that is wholly hidden stays, for it has no other pixels."""
    if alpha is None:
        return masks
    seen = masks * resize_masks(alpha[None], size)
    return torch.where(seen.sum((1, 2), keepdim=True) >= 1, seen, masks)
