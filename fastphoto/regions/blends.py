"""Blends on the edges of a painted picture, told from values that fill areas, and joined to the nearest area."""

from __future__ import annotations

import numpy as np

from fastphoto.regions.palette import extreme_3x3, minimum_area

_OFF_SHARE = 0.25  # of the pixels; a picture with more that fill no area is no painted one; by eye
_REACH = 5  # pixels: a blend lies no further from an area; the reach of Lanczos resampling to 1.5 times the size
_BETWEEN_SHARE = 0.2  # of the pixels that fill no area; smooth edges have 0.35 to 1, thin lines of one colour 0.05


def areas_of(values: np.ndarray) -> np.ndarray:
    """Return the values, sorted, of a picture (H, W) of integers that fill areas; all values if none does."""
    flat = extreme_3x3(values, np.minimum) == extreme_3x3(values, np.maximum)
    starts = flat.copy()  # one pixel of each run in a row, so that few need sorting
    starts[:, 1:] &= ~flat[:, :-1]
    candidates = np.unique(values[starts])
    if len(candidates):
        counts = np.bincount(np.searchsorted(candidates, values[flat]))
        candidates = candidates[counts >= minimum_area(values.size)]
    return candidates if len(candidates) else np.unique(values)


def without_blends(values: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Return the values of a picture with each blend on an edge replaced by the value of the nearest area.

    If a picture has blends, only values that fill areas count: others may be blends that happen to be a class. In a
    picture without blends thin lines count too.

    Args:
        values: integers, (H, W): class numbers, or colours as one number each.
        channels: what was blended, (H, W, C): the colours of these values.

    Returns:
        The values, (H, W); the argument itself if the picture has no blends.
    """
    areas = areas_of(values)
    off = ~np.isin(values, areas)
    if not off.any() or off.mean() > _OFF_SHARE:
        return values
    near = ~off
    for _ in range(_REACH):
        near = extreme_3x3(near, np.maximum)
    if (~near).sum() >= minimum_area(values.size) or _between(channels)[off].mean() < _BETWEEN_SHARE:
        return values
    return taken_from_nearest(values, off)


def taken_from_nearest(values: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Return values (H, W, ...) in which each pixel of a hole has the value of the nearest other pixel."""
    if not holes.any():
        return values
    from scipy.ndimage import distance_transform_edt  # here, because it loads slowly and few calls need it

    rows, columns = distance_transform_edt(holes, return_distances=False, return_indices=True)
    filled: np.ndarray = values[rows, columns]
    return filled


def _between(channels: np.ndarray) -> np.ndarray:
    """Return where pixels (H, W, C) have lower and higher neighbours in all channels that change, (H, W) bool."""
    between, changes = np.ones(channels.shape[:2], bool), np.zeros(channels.shape[:2], bool)
    for channel in np.moveaxis(channels, -1, 0):
        low, high = extreme_3x3(channel, np.minimum), extreme_3x3(channel, np.maximum)
        between &= (low == high) | ((low < channel) & (channel < high))
        changes |= low < high
    return between & changes
