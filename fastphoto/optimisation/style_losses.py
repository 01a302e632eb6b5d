"""Style losses: how far the statistics of a result's activations are from the style's, region by region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.colour.statistics import sample_pixels
from fastphoto.ops import PixelLists, list_pixels, masked_gram, region_moments, sorted_distance
from fastphoto.optimisation.weighted import Weighted

Statistic = Literal["gram", "moments", "wasserstein", "histogram", "patches"]
Normalisation = Literal["relative", "published", "gatys"]

_DIRECTIONS = 64  # directions of the sliced Wasserstein distance; by eye
_LOOK_DIRECTIONS = 24  # of the look loss; by eye
_LOOK_PIXELS = 4096  # of a region, in the look loss; by eye
_PATCHES_AT_ONCE = 2**24  # largest number of pairs of patches that are compared at once


class StyleLoss(nn.Module):
    """The weighted sum over regions of a distance to the style, sum_r weight_r d_r(F).

    Args:
        distance: module from activations (C, h, w) to distances (R,).
        weight: weights (R,) of the regions.
    """

    weight: Tensor

    def __init__(self, distance: nn.Module, weight: Tensor) -> None:
        super().__init__()
        self.distance = distance
        self.register_buffer("weight", weight)

    def forward(self, features: Tensor) -> Tensor:
        """Return the loss of activations (C, h, w)."""
        return (self.distance(features) * self.weight).sum()


class GramDistance(nn.Module):
    """Squared distance between the Gram matrices of result and style (Luan et al. 2017, equation 3).

    d_r = |scale_r G_r(F) - T_r|^2, where G_r(F) = sum over pixels of m_r^2 f f^T. The gradient is exact. Differs from
    Luan et al.: the published programs leave out one factor m_r of it, which is the same where masks are 0 or 1.

    Args:
        pixels: pixels of each region.
        target: (R, C, C), the Gram matrices of the style.
        scale: (R,), reciprocals of the sums' divisors.
    """

    indices: Tensor
    values: Tensor
    target: Tensor
    scale: Tensor

    def __init__(self, pixels: PixelLists, target: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("indices", pixels.indices)
        self.register_buffer("values", pixels.weights)
        self.offsets = pixels.offsets  # no buffer: they stay on the CPU, where launches are planned
        self.size = (pixels.height, pixels.width)
        self.register_buffer("target", target)
        self.register_buffer("scale", scale[:, None, None])

    def forward(self, features: Tensor) -> Tensor:
        pixels = PixelLists(self.indices, self.values, self.offsets, *self.size)
        return (masked_gram(features, pixels) * self.scale - self.target).square().sum((1, 2))

    def of_zero(self) -> Tensor:
        """Return the distances (R,) of activations that are zero."""
        return self.target.square().sum((1, 2))


class MomentDistance(nn.Module):
    """Squared distance between means and standard deviations of each channel (Li, Wang, Liu and Hou 2017).

    d_r = (|mean_r(F) - mean_r(S)|^2 + |deviation_r(F) - deviation_r(S)|^2) / C.

    Args:
        masks: masks (R, h, w) of the content.
        style: (C, h', w'), the style's activations.
        style_masks: masks (R, h', w') of the style.
    """

    masks: Tensor
    target: Tensor

    def __init__(self, masks: Tensor, style: Tensor, style_masks: Tensor) -> None:
        super().__init__()
        self.register_buffer("masks", masks)
        self.register_buffer("target", region_moments_of(style, style_masks))  # (R, 2 C)

    def forward(self, features: Tensor) -> Tensor:
        return (region_moments_of(features, self.masks) - self.target).square().mean(1) * 2

    def of_zero(self) -> Tensor:
        """Return the distances (R,) of activations that are zero."""
        return self.target.square().mean(1) * 2


class QuantileDistance(nn.Module):
    """Squared Wasserstein distance between the distributions of activations along given directions.

    d_r = mean over directions v and quantiles q of (Q_q(v F_r) - Q_q(v S_r))^2. Random directions give the sliced
    Wasserstein distance (Heitz et al. 2021), the channels themselves the histogram loss (Risser et al. 2017).

    Args:
        pixels: indices of each region's pixels.
        style: (C, h', w'), the style's activations.
        style_pixels: indices of each region's pixels in the style.
        directions: directions (K, C); None: the channels.
    """

    pixels: Tensor  # (N,): the pixels of all regions, one region after the other
    target: Tensor  # (K, N): the style's values along each direction, ascending within each region
    directions: Tensor | None

    def __init__(
        self, pixels: Sequence[Tensor], style: Tensor, style_pixels: Sequence[Tensor], directions: Tensor | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("directions", directions)
        sizes = [len(ours) for ours in pixels]
        # No buffer: it stays on the CPU.
        self.offsets = torch.tensor([0, *sizes], dtype=torch.int64, device="cpu").cumsum(0)
        none = style.new_zeros(0, dtype=torch.int64)
        self.register_buffer("pixels", torch.cat([none, *pixels]))
        targets = [
            F.interpolate(self._values(style, theirs).sort(1)[0][None], size, mode="linear", align_corners=False)[0]
            for size, theirs in zip(sizes, style_pixels, strict=True)
        ]
        self.register_buffer("target", torch.cat(targets, 1) if targets else self._values(style, none))

    def forward(self, features: Tensor) -> Tensor:
        if len(self.pixels) == 0:
            return features.flatten()[:0]  # no region, but still a gradient in the features
        return sorted_distance(self._values(features, self.pixels), self.target, self.offsets)

    def of_zero(self) -> Tensor:
        """Return the distances (R,) of activations that are zero."""
        regions = self.target.split(self.offsets.diff().tolist(), 1)
        return torch.stack([target.square().mean() for target in regions])

    def _values(self, features: Tensor, pixels: Tensor) -> Tensor:
        """Return values of pixels (N,) along each direction, (K, N)."""
        values = features.flatten(1)[:, pixels].to(torch.promote_types(features.dtype, torch.float32))
        return values if self.directions is None else self.directions.to(values) @ values


class PatchDistance(nn.Module):
    """Squared distance of each 3x3 patch of activations from the most similar one of the style (Li and Wand 2016).

    d_r = mean over patches p of the result of |p - s(p)|^2 / 9 C, where s(p) is the patch of the same region in the
    style with the largest normalised cross-correlation, searched anew in each evaluation. Patches lie inside the image.

    Args:
        centres: indices of the centres of each region's patches, counted without the outermost rows and columns.
        style: (C, h', w'), the style's activations.
        style_centres: indices of the same centres in the style.
    """

    def __init__(self, centres: Sequence[Tensor], style: Tensor, style_centres: Sequence[Tensor]) -> None:
        super().__init__()
        patches = _patches(style)
        targets = [patches[theirs] for theirs in style_centres]
        self.centres = _TensorList(centres)
        self.targets = _TensorList(targets)
        self.directions = _TensorList([F.normalize(target, dim=1) for target in targets])

    def forward(self, features: Tensor) -> Tensor:
        patches, distances = _patches(features), []
        for centres, target, directions in zip(self.centres, self.targets, self.directions, strict=True):
            ours = patches[centres]
            # The style's patches have length 1. The length of our patch does not change which of them is most similar.
            with torch.no_grad():
                portions = ours.split(max(1, _PATCHES_AT_ONCE // len(target)))
                nearest = torch.cat([(portion @ directions.T).argmax(1) for portion in portions])
            distances.append((ours - target[nearest]).square().mean())
        return _stacked(distances, features)

    def of_zero(self) -> Tensor:
        """Return the distances (R,) of zero activations from all patches of the style."""
        return torch.stack([target.square().mean() for target in self.targets])


class LookLoss(nn.Module):
    """Distance of the colours of each region from the style's, sum_r area_r W_r^2 / 100, in L*a*b*.

    W_r is the sliced Wasserstein distance over fixed directions and at most 4096 pixels a region; this is the square of
    what the measure `look` sees.

    Args:
        style: (3, h', w'), sRGB in [0, 1].
        masks: masks (R, h, w) of the content.
        style_masks: masks (R, h', w') of the style.
    """

    def __init__(self, style: Tensor, masks: Tensor, style_masks: Tensor) -> None:
        super().__init__()
        ours, theirs = _members(masks), _members(style_masks)
        regions = [r for r in range(len(masks)) if len(ours[r]) and len(theirs[r])]
        distance = QuantileDistance(
            [sample_pixels(ours[r], _LOOK_PIXELS) for r in regions],
            srgb_to_lab(style),
            [sample_pixels(theirs[r], _LOOK_PIXELS) for r in regions],
            _random_directions(3)[:_LOOK_DIRECTIONS].to(style),
        )
        self.colours = StyleLoss(distance, masks.mean((1, 2))[regions] / 100)

    def forward(self, lab: Tensor) -> Tensor:
        """Return the loss of an image (3, h, w), L*a*b*."""
        distance: Tensor = self.colours(lab)
        return distance


def style_losses(
    weights: Mapping[str, float],  # {layer: weight}
    style_features: Mapping[str, Tensor],  # {layer: (C, h', w')}
    masks: Mapping[str, Tensor],  # {layer: (R, h, w)}
    style_masks: Mapping[str, Tensor],  # {layer: (R, h', w')}
    statistic: Statistic,
    normalisation: Normalisation,
) -> dict[str, Weighted]:
    """Return the style loss of each layer, weighted; see `style_loss`."""
    return {
        layer: Weighted(
            weight, style_loss(style_features[layer], masks[layer], style_masks[layer], statistic, normalisation)
        )
        for layer, weight in weights.items()
    }


def style_loss(
    style: Tensor,  # (C, h', w'), activations of the style
    masks: Tensor,  # (R, h, w), of the content, in this layer
    style_masks: Tensor,  # (R, h', w')
    statistic: Statistic = "gram",
    normalisation: Normalisation = "relative",
) -> StyleLoss:
    """Return the style loss of one layer: its target from the style, its weights from the areas of the regions.

    A region that covers less than one pixel of this layer in either photo is left out. Statistics that sort pixels or
    cut patches count a pixel for each region to which at least half of it belongs.

    Args:
        style: activations of the style.
        masks: masks of the content.
        style_masks: masks of the style.
        statistic: statistic of a region's activations that is compared.
        normalisation: divisor of the distances. "relative": each region's distance is divided by that of zero
            activations. "published": Gram matrices are divided by the mask's sum and the channels. "gatys":
            1 / (4 N^2) sum (G / M - A / M)^2 for N channels and M pixels. With the latter two, statistics other than
            "gram" are only divided by the number of their elements.
    """
    area = masks.mean((1, 2))
    present = (masks.sum((1, 2)) >= 1) & (style_masks.sum((1, 2)) >= 1)
    if statistic == "gram":
        gram = _gram_distance(style, masks, style_masks, normalisation)
        # Differs from Luan et al. (2017), who divide by C^2: relative weights mean the same for any layer and photo.
        if normalisation == "relative":
            return StyleLoss(gram, area / gram.of_zero().clamp_min(1e-12) * present)
        return StyleLoss(gram, area / (len(style) ** 2 * (4 if normalisation == "gatys" else 1)) * present)
    distance: MomentDistance | QuantileDistance | PatchDistance
    if statistic == "moments":
        distance, weight = MomentDistance(masks, style, style_masks), area * present
    else:
        distance, regions = _distance_of_members(style, masks, style_masks, statistic, present)
        weight = area[regions]
    if normalisation == "relative" and len(weight):
        weight = weight / distance.of_zero().clamp_min(1e-12)
    return StyleLoss(distance, weight)


def _gram_distance(style: Tensor, masks: Tensor, style_masks: Tensor, normalisation: Normalisation) -> GramDistance:
    # Differs from Luan et al. (2017), who divide by the mask's sum: the sum of its square makes the Gram matrix of a
    # soft mask a mean.
    power = 1 if normalisation == "published" else 2
    divisor = len(style) if normalisation == "published" else 1
    scale, style_scale = (1 / (m.pow(power).sum((1, 2)).clamp_min(1e-6) * divisor) for m in (masks, style_masks))
    target = masked_gram(style, style_masks) * style_scale[:, None, None]
    return GramDistance(list_pixels(masks), target, scale)


def _distance_of_members(
    style: Tensor, masks: Tensor, style_masks: Tensor, statistic: Statistic, present: Tensor
) -> tuple[QuantileDistance | PatchDistance, list[int]]:
    """Return a distance over the pixels or patches of regions, and the numbers of the regions that have any."""
    rim = 1 if statistic == "patches" else 0
    members = [_members(m[:, rim : m.shape[1] - rim, rim : m.shape[2] - rim]) for m in (masks, style_masks)]
    regions = [r for r, pixels in enumerate(zip(*members, strict=True)) if present[r] and all(map(len, pixels))]
    ours, theirs = ([pixels[r] for r in regions] for pixels in members)
    if statistic == "patches":
        return PatchDistance(ours, style, theirs), regions
    if statistic == "histogram":
        return QuantileDistance(ours, style, theirs), regions
    if statistic == "wasserstein":
        directions = _random_directions(len(style)).to(style.device)
        return QuantileDistance(ours, style, theirs, directions), regions
    raise AssertionError(f"no distance for style_statistic {statistic!r}")


class _TensorList(nn.Module):
    """Tensors of different shapes as buffers."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        for number, tensor in enumerate(tensors):
            self.register_buffer(str(number), tensor)

    def __len__(self) -> int:
        return len(self._buffers)

    def __iter__(self) -> Iterator[Tensor]:
        return (tensor for tensor in self._buffers.values() if tensor is not None)


def _stacked(distances: list[Tensor], features: Tensor) -> Tensor:
    """Return distances as one tensor (R,); with no region it is empty but still has a gradient in the features."""
    return torch.stack(distances) if distances else features.flatten()[:0]


def region_moments_of(features: Tensor, masks: Tensor) -> Tensor:
    """Return mean and standard deviation of each channel in each region, (R, 2 C), in the masks' dtype."""
    mean, variance = region_moments(features.to(masks.dtype), masks)
    return torch.cat([mean, variance.clamp_min(1e-8).sqrt()], 1)


def _members(masks: Tensor) -> list[Tensor]:
    """Return for each mask the indices of the pixels where it is at least half of the sum of all masks."""
    least = masks.sum(0).clamp_min(1e-6) / 2  # masks of deep layers fade towards the photo's border
    return [(mask >= least).flatten().nonzero()[:, 0] for mask in masks]


def _patches(features: Tensor) -> Tensor:
    """Return all 3x3 patches, ((h - 2) (w - 2), 9 C), float32 at least."""
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    if min(features.shape[1:]) < 3:
        return exact.new_zeros(0, 9 * len(features))
    return F.unfold(exact[None], 3)[0].T


def _random_directions(channels: int) -> Tensor:
    """Return directions (K, C) of length 1, orthogonal in groups of C, the same at each call."""
    generator = torch.Generator().manual_seed(channels)
    groups = -(-_DIRECTIONS // channels)
    noise = torch.randn(groups, channels, channels, generator=generator, dtype=torch.float32, device="cpu")
    return torch.linalg.qr(noise)[0].flatten(0, 1)[: max(_DIRECTIONS, channels)]
