"""A bilateral grid of affine colour maps: few unknowns that stand for an image which is a recoloured content."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastphoto.colour.spaces import LUMA


class BilateralGrid(nn.Module):
    """Affine colour maps in the cells of a grid over place and lightness (Chen, Paris and Durand 2007).

    A pixel's map is interpolated linearly between the cells around its place and its content's lightness, and applied
    to its content's colour (Gharbi et al. 2017). forward: grid (12, D, h, w) -> image (3, H, W).

    content: (3, H, W), [0, 1]. cell: side of a cell in pixels. levels: of lightness, D.
    """

    def __init__(self, content: Tensor, cell: int = 16, levels: int = 8) -> None:
        super().__init__()
        _, height, width = content.shape
        self.shape = (12, levels, -(-height // cell) + 1, -(-width // cell) + 1)
        luma = (content * content.new_tensor(LUMA)[:, None, None]).sum(0).clamp(0, 1)
        # In units where -1 and 1 are the first and the last cell of every axis.
        y, x = (torch.linspace(-1, 1, n, dtype=content.dtype, device=content.device) for n in (height, width))
        y, x = y[:, None].expand(height, width), x.expand(height, width)
        self.register_buffer("places", torch.stack([x, y, luma * 2 - 1], -1)[None, None])  # (1, 1, H, W, 3)
        self.register_buffer("colours", torch.cat([content, torch.ones_like(content[:1])]))  # (4, H, W)

    def forward(self, grid: Tensor) -> Tensor:
        maps = self._sliced(grid).unflatten(0, (3, 4))
        return (maps * self.colours).sum(1)

    def fit(self, image: Tensor, ridge: float = 1e-3) -> Tensor:
        """The grid (12, D, h, w) of the affine maps that turn the content into an image (3, H, W).

        Least squares in every cell by itself, over the pixels that it has a part in: maps M minimise
        sum over pixels of w |M c - v|^2 + ridge |M - 1|^2.
        """
        products = (self.colours[:, None] * self.colours).flatten(0, 1)  # (16, H, W)
        values = (image[:, None] * self.colours).flatten(0, 1)  # (12, H, W)
        identity = torch.eye(3, 4).to(image)
        normal = self._splatted(products).unflatten(-1, (4, 4)) + ridge * torch.eye(4).to(image)
        right = self._splatted(values).unflatten(-1, (3, 4)) + ridge * identity
        return torch.linalg.solve(normal, right.mT).mT.flatten(-2).permute(3, 0, 1, 2).contiguous()

    def _sliced(self, grid: Tensor) -> Tensor:
        """(K, D, h, w) at every pixel, (K, H, W)."""
        return F.grid_sample(grid[None], self.places, align_corners=True, padding_mode="border")[0, :, 0]

    def _splatted(self, planes: Tensor) -> Tensor:
        """(K, H, W) gathered in the cells, (D, h, w, K): the transpose of slicing."""
        with torch.enable_grad():
            grid = planes.new_zeros(len(planes), *self.shape[1:], requires_grad=True)
            (gathered,) = torch.autograd.grad(self._sliced(grid), grid, planes)
        return gathered.permute(1, 2, 3, 0)
