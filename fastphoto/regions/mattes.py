"""Mattes: soft masks whose borders follow the content, from roughly drawn masks, by closed-form matting."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps
from fastphoto.ops import matting_laplacian_stencil, stencil_product
from fastphoto.photos.resize import resize, shrunk_size
from fastphoto.regions.resizing import resize_masks

MATTING_SIDE = 350
"""Long side in pixels that mattes are computed at. A matte is locally affine in the content's colours, so its maps
carry it to the photo's size."""
_EPSILON = 1e-5  # of the matting Laplacian; by eye, as the other numbers here
_PULL = 1e-2  # of a pixel near a border towards its drawn mask, beside 1 for pixels that are certain
_INVISIBLE = 1 / 255  # a share of a pixel that no 8-bit photo shows
_STEPS = 60  # of conjugate gradients; each carries the certain pixels one pixel further into the band


def matte_masks(
    masks: Tensor,  # (R, H, W), in [0, 1]
    content: Tensor,  # (3, H, W), in [0, 1]
    radius: int = 5,
) -> Tensor:
    """Redraw the borders of masks where the content has its own edges.

    A mask m becomes the matte alpha that minimises alpha^T L alpha + (alpha - m)^T D (alpha - m) with the matting
    Laplacian L of the content (Levin et al. 2008). D is 1 at pixels farther than `radius` from a border, and almost 0
    near one, where masks drawn by hand are a few pixels too wide or too narrow.

    Args:
        masks: masks of the R regions.
        content: the photo that they belong to; a constant.
        radius: largest distance in pixels that borders move, in a photo with a long side of 350; 0: not at all.

    Returns:
        Mattes (R, H, W) in [0, 1]. They add up to what the masks add up to, at most 1.

    Example:
        >>> content, masks = torch.zeros(3, 16, 16), torch.zeros(2, 16, 16)
        >>> content[:, :, 8:], masks[0, :, :6], masks[1, :, 6:] = 1, 1, 1
        >>> (matte_masks(masks, content, radius=3)[0, 8] > 0.5).int().sum()  # the border moves from column 6 to 8
        tensor(8)
    """
    height, width = content.shape[1:]
    size = shrunk_size((height, width), MATTING_SIDE, minimum=1)
    if len(masks) < 2 or radius == 0 or min(size) < 3:
        return masks
    small, drawn = resize(content, size), resize_masks(masks, size)
    # A pixel is certain where all masks are constant around it.
    least = -_window_maxima(-drawn, radius)
    # A region too thin for that is certain where it is drawn; its neighbours would swallow it otherwise.
    least = torch.where(least.amax((1, 2), keepdim=True) > 0.99, least, drawn)
    certain = (least.amax(0) > 0.99) | (_window_maxima(drawn, radius).sum(0) < 0.01)
    pull = (certain.to(drawn) + _PULL)[..., None]
    stencil = matting_laplacian_stencil(small.permute(1, 2, 0), _EPSILON)
    # L has zero row sums, so the mattes of masks that cover the photo add up to 1: the last one is what others leave.
    covers = bool((drawn.sum(0) - 1).abs().max() < 1e-4)
    alpha = _solve(stencil, pull, (drawn[:-1] if covers else drawn).permute(1, 2, 0)).permute(2, 0, 1)
    if size != (height, width):
        padded = F.pad(alpha, (0, 0, 0, 0, 0, -len(alpha) % 3))
        maps = [fit_affine_maps(small, three, smooth_radius=1) for three in padded.split(3)]  # they have three outputs
        alpha = torch.cat([apply_affine_maps(map_, content) for map_ in maps])[: len(alpha)]
    if covers:
        alpha = torch.cat([alpha, 1 - alpha.sum(0, keepdim=True)])
    alpha = alpha.clamp(0, 1)
    alpha = torch.where(alpha < _INVISIBLE, 0, alpha)
    alpha = torch.where(alpha.sum((1, 2), keepdim=True) > 0, alpha, masks)  # no region is lost
    return alpha / alpha.sum(0, keepdim=True).clamp_min(1e-3) * masks.sum(0, keepdim=True).clamp_max(1)


def _window_maxima(planes: Tensor, radius: int) -> Tensor:
    """Return the maxima of planes (K, H, W) over (2 radius + 1)^2 pixels, along columns and then along rows."""
    side = 2 * radius + 1
    columns = F.max_pool2d(planes[None], (side, 1), 1, (radius, 0))
    return F.max_pool2d(columns, (1, side), 1, (0, radius))[0]


def _solve(stencil: Tensor, pull: Tensor, drawn: Tensor) -> Tensor:
    """Solve (L + D) alpha = D m for all masks (h, w, K) at once, by a fixed number of conjugate gradient steps.

    The steps run on the masks' device, and their number is fixed so that a GPU need not report back in between;
    `fastphoto.ops.linear_solver` is SciPy's, for the CPU.
    """

    def product(alpha: Tensor) -> Tensor:
        return stencil_product(stencil, alpha) + pull * alpha

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum((0, 1))

    drawn = drawn.permute(2, 0, 1).contiguous().permute(1, 2, 0)  # in planes, as the stencil's product is
    alpha = drawn
    residual = pull * drawn - product(alpha)
    direction, squared = residual, dot(residual, residual)
    for _ in range(_STEPS):
        changed = product(direction)
        length = squared / dot(direction, changed).clamp_min(1e-20)
        alpha = alpha + length * direction
        residual = residual - length * changed
        previous, squared = squared, dot(residual, residual)
        direction = residual + squared / previous.clamp_min(1e-20) * direction
    return alpha
