"""The open questions of the survey as variants of our own method: one thing changed, all else equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.methods.registry import METHODS, Method
from fastphoto.regions.clusters import cluster_regions
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.resizing import resize_masks


@dataclass(frozen=True)
class Question:
    """An open question, and our method's variants that answer it by name; the first one is the package's default."""

    title: str
    variants: Mapping[str, Method]


def shifted_regions(pair: PhotoPair, part: float) -> PhotoPair:
    """The content's regions moved to the right by a part of its long side, as if drawn carelessly."""
    pixels = round(part * max(pair.content.shape))
    moved = F.pad(pair.content_masks[None], (pixels, 0, 0, 0), mode="replicate")[0, :, :, : pair.content.shape[2]]
    return replace(pair, content_masks=_none_lost(moved, pair.content_masks))


def coarse_regions(pair: PhotoPair, cells: int) -> PhotoPair:
    """Both photos' regions drawn in squares, so many along the long side, each of what covers most of it."""

    def squares(masks: Tensor) -> Tensor:
        height, width = masks.shape[1:]
        side = max(height, width) / cells
        small = resize_masks(masks, (max(1, round(height / side)), max(1, round(width / side))))
        covered = torch.cat([small, 1 - small.sum(0, keepdim=True)])  # by each region, and by none
        most = F.one_hot(covered.argmax(0), len(covered)).permute(2, 0, 1)[:-1].to(masks)
        return _none_lost(F.interpolate(most[None], (height, width), mode="nearest")[0], masks)

    return replace(pair, content_masks=squares(pair.content_masks), style_masks=squares(pair.style_masks))


def _none_lost(redrawn: Tensor, masks: Tensor) -> Tensor:
    """Redrawn masks (R, h, w), but those that have no pixel left as they were."""
    return torch.where(redrawn.sum((1, 2), keepdim=True) > 0, redrawn, masks)


def _changed(title: str, **settings: Any) -> Method:
    return replace(METHODS["fastphoto"], title=title, settings=settings)


def _redrawn(title: str, redraw: Callable[[PhotoPair], PhotoPair]) -> Method:
    return replace(METHODS["fastphoto"], title=title, redraw=redraw)


_FREE: Mapping[str, Any] = {"photorealism_weight": 0.0, "projection": False}

QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "style-statistic": Question(
            "Is the Gram matrix the best style statistic?",
            {
                "gram": _changed("Gram matrix"),
                "moments": _changed("mean and deviation", style_statistic="moments"),
                "wasserstein": _changed("sliced Wasserstein distance", style_statistic="wasserstein"),
                "histogram": _changed("histogram of each channel", style_statistic="histogram"),
                "start": _changed("no style loss: the start image", steps=(0, 0, 0)),
            },
        ),
        "photorealism": Question(
            "Can the matting Laplacian be replaced?",
            {
                "laplacian": _changed("matting Laplacian, 3x3 windows"),
                "radius-2": _changed("matting Laplacian, 5x5 windows", photorealism_radius=2),
                "radius-4": _changed("matting Laplacian, 9x9 windows", photorealism_radius=4),
                "grid": _changed("bilateral grid of affine maps", unknowns="bilateral_grid", result="image", **_FREE),
                "smoothing": _changed("affine smoothing at the end alone", **_FREE),
                "none": _changed("nothing", result="image", **_FREE),
            },
        ),
        "regions": Question(
            "How much do masks matter?",
            {
                "given": _changed("masks drawn by hand"),
                "shifted": _redrawn("moved by 3 % of the long side", lambda pair: shifted_regions(pair, 0.03)),
                "far-shifted": _redrawn("moved by 10 %", lambda pair: shifted_regions(pair, 0.1)),
                "coarse": _redrawn("drawn in squares, 16 to the long side", lambda pair: coarse_regions(pair, 16)),
                "auto": _redrawn("found automatically", cluster_regions),
                "none": replace(METHODS["fastphoto"], title="no masks", regions=False),
            },
        ),
    }
)
"""Question by name."""
