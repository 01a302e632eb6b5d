"""The projection of an image to a local affine recolouring of the content."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.ops import (
    box_sum,
    local_affine_factors,
    local_affine_sum,
    matting_laplacian_stencil,
    stencil_product,
)


class LocalAffineProjection(nn.Module):
    """The projection of an image (3, H, W): the content recoloured by the image's smoothed local affine maps.

    The projection is linear in the image. An optimisation can therefore include it, and compute the activations of the
    image after its final smoothing. On the CPU, what the fit needs of the content is computed once.

    With 3x3 windows and equally weighted neighbours, pixel i becomes the mean of x_i - r_ik over the windows k that
    contain it, where r_ik is its residual in the fit of window k. The matting Laplacian L sums the same residuals
    (Levin et al. 2008). The projection is therefore one stencil product, x - D^-1 L x, where D counts the windows that
    contain each pixel. In the two outermost rows and columns it differs from `fit_affine_maps`, which also uses cropped
    windows there.

    Args:
        content: content photo, (3, H, W), in [0, 1].
        radius, epsilon, smooth_radius, smooth_colour: parameters of `fit_affine_maps`.

    Example:
        >>> content = torch.rand(3, 16, 16)
        >>> projection = LocalAffineProjection(content, epsilon=1e-6)
        >>> torch.allclose(projection(1 - content), 1 - content, atol=1e-3)
        True
    """

    stencil: Tensor  # (12, H, W): coefficients of the matting Laplacian
    window_shares: Tensor  # (H, W): 1 / number of windows that contain a pixel
    content: Tensor  # (3, H, W); registered only if no stencil is used
    factors: Tensor  # (9, H, W), and `window_shares`: only where maps are averaged over windows as large as they are

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
        height, width = content.shape[1:]
        self.by_stencil = radius == smooth_radius == 1 and smooth_colour is None and min(height, width) >= 3
        if self.by_stencil:
            self.register_buffer("stencil", matting_laplacian_stencil(content.permute(1, 2, 0), epsilon))
            window = content.new_ones((1, 1, height - 2, width - 2))
            windows = F.conv_transpose2d(window, content.new_ones((1, 1, 3, 3)))[0, 0]
            self.register_buffer("window_shares", 1 / windows)
            return
        self.register_buffer("content", content)
        self.by_sum = radius == smooth_radius and smooth_colour is None and content.device.type == "cpu"
        if self.by_sum:
            self.radius = radius
            self.register_buffer("factors", local_affine_factors(content.permute(1, 2, 0), radius, epsilon))
            self.register_buffer("window_shares", 1 / box_sum(torch.ones_like(content[0, ..., None]), radius)[..., 0])
        else:
            self._fit = functools.partial(
                fit_affine_maps,
                radius=radius,
                epsilon=epsilon,
                smooth_radius=smooth_radius,
                smooth_colour=smooth_colour,
            )

    def forward(self, image: Tensor) -> Tensor:
        if self.by_stencil:
            residual = stencil_product(self.stencil, image.permute(1, 2, 0)).permute(2, 0, 1)
            return torch.addcmul(image, residual, self.window_shares, value=-1)
        if self.by_sum:
            guide = self.content.permute(1, 2, 0)
            sums = local_affine_sum(guide, self.factors, image.permute(1, 2, 0), self.radius)
            return sums.permute(2, 0, 1) * self.window_shares
        return apply_affine_maps(self._fit(self.content, image), self.content)
