"""The type `RegionMasks`, and region maps turned into masks and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

OneMask = str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any] | Tensor

MAXIMUM_REGIONS = 64  # by eye; a photo read as a mask has more


@dataclass(frozen=True, eq=False)
class RegionMasks:
    """The named regions of one photo, with a mask for each; a pixel may belong to none.

    Example:
        >>> sky = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
        >>> RegionMasks(("sky", "sea"), torch.stack([sky, 1 - sky])).masks.shape
        torch.Size([2, 2, 2])
    """

    names: tuple[str, ...]
    masks: Tensor  # (R, H, W) float32 in [0, 1]; 0 or 1 unless read from soft masks


MaskSource = None | OneMask | Mapping[str, OneMask] | RegionMasks
"""What `fastphoto.regions.read_masks` reads; None is one region that covers the whole photo."""


def region_map(masks: Tensor) -> Tensor:
    """Return the number of the region that each pixel belongs to most, -1 where most of it belongs to none.

    Args:
        masks: (R, H, W), [0, 1], with sums of at most 1.

    Returns:
        (H, W) int64.

    Example:
        >>> region_map(torch.tensor([[[0.9, 0.3, 0.1]], [[0.1, 0.6, 0.1]]]))
        tensor([[ 0,  1, -1]])
    """
    return torch.cat([1 - masks.sum(0, keepdim=True), masks]).argmax(0) - 1


def marked_map(masks: Tensor) -> Tensor:
    """Return the number of the region that marks each pixel with 0.5 or more, -1 where none does.

    Args:
        masks: (R, H, W), [0, 1]; where several overlap, the largest value counts, and the first of equal ones.

    Returns:
        (H, W) int64.

    Example:
        >>> marked_map(torch.tensor([[[0.9, 0.4, 0.5]], [[1.0, 0.3, 0.5]]]))
        tensor([[ 1, -1,  0]])
    """
    value, number = masks.max(0)
    return torch.where(value >= 0.5, number, -1)


def masks_of_map(regions: Tensor, count: int) -> Tensor:
    """Return the masks of a region map.

    Args:
        regions: (H, W) integers, -1 for pixels of no region.
        count: number of regions.

    Returns:
        (count, H, W) float32, 0 or 1.

    Example:
        >>> masks_of_map(torch.tensor([[0, 1, -1]]), 2)
        tensor([[[1., 0., 0.]],
        <BLANKLINE>
                [[0., 1., 0.]]])
    """
    masks = torch.empty(count, *regions.shape, device=regions.device)
    for number in range(count):  # one by one: 12 megapixels weigh 48 MB each
        masks[number] = regions == number
    return masks
