"""Merge regions into the ones nearest in colour and position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.photos.resize import resize, shrunk_size
from fastphoto.regions.resizing import resize_masks

_LONG_SIDE = 256  # pixels, of the photo that regions are compared in; by eye
_COLOUR_SCALE = 30  # CIELAB units that count as much as the distance of regions that just touch; by eye


def merge_regions(
    masks: Tensor, pixels: Tensor, joining: Sequence[int], targets: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """Merge some regions of a photo each into the nearest of its target regions.

    Distance: that of the mean CIELAB colours over 30, plus that of the centroids over the sum of the regions' root mean
    square radii, so that a large region is near to what lies within it.

    Args:
        masks: masks of all regions, (R, H, W), [0, 1].
        pixels: the photo, (3, H, W), sRGB in [0, 1].
        joining: numbers of the regions to merge.
        targets: numbers of the regions to merge them into.

    Returns:
        The masks of the targets (T, H, W), which share memory with `masks` if these are all regions and none joins; and
        for each joining region the index in `targets` of the one it joins.
    """
    # Not copied where they are all: 12 megapixels weigh 48 MB each.
    merged = masks if list(targets) == list(range(len(masks))) else masks[list(targets)]
    if not joining:
        return merged, []
    size = shrunk_size((pixels.shape[1], pixels.shape[2]), _LONG_SIDE)
    small = resize(pixels.detach().float().cpu(), size).clamp(0, 1)
    lab = torch.from_numpy(srgb_to_lab(small.numpy())).float().flatten(1)
    weights = resize_masks(masks.cpu(), size).flatten(1)
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    positions = torch.stack([y, x]).flatten(1).float()
    colours, centroids = weights @ lab.T, weights @ positions.T
    radii = (weights @ positions.square().T - centroids.square()).sum(1).clamp_min(0.25).sqrt()
    merged, nearest = merged.clone(), []
    for region in joining:
        colour_distance = (colours[targets] - colours[region]).norm(dim=1) / _COLOUR_SCALE
        distance = (centroids[targets] - centroids[region]).norm(dim=1) / (radii[targets] + radii[region])
        nearest.append(int((colour_distance + distance).argmin()))
        merged[nearest[-1]] = (merged[nearest[-1]] + masks[region]).clamp_(max=1)
    return merged, nearest
