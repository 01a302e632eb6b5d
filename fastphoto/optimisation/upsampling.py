"""The upsampling of an optimised image to the next level's size, and at the end to the photo's own."""

from __future__ import annotations

from torch import Tensor

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.optimisation.settings import Settings
from fastphoto.photos.resize import enlarge


def upsample(image: Tensor, content: Tensor, target: Tensor, settings: Settings, smooth: bool) -> Tensor:
    """Return an optimised image at the size of `target`, not clamped.

    Fit local affine colour maps from content to image and apply them to the target, so that the result has the target's
    detail. Resize the image instead if `settings.result` is "image", or if the target is no larger and the maps are not
    to be smoothed.

    Args:
        image: (3, h, w), optimised.
        content: (3, h, w), the content at the image's size.
        target: (3, H, W), the content at the next level's size, or at its own.
        settings: settings of the result and of the smoothing.
        smooth: whether to smooth the maps, as Luan et al. (2017) do at the end of a run.
    """
    larger = target.shape[1] > content.shape[1]
    if settings.result == "image" or not (larger or smooth):
        return enlarge(image, (target.shape[1], target.shape[2]))
    maps = fit_affine_maps(content, image, **settings.smoothing()) if smooth else fit_affine_maps(content, image)
    return apply_affine_maps(maps, target)
