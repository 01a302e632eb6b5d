"""An optimised image at another size: that of the next level, and at the end that of the photo itself."""

from __future__ import annotations

from torch import Tensor

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.optimisation.settings import Settings
from fastphoto.photos.resize import enlarge


def upsample(image: Tensor, content: Tensor, target: Tensor, settings: Settings, smooth: bool) -> Tensor:
    """Return an optimised image at the size of another content, not clamped.

    Local affine colour maps from content to image are fitted, and applied to the other content, so that the image has
    its detail. Where pixels themselves are the result (`settings.result` is "image"), or the other content is no
    larger, the image is resized.

    Args:
        image: (3, h, w), optimised.
        content: (3, h, w), the content at the same size.
        target: (3, H, W), the content at the next level, or the photo at its own size.
        settings: `result` and the smoothing are used.
        smooth: whether to smooth the maps: at the end of a run, as Luan et al. (2017) smooth their image. Then maps are
            applied to a content of any size.
    """
    larger = target.shape[1] > content.shape[1]
    if settings.result == "image" or not (larger or smooth):
        return enlarge(image, (target.shape[1], target.shape[2]))
    maps = fit_affine_maps(content, image, **settings.smoothing()) if smooth else fit_affine_maps(content, image)
    return apply_affine_maps(maps, target)
