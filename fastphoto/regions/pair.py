"""Content and style prepared for work at one size: shrunk pixels, and matched regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from fastphoto.errors import InputError, warn
from fastphoto.photos.photo import MINIMUM_SIDE, Photo
from fastphoto.photos.resize import fit_size, resize
from fastphoto.regions.look import Look
from fastphoto.regions.mask_forms import OpenedMask
from fastphoto.regions.masks import MaskSource
from fastphoto.regions.matching import Orphans, match_regions
from fastphoto.regions.reading import read_mask_pair
from fastphoto.regions.resizing import visible_masks
from fastphoto.runtime.host_state import apart_from_host
from fastphoto.runtime.memo import Memo

_ONE_COLOUR = 1 / 255  # largest deviation of a channel of sRGB that nobody sees as contrast


@dataclass(frozen=True, eq=False)
class PhotoPair:
    """Content and style, shrunk, with their matched regions; each side has at least 16 pixels."""

    content: Tensor  # (3, h, w), sRGB in [0, 1]
    style: Tensor  # (3, h', w'), sRGB in [0, 1]
    names: tuple[str, ...]  # names of the R regions
    content_masks: Tensor  # (R, h, w), [0, 1]
    style_masks: Tensor  # (R, h', w'), [0, 1]
    orphans: tuple[str, ...] = ()  # names of regions that take their style from the whole style photo
    content_alpha: Tensor | None = None  # (1, h, w), [0, 1]; None: nothing is hidden
    style_alpha: Tensor | None = None  # (1, h', w'), [0, 1]
    look: Look | None = None  # what is known of the style; None: the style is a photo
    of_style: Memo = field(default_factory=Memo, repr=False)  # what was computed from the style photo alone


@apart_from_host
def prepare_pair(
    content: Photo,
    style: Photo,
    content_mask: MaskSource | OpenedMask,
    style_mask: MaskSource | OpenedMask,
    size: int,
    orphans: Orphans = "merge",
    look: Look | None = None,
    of_style: Memo | None = None,
) -> PhotoPair:
    """Shrink two photos to a long side, read their masks and match their regions.

    Args:
        content: content photo.
        style: style photo.
        content_mask: mask of the content, as `fastphoto.regions.read_masks` takes it.
        style_mask: mask of the style; give both or neither.
        size: long side in pixels of both photos, at least 16; a smaller photo stays as it is.
        orphans: treatment of content regions that the style lacks, see `fastphoto.regions.match_regions`.
        look: what is known of the style, if the style stands for one; its pixels are not shrunk.
        of_style: what was computed from this style photo before, at this size; None: nothing yet.

    Returns:
        The pair. Pixels hidden by alpha belong to no region, except in a region that is hidden completely.

    Raises:
        InputError: sizes and masks that cannot be used.
        FileError: mask files that cannot be read.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> content, style = read_photo(torch.zeros(3, 40, 64)), read_photo(torch.ones(3, 50, 30))
        >>> pair = prepare_pair(content, style, None, None, size=32)
        >>> pair.names, pair.content_masks.shape
        (('all',), torch.Size([1, 20, 32]))
    """
    size = checked_size(size)
    of_style = Memo() if of_style is None else of_style
    content_pixels = _shrunk_pixels(content, size)
    style_pixels = of_style.get("pixels", lambda: style.pixels if look else _shrunk_pixels(style, size))
    content_regions, style_regions = read_mask_pair(
        (content_mask, style_mask),
        (content.size, style.size),
        ((content_pixels.shape[1], content_pixels.shape[2]), (style_pixels.shape[1], style_pixels.shape[2])),
    )
    matched = match_regions(
        content_regions,
        style_regions,
        content_pixels,
        style_pixels,
        orphans,
        content_alpha=content.alpha,
        style_alpha=style.alpha,
    )
    return PhotoPair(
        content_pixels,
        style_pixels,
        matched.names,
        visible_masks(matched.content, content.alpha),
        visible_masks(matched.style, style.alpha),
        tuple(name for name in matched.orphans if name in matched.names),
        None if content.alpha is None else visible_masks(torch.ones_like(content_pixels[:1]), content.alpha),
        None if style.alpha is None else visible_masks(torch.ones_like(style_pixels[:1]), style.alpha),
        look,
        of_style,
    )


def checked_size(size: Any) -> int:
    """Return a long side in pixels as an int; raises InputError for anything but a whole number of 16 or more."""
    if isinstance(size, bool) or not isinstance(size, Integral) or size < MINIMUM_SIDE:
        raise InputError(f"size: must be a whole number of {MINIMUM_SIDE} pixels or more, got {size!r}")
    return int(size)


def warn_of_one_colour(pair: PhotoPair) -> None:
    """Warn with a `FastPhotoWarning` if a photo has one colour throughout, so that only this colour is transferred.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> noise = torch.rand(3, 32, 32)
        >>> warn_of_one_colour(prepare_pair(read_photo(noise), read_photo(1 - noise), None, None, size=32))
    """
    if _has_one_colour(pair.content, pair.content_alpha):
        warn("content: one colour throughout; only that colour changes")
    elif _has_one_colour(pair.style, pair.style_alpha):
        warn("style: one colour throughout; it takes the content's contrast away, so choose another style")


def _has_one_colour(pixels: Tensor, alpha: Tensor | None) -> bool:
    visible = pixels.flatten(1) if alpha is None else pixels[:, alpha[0] >= 0.5]
    return visible.shape[1] > 0 and float(visible.std(1, correction=0).max()) < _ONE_COLOUR


def _shrunk_pixels(photo: Photo, long_side: int) -> Tensor:
    pixels = resize(photo.pixels, fit_size(*photo.size, long_side, photo.name))
    # A photo decoded under inference mode holds inference tensors, which autograd rejects.
    return pixels.clone() if pixels.is_inference() else pixels
