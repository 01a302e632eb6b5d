"""The type `RegionMasks`: the named regions of one photo, a mask for each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

OneMask = str | os.PathLike | Image.Image | np.ndarray | Tensor

MAXIMUM_REGIONS = 64


@dataclass(frozen=True, eq=False)
class RegionMasks:
    """One photo's mask: which region each pixel belongs to. Pixels may belong to none."""

    names: tuple[str, ...]
    masks: Tensor  # (R, H, W) float32, [0, 1]; 0 or 1 unless soft masks came in


MaskSource = None | OneMask | Mapping[str, OneMask] | RegionMasks


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
    return torch.stack([regions == number for number in range(count)]).float()
