"""Grids of colour maps: fitted at keyframes, carried along the motion, blended in time, applied to whole frames."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.colour.bilateral_grid import BilateralGrid
from fastphoto.ops import local_affine_apply
from fastphoto.photos.resize import shrunk_size
from fastphoto.video.clip import Frame
from fastphoto.video.libraries import load_opencv
from fastphoto.video.motion import Track, feathered

GUIDE_SIZE = 640
"""Long side in pixels at which a grid becomes maps, which are then enlarged to the frame."""

_CELL = 1 / 30  # of the long side; by eye
_LEVELS = 8  # of luma
_BORROW = 2.0  # pixels of its neighbours that a cell fits besides its own; by eye
_RIDGE = 1e-5  # so that colours without pixels continue those that have some, and do not stay as they are
_LEAST_TRUST = 0.05  # keeps weights continuous where neither keyframe can be trusted


def fit_grid(content: Tensor, result: Tensor) -> Tensor:
    """Fit a grid of affine colour maps that take a keyframe to its result.

    Args:
        content: keyframe, (3, h, w), in [0, 1].
        result: its result, (3, h, w).

    Returns:
        The grid, (12, D, y, x), of one shape for all keyframes of a size.
    """
    return _model(content).fit(result, ridge=_RIDGE, borrow=_BORROW)


def sliced(grid: Tensor, content: Tensor) -> Tensor:
    """Return what a grid makes of a content (3, h, w) of any size, not clamped."""
    recoloured: Tensor = _model(content)(grid)
    return recoloured


def recoloured(grid: Tensor, frame: Frame, size: tuple[int, int]) -> Tensor:
    """Return what a grid makes of a whole frame of a size (height, width), (H, W, 3) in [0, 1]."""
    guide = frame.shrunk(shrunk_size(size, GUIDE_SIZE))
    return local_affine_apply(_model(guide).maps(grid).contiguous(), frame.pixels()).clamp_(0, 1)


def blended(first: Tensor, second: Tensor, to_first: Track | None, to_second: Track | None, time: float) -> Tensor:
    """Return the grid of a frame between two keyframes: their grids, carried along the motion and blended in time.

    Each cell is the mean of the two keyframes' maps at its place there. The weights are those of a linear blend, times
    how far each track is trusted.

    Args:
        first: grid of the keyframe before, (12, D, y, x).
        second: grid of the keyframe after.
        to_first: track from the frame to the keyframe before; None: it is that frame.
        to_second: track to the keyframe after.
        time: 0 at the keyframe before, 1 at the one after.
    """
    earlier, trust_before = carried(first, to_first)
    later, trust_after = carried(second, to_second)
    before, after = (1 - time) * trust_before, time * trust_after
    return (before * earlier + after * later) / (before + after)


def carried(grid: Tensor, track: Track | None) -> tuple[Tensor, Tensor]:
    """Return a keyframe's grid moved to another frame, and how far each cell is trusted, (y, x) in [0, 1]."""
    levels, rows, columns = grid.shape[1:]
    if track is None:
        return grid, torch.ones((rows, columns), dtype=grid.dtype)
    shift, trust = _of_cells(track, (rows, columns))
    height, width = track.trust.shape
    y, x, luma = (torch.linspace(-1, 1, n, dtype=grid.dtype) for n in (rows, columns, levels))
    places = torch.stack(
        [
            (x + shift[..., 0] * 2 / (width - 1)).expand(levels, rows, columns),
            (y[:, None] + shift[..., 1] * 2 / (height - 1)).expand(levels, rows, columns),
            luma[:, None, None].expand(levels, rows, columns),
        ],
        -1,
    )
    moved = F.grid_sample(grid[None], places[None], align_corners=True, padding_mode="border")[0]
    return moved, trust.clamp_min(_LEAST_TRUST)


def _model(content: Tensor) -> BilateralGrid:
    return BilateralGrid(content, max(4, round(_CELL * max(content.shape[1:]))), _LEVELS)


def _of_cells(track: Track, cells: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the mean shift (y, x, 2) of the trusted pixels around each cell, and its trust, feathered, (y, x)."""
    cv2 = load_opencv()
    height, width = track.trust.shape
    window = 2 * max(1, round(_CELL * max(height, width)) // 2) + 1
    weight = np.maximum(track.trust, 1e-3)
    planes = np.concatenate([track.shift * weight[..., None], weight[..., None]], -1)
    means = cv2.blur(planes, (window, window), borderType=cv2.BORDER_REPLICATE)
    means = np.concatenate([means, feathered(track.trust)[..., None]], -1)
    rows = np.linspace(0, height - 1, cells[0]).round().astype(int)
    columns = np.linspace(0, width - 1, cells[1]).round().astype(int)
    at_cells = torch.from_numpy(means[rows[:, None], columns])
    return at_cells[..., :2] / at_cells[..., 2:3], at_cells[..., 3]
