"""Borders of regions moved from a network's coarse scores to the edges of the photo."""

from __future__ import annotations

import numpy as np
import scipy  # loads its parts, such as scipy.ndimage, when they are used
import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.guided import guided_filter
from fastphoto.photos.resize import resize, shrunk_size

_MINIMUM_ISLAND = 0.001  # of a photo's pixels; a smaller piece joins the region around it; by eye
_WORKING_SIDE = 1000  # pixels, largest long side of the photo in which borders are refined; by eye
_BORDER = 0.015  # of the long side: radius of the guided filter, which moves borders by a third of it at most; by eye


def refined_map(scores: Tensor, photo: Tensor) -> Tensor:
    """Return the best region of each pixel of the photo, with borders at the photo's edges and without islands.

    Args:
        scores: logarithms of the scores of R regions, (R, h, w) of any size.
        photo: photo, (3, H, W), sRGB in [0, 1].

    Returns:
        Number of the region of each pixel, (H', W') int64, where (H', W') is the photo's size, shrunk if it is large.

    Example:
        >>> photo = torch.zeros(3, 16, 16)
        >>> photo[:, 8:] = 1
        >>> refined_map(torch.tensor([[[9.0], [0.0]], [[0.0], [9.0]]]), photo)[:, 0]
        tensor([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    """
    size = shrunk_size((photo.shape[1], photo.shape[2]), _WORKING_SIDE)
    probabilities = F.interpolate(scores.softmax(0)[None], size, mode="bilinear", antialias=True)[0]
    refined = guided_filter(probabilities, resize(photo, size), max(1, round(_BORDER * max(size))))
    return without_islands(refined.max(0).indices)  # five times as fast as argmax


def without_islands(region_map: Tensor) -> Tensor:
    """Return the region map (H, W) with small pieces given to the region of the nearest pixel of a larger one."""
    numbers, minimum_area = region_map.numpy(), _MINIMUM_ISLAND * region_map.numel()
    small = np.zeros(numbers.shape, bool)
    for number in np.unique(numbers):
        pieces, _ = scipy.ndimage.label(numbers == number)
        small |= (np.bincount(pieces.ravel()) < minimum_area)[pieces] & (pieces > 0)
    if small.all():
        return torch.full_like(region_map, int(region_map.flatten().mode().values))
    rows, columns = scipy.ndimage.distance_transform_edt(small, return_distances=False, return_indices=True)
    return torch.from_numpy(numbers[rows, columns])


def resized_map(region_map: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the region map (H', W') at another size, by nearest neighbours."""
    rows, columns = (
        (torch.arange(n, dtype=torch.float32) + 0.5).mul(old / n).long()
        for n, old in zip(size, region_map.shape, strict=True)
    )
    return region_map[rows][:, columns]
