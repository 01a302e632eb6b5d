"""The losses on content and image: small modules that hold their target and return a scalar."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.ops import box_sum, stencil_energy


class ContentLoss(nn.Module):
    """Mean squared distance to the content's activations, mean (F - P)^2, in float32 at least."""

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("target", target)  # (C, h, w)

    def forward(self, features: Tensor) -> Tensor:
        exact = torch.promote_types(features.dtype, torch.float32)
        return (features.to(exact) - self.target.to(exact)).square().mean()


class PhotorealismLoss(nn.Module):
    """Distance from being a local affine colour map of the content, scale sum_c v_c^T L v_c (equation 4)."""

    def __init__(self, stencil: Tensor, scale: float) -> None:
        super().__init__()
        self.register_buffer("stencil", stencil)  # (12, H, W)
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        return stencil_energy(self.stencil, image.permute(1, 2, 0))[0] * self.scale


class WideWindowLoss(nn.Module):
    """The photorealism loss with windows of (2 radius + 1)^2 pixels, cropped at the border, scale sum_c v_c^T L_r v_c.

    L_r = D (1 - P), with P the colour guided filter of that radius and D the number of windows that hold a pixel.
    """

    def __init__(self, content: Tensor, radius: int, epsilon: float, scale: float) -> None:
        super().__init__()
        self.radius, self.epsilon, self.scale = radius, epsilon, scale
        self.register_buffer("content", content)
        self.register_buffer("windows", box_sum(torch.ones_like(content[0, ..., None]), radius)[..., 0])

    def forward(self, image: Tensor) -> Tensor:
        maps = fit_affine_maps(self.content, image, radius=self.radius, epsilon=self.epsilon, smooth_radius=self.radius)
        return (image * (image - apply_affine_maps(maps, self.content)) * self.windows).sum() * self.scale


class TotalVariationLoss(nn.Module):
    """scale sum (dx^2 + dy^2)^(power / 2) over the (H - 1) x (W - 1) block (Mahendran and Vedaldi 2015).

    dx = x_i,j+1 - x_ij, dy = x_i+1,j - x_ij, every channel by itself.
    """

    def __init__(self, scale: float, power: float = 2.0) -> None:
        super().__init__()
        self.scale, self.power = scale, power

    def forward(self, image: Tensor) -> Tensor:
        corner = image[:, :-1, :-1]
        right, below = image[:, :-1, 1:] - corner, image[:, 1:, :-1] - corner
        if self.power == 2:
            return (right.square().sum() + below.square().sum()) * self.scale
        # Where nothing varies the derivative of a power below 2 is infinite, were it not for the smallest of steps.
        return (right.square() + below.square() + 1e-8).pow(self.power / 2).sum() * self.scale


class GamutLoss(nn.Module):
    """Distance of pixel values from the range [0, 1], scale sum (x - clamp(x))^2."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        return (image - image.clamp(0, 1)).square().sum() * self.scale
