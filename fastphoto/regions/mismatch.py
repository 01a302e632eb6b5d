"""The unlikeness of matched regions of two photos, and a warning if they hardly match."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.encoders.encoder import load_encoder
from fastphoto.errors import warn
from fastphoto.photos.photo import MINIMUM_SIDE
from fastphoto.photos.resize import resize, shrunk_size
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.resizing import resize_masks
from fastphoto.runtime.host_state import apart_from_host

UNLIKENESS_LIMIT = 0.036
"""Overall unlikeness above which `warn_of_mismatch` warns.

None of the 24 published pairs reaches it; see docs/regions.md.
"""

_GOOD, _FAIR = 0.015, 0.03
"""Unlikeness up to which a match is called good and fair; no published pair is poor on the whole."""

_LONG_SIDE = 350  # pixels, of the photos that are compared; by eye
_LAYER = "relu5_1"  # of the embedded encoder: it responds to the kind of object more than to its colour


@apart_from_host
def region_unlikeness(content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor) -> Tensor:
    """Return the unlikeness of content and style in each matched region.

    The unlikeness of region r is 1 - cos(mean of sqrt(F_content) in r, mean of sqrt(F_style) in r), where F are the
    activations of relu5_1 of the embedded encoder, whatever encoder a transfer uses. Two regions of the same kind have
    around 0.01, a face and a sunset 0.05.

    Args:
        content: content photo, (3, H, W), sRGB in [0, 1], sides of at least 16 pixels.
        style: style photo, (3, h, w), sRGB in [0, 1], sides of at least 16 pixels.
        content_masks: masks of the content's regions, (R, H, W), in [0, 1].
        style_masks: masks of the style's regions, (R, h, w), in [0, 1], in the same order.

    Returns:
        Unlikeness, (R,), in [0, 1]; 0 for the same pixels, and for a region without pixels in one of the photos.

    Example:
        >>> photo = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0))
        >>> whole = torch.ones(1, 32, 48)
        >>> bool(region_unlikeness(photo, photo, whole, whole) < 1e-5)
        True
    """
    encoder = load_encoder("embedded")
    means = []
    for pixels, masks in ((content, content_masks), (style, style_masks)):
        size = shrunk_size((pixels.shape[1], pixels.shape[2]), _LONG_SIDE, MINIMUM_SIDE)
        small = resize(pixels.float().cpu(), size)
        with torch.no_grad():
            activations = encoder(small, [_LAYER])[_LAYER].float().clamp_min(0).sqrt()
        weights = resize_masks(masks.cpu(), (activations.shape[1], activations.shape[2])).flatten(1)
        means.append(weights @ activations.flatten(1).T)
    empty = torch.stack(means).sum(2).amin(0) == 0
    return torch.where(empty, 0.0, (1 - F.cosine_similarity(means[0], means[1])).clamp(0, 1))


def overall_unlikeness(unlikeness: Tensor, content_masks: Tensor) -> float:
    """Return the mean unlikeness of regions (R,), weighted by their areas in the content's masks (R, H, W)."""
    areas = content_masks.cpu().sum((1, 2))
    return float((unlikeness * areas).sum() / areas.sum().clamp_min(1e-12))


def match_in_words(unlikeness: float) -> str:
    """Return how well regions of this unlikeness match, "good", "fair" or "poor".

    Example:
        >>> match_in_words(0.01), match_in_words(0.05)
        ('good', 'poor')
    """
    return "good" if unlikeness <= _GOOD else "fair" if unlikeness <= _FAIR else "poor"


def warn_of_mismatch(pair: PhotoPair) -> None:
    """Warn with a `FastPhotoWarning` if the regions of two photos hardly match, before time is spent on them."""
    overall = overall_unlikeness(
        region_unlikeness(pair.content, pair.style, pair.content_masks, pair.style_masks), pair.content_masks
    )
    if overall > UNLIKENESS_LIMIT:
        warn(
            "the photos hardly show anything alike; choose another style, or give masks that say what belongs together"
        )
