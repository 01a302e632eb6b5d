"""Style losses: how far the statistics of a result's activations are from the style's, region by region."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastphoto.ops import PixelLists, list_pixels, masked_gram

Statistic = Literal["gram", "moments", "wasserstein", "histogram", "patches"]

_DIRECTIONS = 64  # that activations are projected on for the sliced Wasserstein distance
_PATCHES_AT_ONCE = 2**24  # similarities of patches held in memory


class StyleLoss(nn.Module):
    """Distance between the Gram matrices of result and style (Luan et al. 2017, equation 3).

    sum over regions r of weight_r |scale_r G_r(F) - T_r|^2, where G_r(F) = sum over pixels of m_r^2 f f^T.
    """

    def __init__(self, plan: PixelLists, target: Tensor, scale: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.plan = plan
        self.register_buffer("target", target)  # (R, C, C)
        self.register_buffer("scale", scale[:, None, None])  # (R,)
        self.register_buffer("weight", weight)  # (R,)

    def forward(self, features: Tensor) -> Tensor:
        distance = masked_gram(features, self.plan) * self.scale - self.target
        return (distance.square().sum((1, 2)) * self.weight).sum()


class MomentLoss(nn.Module):
    """Distance between the means and standard deviations of every channel (Li, Wang, Liu and Hou 2017).

    sum over regions r of weight_r (|mean_r(F) - mean_r(S)|^2 + |deviation_r(F) - deviation_r(S)|^2) / C.
    """

    def __init__(self, masks: Tensor, style: Tensor, style_masks: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("share", _shares(masks))  # (R, h w)
        self.register_buffer("target", _moments(style, _shares(style_masks)))  # (R, 2 C)
        self.register_buffer("weight", weight)  # (R,)

    def size(self) -> Tensor:
        """(R,): the loss of activations that are zero, for weights of 1."""
        return self.target.square().mean(1) * 2

    def forward(self, features: Tensor) -> Tensor:
        return ((_moments(features, self.share) - self.target).square().mean(1) * 2 * self.weight).sum()


class DistributionLoss(nn.Module):
    """Wasserstein distance between the distributions of activations along given directions.

    sum over regions r of weight_r mean over directions d and quantiles q of (Q_q(d F_r) - Q_q(d S_r))^2. Random
    directions give the sliced Wasserstein distance (Heitz et al. 2021), the channels themselves the histogram loss
    (Risser et al. 2017). pixels, style_pixels: those of every region, by number.
    """

    def __init__(
        self,
        pixels: list[Tensor],
        style: Tensor,
        style_pixels: list[Tensor],
        weight: Tensor,
        directions: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.directions = directions  # (K, C), None: the channels
        self.weight = weight  # (R,)
        self.pixels = pixels
        self.targets = []  # (K, pixels of the region) each
        for ours, theirs in zip(pixels, style_pixels, strict=True):
            values = self._sorted(style, theirs)
            self.targets.append(F.interpolate(values[None], len(ours), mode="linear", align_corners=False)[0])

    def size(self) -> Tensor:
        """(R,): the loss of activations that are zero, for weights of 1."""
        return torch.stack([target.square().mean() for target in self.targets])

    def forward(self, features: Tensor) -> Tensor:
        total = features[:, :1, :1].sum() * 0
        for pixels, target, weight in zip(self.pixels, self.targets, self.weight, strict=True):
            total = total + (self._sorted(features, pixels) - target).square().mean() * weight
        return total

    def _sorted(self, features: Tensor, pixels: Tensor) -> Tensor:
        values = features.flatten(1)[:, pixels].to(torch.promote_types(features.dtype, torch.float32))
        return (values if self.directions is None else self.directions.to(values) @ values).sort(1)[0]


class PatchLoss(nn.Module):
    """Distance of every 3x3 patch of activations from the style's most similar one (Li and Wand 2016).

    sum over regions r of weight_r mean over patches p of the result of |p - s(p)|^2 / 9 C, with s(p) the patch of the
    same region in the style of the largest normalised cross-correlation, found anew in every evaluation. Patches lie
    inside the image. middles, style_middles: the middles of every region's patches, by number, counted without the
    image's outermost rows and columns.
    """

    def __init__(self, middles: list[Tensor], style: Tensor, style_middles: list[Tensor], weight: Tensor) -> None:
        super().__init__()
        self.weight = weight  # (R,)
        self.middles = middles
        patches = _patches(style)
        self.targets = [patches[theirs] for theirs in style_middles]
        self.directions = [F.normalize(target, dim=1) for target in self.targets]

    def size(self) -> Tensor:
        """(R,): the loss of activations that are zero, for weights of 1 and a result of all patches of the style."""
        return torch.stack([target.square().mean() for target in self.targets])

    def forward(self, features: Tensor) -> Tensor:
        patches, total = _patches(features), features[:, :1, :1].sum() * 0
        regions = zip(self.middles, self.targets, self.directions, self.weight, strict=True)
        for middles, target, directions, weight in regions:
            ours = patches[middles]
            with torch.no_grad():  # of equal lengths or not, the order of the correlations is that of the products
                at_once = ours.split(max(1, _PATCHES_AT_ONCE // len(target)))
                nearest = torch.cat([(some @ directions.T).argmax(1) for some in at_once])
            total = total + (ours - target[nearest]).square().mean() * weight
        return total


def style_loss(
    style: Tensor,  # (C, h', w') activations of the style
    masks: Tensor,  # (R, h, w) of the content, in this layer
    style_masks: Tensor,  # (R, h', w')
    statistic: Statistic = "gram",
    normalisation: Literal["relative", "published", "gatys"] = "relative",
) -> nn.Module:
    """The style loss of one layer: its target from the style, its weights from the regions' areas.

    "relative": every region's distance is divided by the target's own size. "published": Gram matrices are means over
    the mask's sum and over the channels. "gatys": 1 / (4 N^2) sum (G / M - A / M)^2 of N channels and M pixels. Other
    statistics than Gram matrices are divided by nothing but the number of their elements in the latter two.
    A region too small for this layer in either photo counts for nothing. Where pixels are sorted or cut into patches,
    one counts for the regions that it belongs to by half or more.
    """
    channels = style.shape[0]
    area = masks.mean((1, 2))
    present = (masks.sum((1, 2)) >= 1) & (style_masks.sum((1, 2)) >= 1)
    if statistic == "gram":
        # The paper divides by the mask's sum; its square's sum is what makes the Gram matrix of soft masks a mean.
        power = 1 if normalisation == "published" else 2
        divide = channels if normalisation == "published" else 1
        scale, style_scale = (1 / (m.pow(power).sum((1, 2)).clamp_min(1e-6) * divide) for m in (masks, style_masks))
        target = masked_gram(style, style_masks) * style_scale[:, None, None]
        size = {
            "relative": target.square().sum((1, 2)).clamp_min(1e-12),
            "published": channels**2,
            "gatys": 4 * channels**2,
        }[normalisation]
        return StyleLoss(list_pixels(masks), target, scale, area / size * present)
    loss: MomentLoss | DistributionLoss | PatchLoss
    if statistic == "moments":
        loss = MomentLoss(masks, style, style_masks, area * present)
    else:
        rim = 1 if statistic == "patches" else 0
        members = [_members(m[:, rim : m.shape[1] - rim, rim : m.shape[2] - rim]) for m in (masks, style_masks)]
        kept = [r for r, pixels in enumerate(zip(*members, strict=True)) if present[r] and all(map(len, pixels))]
        ours, theirs = ([pixels[r] for r in kept] for pixels in members)
        if statistic == "patches":
            loss = PatchLoss(ours, style, theirs, area[kept])
        else:
            directions = _random_directions(channels).to(style.device) if statistic == "wasserstein" else None
            loss = DistributionLoss(ours, style, theirs, area[kept], directions)
    if normalisation == "relative" and len(loss.weight):
        loss.weight = loss.weight / loss.size().clamp_min(1e-12)
    return loss


def _shares(masks: Tensor) -> Tensor:
    """(R, h w): how much every pixel counts in the mean of a region."""
    flat = masks.flatten(1)
    return flat / flat.sum(1, keepdim=True).clamp_min(1e-6)


def _moments(features: Tensor, share: Tensor) -> Tensor:
    """(R, 2 C): mean and standard deviation of every channel in every region."""
    values = features.flatten(1).T.to(share.dtype)
    mean = share @ values
    # Around the middle of all, so that a mean far above the deviation does not swallow it in float32.
    middle = values.detach().mean(0)
    variance = share @ (values - middle).square() - (mean - middle).square()
    return torch.cat([mean, variance.clamp_min(1e-8).sqrt()], 1)


def _members(masks: Tensor) -> list[Tensor]:
    """For every mask the numbers of the pixels that belong to it by half or more, of what all masks say of them."""
    least = masks.sum(0).clamp_min(1e-6) / 2  # masks of deep layers fade towards the photo's border
    return [(mask >= least).flatten().nonzero()[:, 0] for mask in masks]


def _patches(features: Tensor) -> Tensor:
    """((h - 2) (w - 2), 9 C): all 3x3 patches, float32 at least."""
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    if min(features.shape[1:]) < 3:
        return exact.new_zeros(0, 9 * len(features))
    return F.unfold(exact[None], 3)[0].T


def _random_directions(channels: int) -> Tensor:
    """(K, C) of length 1, orthogonal in groups of C, the same at every call."""
    generator = torch.Generator().manual_seed(channels)
    groups = -(-_DIRECTIONS // channels)
    noise = torch.randn(groups, channels, channels, generator=generator)
    return torch.linalg.qr(noise)[0].flatten(0, 1)[: max(_DIRECTIONS, channels)]
