"""The start image: the image that an optimisation begins with."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.colour.guided import guided_filter
from fastphoto.colour.match import match_colours, recolour_regions
from fastphoto.encoders.weights import CAFFE_MEAN
from fastphoto.optimisation.recolouring import Recolouring
from fastphoto.optimisation.settings import Settings
from fastphoto.regions.mattes import matte_masks
from fastphoto.regions.pair import PhotoPair


def start_image(pair: PhotoPair, settings: Settings, seed: int = 0) -> Tensor:
    """Return the start image that the settings ask for, at the size of the pair.

    "colour" moves the colours of each region to the style's (`match_colours`); "content" is the content itself; "noise"
    is normal noise around the mean colour of VGG-19's training photos, the start of Gatys et al. (2016) and of Luan et
    al. (2017). Noise needs hundreds of steps before it shows the content at all.

    Args:
        pair: photos and regions.
        settings: settings of the start image.
        seed: seed of the noise.

    Returns:
        (3, h, w), about [0, 1]; not clamped.
    """
    if settings.start == "content":
        return pair.content
    if settings.start == "noise":
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(pair.content.shape, generator=generator, dtype=torch.float32, device="cpu")
        mean = noise.new_tensor(CAFFE_MEAN[::-1])[:, None, None]
        return ((mean + noise * (settings.noise * 256)) / 256).to(pair.content)
    masks = region_weights(pair, settings)
    return match_colours(pair.content, pair.style, masks, pair.style_masks, settings.colour_gain, settings.curve_slope)


def region_weights(pair: PhotoPair, settings: Settings) -> Tensor:
    """Return the weights (R, h, w) with which the start image blends its regions: masks that follow the content."""
    masks = pair.content_masks
    if len(masks) < 2:
        return masks
    if settings.border_radius > 0:
        masks = guided_filter(masks, pair.content, settings.border_radius)
    return matte_masks(masks, pair.content, settings.matte_radius)


def start_recolouring(pair: PhotoPair, settings: Settings) -> Recolouring:
    """Return the recolouring whose zeros stand for the start image."""
    mattes = region_weights(pair, settings)
    if settings.start == "colour":
        images = recolour_regions(
            pair.content, pair.style, mattes, pair.style_masks, settings.colour_gain, settings.curve_slope
        )
    else:
        images = pair.content.expand(len(mattes), *pair.content.shape)
    return Recolouring(pair.content, images, mattes)
