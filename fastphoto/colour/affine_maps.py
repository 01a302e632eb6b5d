"""Local affine colour maps from content to result, which keep results photorealistic at any resolution."""

from __future__ import annotations

from torch import Tensor

from fastphoto.ops import (
    local_affine_apply,
    local_affine_fit,
    local_affine_smooth,
    local_affine_smooth_box,
)


def fit_affine_maps(
    content: Tensor,  # (3, H, W), in [0, 1]
    result: Tensor,  # (3, H, W), in [0, 1]
    *,
    radius: int = 1,
    epsilon: float = 1e-3,
    smooth_radius: int = 1,
    smooth_colour: float | None = None,
) -> Tensor:
    """Fit an affine colour map to the window around each pixel, and average the maps of neighbouring pixels.

    With equal radii and no `smooth_colour`, applying the maps is the colour guided filter (He et al. 2010). With
    `smooth_radius=15, smooth_colour=0.01` the average is the edge-aware smoothing of Luan et al. (2017).

    Args:
        content: content photo, (3, H, W), in [0, 1]; a constant, which must not require a gradient.
        result: image to fit, (3, H, W), same dtype and device.
        radius: radius of the windows in pixels, 0 or more; windows are cropped at the border.
        epsilon: regularisation of the fit, added to the sums over a window, see `fastphoto.ops.local_affine_fit`.
        smooth_radius: radius of the average in pixels; 0: no average.
        smooth_colour: standard deviation of a Gaussian weight on the difference in content colour. None: all
            neighbours have equal weight.

    Returns:
        Maps, (H, W, 3, 4): matrix and, in the last column, offset. Differentiable in the result.

    Raises:
        InputError: the content requires a gradient.

    Example:
        >>> import torch
        >>> content = torch.rand(3, 16, 16)
        >>> maps = fit_affine_maps(content, 0.5 * content + 0.1, epsilon=1e-6)
        >>> torch.allclose(apply_affine_maps(maps, content), 0.5 * content + 0.1, atol=1e-3)
        True
    """
    guide = content.permute(1, 2, 0)
    maps = local_affine_fit(guide, result.permute(1, 2, 0), radius, epsilon)
    if smooth_radius == 0:
        return maps
    if smooth_colour is None:
        return local_affine_smooth_box(maps, smooth_radius)
    return local_affine_smooth(maps, guide, smooth_radius, smooth_colour)


def apply_affine_maps(
    maps: Tensor,  # (h, w, 3, 4)
    content: Tensor,  # (3, H, W)
) -> Tensor:
    """Apply affine maps to a content photo, which may have another size.

    Args:
        maps: maps from `fit_affine_maps`, (h, w, 3, 4), sampled bilinearly.
        content: content photo, (3, H, W), same dtype and device.

    Returns:
        The result, (3, H, W), not clamped.

    Example:
        >>> import torch
        >>> darker = torch.cat([0.5 * torch.eye(3), torch.zeros(3, 1)], 1)
        >>> apply_affine_maps(darker[None, None], torch.ones(3, 2, 2))[0]
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]])
    """
    return local_affine_apply(maps, content.permute(1, 2, 0)).permute(2, 0, 1)
