"""A bilateral grid of affine colour maps, which describes a recoloured content with few unknowns."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastphoto.colour.spaces import LUMA


class BilateralGrid(nn.Module):
    """A recolouring of the content by affine maps on a grid over position and luma (Chen, Paris and Durand 2007).

    Slicing interpolates the map of each pixel trilinearly between the cells around its position and luma. The map is
    then applied to the pixel's colour (Gharbi et al. 2017). `forward` turns a grid (12, D, h, w) into an image
    (3, H, W), differentiably; `shape` is the shape of the grid.

    Args:
        content: content photo, (3, H, W), in [0, 1].
        cell: side of a cell in pixels.
        levels: number of luma levels, D.

    Example:
        >>> content = torch.rand(3, 32, 48)
        >>> bilateral_grid = BilateralGrid(content)
        >>> bilateral_grid.shape
        (12, 8, 3, 4)
        >>> grid = bilateral_grid.fit(0.5 * content)
        >>> torch.allclose(bilateral_grid(grid), 0.5 * content, atol=0.05)
        True
    """

    coordinates: Tensor  # (1, 1, H, W, 3): x, y and luma of each pixel, -1 to 1 from the first to the last cell
    colours: Tensor  # (4, H, W): the content and a plane of ones

    def __init__(self, content: Tensor, cell: int = 16, levels: int = 8) -> None:  # both by eye
        super().__init__()
        _, height, width = content.shape
        self.shape = (12, levels, -(-height // cell) + 1, -(-width // cell) + 1)
        luma = (content * content.new_tensor(LUMA)[:, None, None]).sum(0).clamp(0, 1)
        y, x = (torch.linspace(-1, 1, n, dtype=content.dtype, device=content.device) for n in (height, width))
        y, x = y[:, None].expand(height, width), x.expand(height, width)
        self.register_buffer("coordinates", torch.stack([x, y, luma * 2 - 1], -1)[None, None])
        self.register_buffer("colours", torch.cat([content, torch.ones_like(content[:1])]))

    def maps(self, grid: Tensor) -> Tensor:
        """Return the map of each pixel, (H, W, 3, 4), as `fastphoto.ops.local_affine_apply` takes them."""
        return self._slice(grid).permute(1, 2, 0).unflatten(-1, (3, 4))

    def forward(self, grid: Tensor) -> Tensor:
        maps = self._slice(grid).unflatten(0, (3, 4))
        image: Tensor = (maps * self.colours).sum(1)
        return image

    def fit(self, image: Tensor, ridge: float = 1e-3, borrow: float = 0.0) -> Tensor:  # by eye
        """Fit the grid that recolours the content like an image.

        Each cell is fitted independently by least squares over the pixels that interpolate from it. With their colours
        c, their new colours v and their weights in the interpolation, the cell's map M minimises
        (sum over pixels of weight |M c - v|^2) + ridge |M - Id|^2.

        Args:
            image: image to reproduce, v, (3, H, W).
            ridge: weight of the pull towards the identity, above 0.
            borrow: weight at which a cell also fits the mean pixel of the cells around it, and a tenth of that at
                which it fits the mean pixel of the photo, so that cells with few or no pixels of their own continue
                their neighbours; 0 or more.

        Returns:
            The grid, (12, D, h, w).
        """
        products = (self.colours[:, None] * self.colours).flatten(0, 1)  # (16, H, W)
        values = (image[:, None] * self.colours).flatten(0, 1)  # (12, H, W)
        identity = torch.eye(3, 4, dtype=image.dtype, device=image.device)
        ridges = ridge * torch.eye(4, dtype=image.dtype, device=image.device)
        sums = self._splat(torch.cat([products, values]))  # (D, h, w, 28)
        if borrow > 0:
            sums = sums + borrow * self._neighbours(sums) + 0.1 * borrow * _mean_pixel(sums.sum((0, 1, 2)))
        normal = sums[..., :16].unflatten(-1, (4, 4)) + ridges
        right = sums[..., 16:].unflatten(-1, (3, 4)) + ridge * identity
        maps: Tensor = torch.linalg.solve(normal, right.mT).mT
        return maps.flatten(-2).permute(3, 0, 1, 2).contiguous()

    def _neighbours(self, sums: Tensor) -> Tensor:
        """Return the mean pixel (D, h, w, 28) of the 5 x 5 x 5 cells around each cell."""
        planes = sums.permute(3, 0, 1, 2)[None]
        around = F.avg_pool3d(planes, 5, stride=1, padding=2, divisor_override=1)[0].permute(1, 2, 3, 0)
        return _mean_pixel(around)

    def _slice(self, grid: Tensor) -> Tensor:
        """Interpolate a grid (K, D, h, w) at every pixel, to planes (K, H, W)."""
        return F.grid_sample(grid[None], self.coordinates, align_corners=True, padding_mode="border")[0, :, 0]

    def _splat(self, planes: Tensor) -> Tensor:
        """Sum planes (K, H, W) into the cells, (D, h, w, K): the transpose of slicing."""
        with torch.enable_grad():
            grid = planes.new_zeros(len(planes), *self.shape[1:], requires_grad=True)
            (gathered,) = torch.autograd.grad(self._slice(grid), grid, planes)
        return gathered.permute(1, 2, 3, 0)


def _mean_pixel(sums: Tensor) -> Tensor:
    """Return sums (..., 28) divided by the number of pixels in them, but sums of less than one pixel as they are."""
    return sums / sums[..., 15:16].clamp_min(1)  # entry 15 is the product of one and one
