"""How well the regions of two photos match: whether what is in a region looks like what is in its counterpart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.encoders.encoder import load_encoder
from fastphoto.errors import warn
from fastphoto.photos.resize import resize
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.resizing import resize_masks

_SIZE = 350  # pixels of the long side that photos are looked at
_LAYER = "relu5_1"  # of the embedded encoder: it tells things apart, and colours hardly
HOPELESS = 0.036
"""Unlikeness of two photos above which a transfer is hardly worth a try; those that go together have less."""


def region_unlikeness(content: Tensor, style: Tensor, content_masks: Tensor, style_masks: Tensor) -> Tensor:
    """(R,) in [0, 1]: of every region how unlike the content's part of it is to the style's.

    d_r = 1 - cos(mean of sqrt(F_content) in r, mean of sqrt(F_style) in r), F the activations of relu5_1 of the
    embedded encoder, whatever encoder a transfer has. 0 is the same; things of one kind have around 0.01, a face and a
    sunset 0.05. content, style: (3, H, W) and (3, h, w), sRGB in [0, 1], of sides of at least 16 pixels. Masks:
    (R, H, W) and (R, h, w) in [0, 1]; a region without pixels in either has 0.
    """
    encoder = load_encoder("embedded")
    means = []
    for pixels, masks in ((content, content_masks), (style, style_masks)):
        height, width = pixels.shape[1:]
        scale = min(1.0, _SIZE / max(height, width))
        small = resize(pixels.float().cpu(), (max(16, round(height * scale)), max(16, round(width * scale))))
        with torch.no_grad():
            activations = encoder(small, [_LAYER])[_LAYER].float().clamp_min(0).sqrt()
        weights = resize_masks(masks.cpu(), (activations.shape[1], activations.shape[2])).flatten(1)
        means.append(weights @ activations.flatten(1).T)
    empty = torch.stack(means).sum(2).amin(0) == 0
    return torch.where(empty, 0.0, (1 - F.cosine_similarity(*means)).clamp(0, 1))


def overall_unlikeness(unlikeness: Tensor, content_masks: Tensor) -> float:
    """The mean of the regions' unlikeness (R,) over the content's pixels, whose masks are (R, H, W)."""
    shares = content_masks.cpu().sum((1, 2))
    return float((unlikeness * shares).sum() / shares.sum().clamp_min(1e-12))


def warn_of_mismatch(pair: PhotoPair) -> None:
    """FastPhotoWarning where the regions of two photos hardly match, before time is spent on them."""
    each = region_unlikeness(pair.content, pair.style, pair.content_masks, pair.style_masks)
    unlike = overall_unlikeness(each, pair.content_masks)
    if unlike > HOPELESS:
        warn(
            f"the photos hardly show anything alike (unlikeness {unlike:.3f}, of photos that go together up to "
            f"{HOPELESS:g}); choose another style, or say by masks what belongs together"
        )
