"""The matting Laplacian's energy by its definition, window by window."""

from __future__ import annotations

import torch
from torch import Tensor


def window_energy(content: Tensor, image: Tensor, radius: int, epsilon: float, cropped: bool = True) -> float:
    """sum over windows of what is left of the image's colours after their ridge regression on the content's.

    The matting Laplacian's energy (Levin, Lischinski and Weiss 2008); without cropped windows, of whole ones only.
    """
    _, height, width = content.shape
    rim = 0 if cropped else radius
    total = 0.0
    for y in range(rim, height - rim):
        for x in range(rim, width - rim):
            rows, columns = slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)
            colours, values = content[:, rows, columns].flatten(1).T, image[:, rows, columns].flatten(1).T
            colours, values = colours - colours.mean(0), values - values.mean(0)
            slope = torch.linalg.solve(colours.T @ colours + epsilon * torch.eye(3).double(), colours.T @ values)
            total += float((values - colours @ slope).square().sum() + epsilon * slope.square().sum())
    return total
