"""Merging of regions into the ones nearest in colour and position."""

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
    """Merge each of some regions of a photo into the nearest target region.

    The distance of two regions has two terms: the distance of their mean CIELAB colours, divided by 30, and the
    distance of their centroids, divided by the sum of their root mean square radii. A large region is therefore close
    to the regions inside it.

    Args:
        masks: masks of all regions, (R, H, W), in [0, 1].
        pixels: photo, (3, H, W), sRGB in [0, 1].
        joining: numbers of the regions to merge.
        targets: numbers of the regions to merge them into.

    Returns:
        The masks of the targets, (T, H, W), and for each joining region the index of its target in `targets`. The masks
        share memory with `masks` if all regions are targets and none joins.
    """
    # Not copied if all regions are targets: a mask of 12 megapixels takes 48 MB.
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
