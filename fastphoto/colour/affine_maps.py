"""Local affine colour maps content -> result: what keeps a result a photograph, at any resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastphoto.ops import (
    local_affine_apply,
    local_affine_fit,
    local_affine_smooth,
    local_affine_smooth_box,
    matting_laplacian_stencil,
    stencil_product,
)


def fit_affine_maps(
    content: Tensor,
    result: Tensor,
    *,
    radius: int = 1,
    epsilon: float = 1e-3,
    smooth_radius: int = 1,
    smooth_colour: float | None = None,
) -> Tensor:
    """The affine colour map of every pixel, fitted on small windows and averaged over its neighbourhood.

    content, result: (3, H, W), [0, 1]. radius, epsilon: of the fit, see `fastphoto.ops.local_affine_fit`.
    smooth_radius: of the average, in pixels; 0 for none. smooth_colour: where given, neighbours count less the more
    their content colour differs (the paper's smoothing: radius 15, colour 0.01); None averages all alike, which with
    equal radii is the colour guided filter (He et al. 2010).

    Returns (H, W, 3, 4).
    """
    guide = content.permute(1, 2, 0)
    maps = local_affine_fit(guide, result.permute(1, 2, 0), radius, epsilon)
    if smooth_radius == 0:
        return maps
    if smooth_colour is None:
        return local_affine_smooth_box(maps, smooth_radius)
    return local_affine_smooth(maps, guide, smooth_radius, smooth_colour)


def apply_affine_maps(maps: Tensor, content: Tensor) -> Tensor:
    """The result that maps (h, w, 3, 4) make of a content photo (3, H, W) of any size; (3, H, W), not clamped."""
    return local_affine_apply(maps, content.permute(1, 2, 0)).permute(2, 0, 1)


class LocalAffineProjection(nn.Module):
    """An image replaced by its smoothed local affine maps applied to the content.

    Linear in the image, so that an optimisation can look through it: activations are computed on what the smoothing
    will leave. forward: (3, H, W) -> (3, H, W). Keyword arguments: those of `fit_affine_maps`.

    Where windows have 3 x 3 pixels and all maps of a neighbourhood count alike, a pixel's value is the mean over the
    windows that hold it of x_i - r_ik, with r the residual that the matting Laplacian sums up, so that the projection
    is x - D^-1 L x, D counting windows: one product with a stencil. In the two outermost rows and columns this leaves
    out the cropped windows that `fit_affine_maps` has there.
    """

    def __init__(
        self,
        content: Tensor,
        *,
        radius: int = 1,
        epsilon: float = 1e-3,
        smooth_radius: int = 1,
        smooth_colour: float | None = None,
    ) -> None:
        super().__init__()
        self.smoothing = {
            "radius": radius,
            "epsilon": epsilon,
            "smooth_radius": smooth_radius,
            "smooth_colour": smooth_colour,
        }
        height, width = content.shape[1:]
        self.by_stencil = radius == smooth_radius == 1 and smooth_colour is None and min(height, width) >= 3
        if self.by_stencil:
            self.register_buffer("stencil", matting_laplacian_stencil(content.permute(1, 2, 0), epsilon))
            inner = content.new_ones((1, 1, height - 2, width - 2))
            self.register_buffer("share", 1 / F.conv_transpose2d(inner, content.new_ones((1, 1, 3, 3)))[0, 0])
        else:
            self.register_buffer("content", content)

    def forward(self, image: Tensor) -> Tensor:
        if self.by_stencil:
            residual = stencil_product(self.stencil, image.permute(1, 2, 0)).permute(2, 0, 1)
            return torch.addcmul(image, residual, self.share, value=-1)
        return apply_affine_maps(fit_affine_maps(self.content, image, **self.smoothing), self.content)
