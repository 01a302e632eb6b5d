"""The colour guided filter."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps


def guided_filter(
    masks: Tensor,  # (R, H, W), in [0, 1]
    content: Tensor,  # (3, H, W), in [0, 1]
    radius: int,
    epsilon: float = 1e-4,
) -> Tensor:
    """Move the borders of masks to nearby edges of the content by the colour guided filter (He et al. 2010).

    Args:
        masks: masks, (R, H, W), in [0, 1]; each is filtered independently.
        content: guide, (3, H, W), in [0, 1].
        radius: radius of the windows in pixels, and the largest distance that borders move.
        epsilon: regularisation, added to the colour variances within a window.

    Returns:
        Filtered masks, (R, H, W), in [0, 1]. Masks that add up to 1 still do.

    Example:
        >>> content, masks = torch.zeros(3, 8, 8), torch.zeros(1, 8, 8)
        >>> content[:, :, 4:], masks[:, :, :3] = 1, 1
        >>> (guided_filter(masks, content, radius=3)[0, 0] > 0.5).int()  # the border moves from column 3 to 4
        tensor([1, 1, 1, 1, 0, 0, 0, 0], dtype=torch.int32)
    """
    pixels = (2 * radius + 1) ** 2  # of a window; `fit_affine_maps` adds its epsilon to sums, not to means
    padded = F.pad(masks, (0, 0, 0, 0, 0, -len(masks) % 3))
    filtered = [
        apply_affine_maps(
            fit_affine_maps(content, three, radius=radius, epsilon=epsilon * pixels, smooth_radius=radius), content
        )
        for three in padded.split(3)  # affine maps have three outputs
    ]
    return torch.cat(filtered)[: len(masks)].clamp_(0, 1)
