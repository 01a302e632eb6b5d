"""The type `RegionMasks`, and region maps turned into masks and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastphoto.photos.input_files import FileSource

OneMask = FileSource | Image.Image | np.ndarray[Any, Any] | Tensor

MAXIMUM_REGIONS = 64  # by eye; a photo given as a mask has more


@dataclass(frozen=True, eq=False)
class RegionMasks:
    """The named regions of one photo with their masks; a pixel may belong to no region.

    Example:
        >>> sky = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
        >>> RegionMasks(("sky", "sea"), torch.stack([sky, 1 - sky])).masks.shape
        torch.Size([2, 2, 2])
    """

    names: tuple[str, ...]
    masks: Tensor  # (R, H, W) float32 in [0, 1]; 0 or 1 unless read from soft masks


MaskSource = None | OneMask | Mapping[str, OneMask] | RegionMasks
"""Types that `fastphoto.regions.read_masks` accepts; None is one region that covers the whole photo."""


def region_map(masks: Tensor) -> Tensor:
    """Return the region map of masks: each pixel's largest region, -1 where its share outside all regions is larger.

    Args:
        masks: masks, (R, H, W), in [0, 1], with sums of at most 1.

    Returns:
        Region map, (H, W) int64.

    Example:
        >>> region_map(torch.tensor([[[0.9, 0.3, 0.1]], [[0.1, 0.6, 0.1]]]))
        tensor([[ 0,  1, -1]])
    """
    return torch.cat([1 - masks.sum(0, keepdim=True), masks]).argmax(0) - 1


def marked_map(masks: Tensor) -> Tensor:
    """Return the region map of masks with overlaps: the region with a value of 0.5 or more, -1 where there is none.

    Args:
        masks: masks, (R, H, W), in [0, 1]; where some overlap, the largest value counts, or the first of equal ones.

    Returns:
        Region map, (H, W) int64.

    Example:
        >>> marked_map(torch.tensor([[[0.9, 0.4, 0.5]], [[1.0, 0.3, 0.5]]]))
        tensor([[ 1, -1,  0]])
    """
    value, number = masks.max(0)
    return torch.where(value >= 0.5, number, -1)


def masks_of_map(regions: Tensor, count: int) -> Tensor:
    """Return the masks of a region map.

    Args:
        regions: region map, (H, W) integers, -1 for pixels without a region.
        count: number of regions.

    Returns:
        Masks, (count, H, W) float32, 0 or 1.

    Example:
        >>> masks_of_map(torch.tensor([[0, 1, -1]]), 2)
        tensor([[[1., 0., 0.]],
        <BLANKLINE>
                [[0., 1., 0.]]])
    """
    masks = torch.empty(count, *regions.shape, dtype=torch.float32, device=regions.device)
    for number in range(count):  # one by one: a mask of 12 megapixels takes 48 MB
        masks[number] = regions == number
    return masks
