"""The losses: small modules that hold their target and return a scalar; an objective adds them up."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .encoder import Encoder
from .ops import RegionPlan, masked_gram, stencil_energy


class ContentLoss(nn.Module):
    """Mean squared distance to the content's activations, mean (F - P)^2, in float32 at least."""

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("target", target)  # (C, h, w)

    def forward(self, features: Tensor) -> Tensor:
        exact = torch.promote_types(features.dtype, torch.float32)
        return (features.to(exact) - self.target.to(exact)).square().mean()


class StyleLoss(nn.Module):
    """Distance between the Gram matrices of result and style, region by region (the paper's equation 3).

    sum over regions r of weight_r |scale_r G_r(F) - T_r|^2, where G_r(F) = sum over pixels of m_r^2 f f^T.
    """

    def __init__(self, plan: RegionPlan, target: Tensor, scale: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.plan = plan
        self.register_buffer("target", target)  # (R, C, C)
        self.register_buffer("scale", scale[:, None, None])  # (R,)
        self.register_buffer("weight", weight)  # (R,)

    def forward(self, features: Tensor) -> Tensor:
        distance = masked_gram(features, self.plan) * self.scale - self.target
        return (distance.square().sum((1, 2)) * self.weight).sum()


class PhotorealismLoss(nn.Module):
    """Distance from being a local affine colour map of the content, scale sum_c v_c^T L v_c (equation 4)."""

    def __init__(self, stencil: Tensor, scale: float) -> None:
        super().__init__()
        self.register_buffer("stencil", stencil)  # (12, H, W)
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        return stencil_energy(self.stencil, image.permute(1, 2, 0))[0] * self.scale


class TotalVariationLoss(nn.Module):
    """scale / 2 sum ((x_ij - x_i,j+1)^2 + (x_ij - x_i+1,j)^2) over the (H - 1) x (W - 1) block."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        corner = image[:, :-1, :-1]
        right, below = image[:, :-1, 1:] - corner, image[:, 1:, :-1] - corner
        return (right.square().sum() + below.square().sum()) * (self.scale / 2)


class GamutLoss(nn.Module):
    """Distance of pixel values from the range [0, 1], scale sum (x - clamp(x))^2."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, image: Tensor) -> Tensor:
        return (image - image.clamp(0, 1)).square().sum() * self.scale


class Objective(nn.Module):
    """The weighted sum of losses on an image and on its activations.

    forward(x) with x (3, H, W), pixel values times `pixel_scale`, returns the total and its parts by name, each
    weighted. Where a linear `projection` P is given, x stands for the image P x, which preconditions the problem: a
    gradient P^T g has no part in what the photorealism loss would punish, so a solver needs half the steps. Activations
    are those of P (P x), for the result will be smoothed once more.
    """

    def __init__(
        self,
        encoder: Encoder,
        feature_losses: Mapping[str, Mapping[str, tuple[float, nn.Module]]],
        image_losses: Mapping[str, tuple[float, nn.Module]],
        projection: nn.Module | None = None,
        pixel_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        # {name: {layer: (weight, loss)}} and {name: (weight, loss)}; a weight of 0 leaves its loss out.
        self.feature_losses = {
            name: kept for name, group in feature_losses.items() if (kept := {k: v for k, v in group.items() if v[0]})
        }
        self.image_losses = {name: pair for name, pair in image_losses.items() if pair[0]}
        self.layers = tuple({layer: None for group in self.feature_losses.values() for layer in group})
        self.projection = projection
        self.pixel_scale = pixel_scale

    def image(self, x: Tensor) -> Tensor:
        """The image (3, H, W), values in [0, 1], that x stands for."""
        image = x / self.pixel_scale if self.pixel_scale != 1 else x
        return self.projection(image) if self.projection is not None else image

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        image = self.image(x)
        parts = {name: loss(image) * weight for name, (weight, loss) in self.image_losses.items()}
        if self.layers:
            shown = self.projection(image) if self.projection is not None else image
            features = self.encoder(shown, self.layers)
            for name, group in self.feature_losses.items():
                parts[name] = sum(loss(features[layer]) * weight for layer, (weight, loss) in group.items())
        total = sum(parts.values()) if parts else image.sum() * 0
        return total, parts

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The total, its gradient in x, and its parts, all detached."""
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            total, parts = self(x)
            (gradient,) = torch.autograd.grad(total, x)
        return total.detach(), gradient, {name: part.detach() for name, part in parts.items()}
