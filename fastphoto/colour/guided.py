"""The colour guided filter: masks and maps take on the edges of a photo."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.colour.affine_maps import apply_affine_maps, fit_affine_maps


def guided_filter(masks: Tensor, content: Tensor, radius: int, epsilon: float = 1e-4) -> Tensor:
    """Masks (R, H, W) with their borders moved to the edges of the content (3, H, W) within `radius` pixels.

    The colour guided filter (He et al. 2010), epsilon added to the colour variances. Returns (R, H, W) in [0, 1].
    """
    size = (2 * radius + 1) ** 2
    padded = F.pad(masks, (0, 0, 0, 0, 0, -len(masks) % 3))
    followed = [
        apply_affine_maps(
            fit_affine_maps(content, three, radius=radius, epsilon=epsilon * size, smooth_radius=radius), content
        )
        for three in padded.split(3)
    ]
    return torch.cat(followed)[: len(masks)].clamp_(0, 1)
