"""The open questions of the survey as variants of this package's method: one thing changed, all else equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.methods.registry import METHODS, Method
from fastphoto.regions.masks import masks_of_map
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.resizing import resize_masks
from fastphoto.regions.scenes import scene_regions


@dataclass(frozen=True)
class Question:
    """An open question, and the variants of this package's method that answer it; the first is the default."""

    title: str
    variants: Mapping[str, Method]  # by name


def shift_regions(pair: PhotoPair, share: float) -> PhotoPair:
    """Shift the content's regions to the right by a share of its long side, as if drawn carelessly.

    Regions at the left edge grow into the gap; a region that would leave the photo completely stays as it was.
    """
    pixels = round(share * max(pair.content.shape))
    shifted = F.pad(pair.content_masks[None], (pixels, 0, 0, 0), mode="replicate")[0, :, :, : pair.content.shape[2]]
    return replace(pair, content_masks=_restore_lost(shifted, pair.content_masks))


def coarsen_regions(pair: PhotoPair, squares: int) -> PhotoPair:
    """Redraw both photos' regions in squares, `squares` of them along the long side.

    A square belongs to the region that covers most of it; if pixels outside all regions do, it belongs to none. A
    region that gets no square stays as it was.
    """
    return replace(
        pair,
        content_masks=_coarsened(pair.content_masks, squares),
        style_masks=_coarsened(pair.style_masks, squares),
    )


def _coarsened(masks: Tensor, squares: int) -> Tensor:
    height, width = masks.shape[1:]
    side = max(height, width) / squares
    shares = resize_masks(masks, (max(1, round(height / side)), max(1, round(width / side))))
    with_rest = torch.cat([shares, 1 - shares.sum(0, keepdim=True)])  # the last: what no region covers
    redrawn = masks_of_map(with_rest.argmax(0), len(masks))
    return _restore_lost(F.interpolate(redrawn[None], (height, width), mode="nearest")[0], masks)


def _restore_lost(redrawn: Tensor, masks: Tensor) -> Tensor:
    """Return redrawn masks (R, h, w), with the original of each mask that has no pixel left."""
    return torch.where(redrawn.sum((1, 2), keepdim=True) > 0, redrawn, masks)


_PAINTERLY = replace(METHODS["fastphoto"], preset="painterly")


def _with_settings(title: str, **settings: Any) -> Method:
    return replace(_PAINTERLY, title=title, settings=settings)


def _with_regions(title: str, redraw: Callable[[PhotoPair], PhotoPair]) -> Method:
    return replace(_PAINTERLY, title=title, redraw=redraw)


_NO_PHOTOREALISM: Mapping[str, Any] = {"photorealism_weight": 0.0, "projection": False}

QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "style-statistic": Question(
            "Is the Gram matrix the best style statistic?",
            {
                "gram": _with_settings("Gram matrix"),
                "moments": _with_settings("mean and deviation", style_statistic="moments"),
                "wasserstein": _with_settings("sliced Wasserstein distance", style_statistic="wasserstein"),
                "histogram": _with_settings("histogram of each channel", style_statistic="histogram"),
                "start": _with_settings("no style loss: the start image", steps=(0, 0, 0)),
            },
        ),
        "photorealism": Question(
            "Can the matting Laplacian be replaced?",
            {
                "laplacian": _with_settings("matting Laplacian, 3x3 windows"),
                "radius-2": _with_settings("matting Laplacian, 5x5 windows", photorealism_radius=2),
                "radius-4": _with_settings("matting Laplacian, 9x9 windows", photorealism_radius=4),
                "grid": _with_settings(
                    "bilateral grid of affine maps", unknowns="bilateral_grid", result="image", **_NO_PHOTOREALISM
                ),
                "smoothing": _with_settings("affine smoothing at the end alone", **_NO_PHOTOREALISM),
                "none": _with_settings("nothing", result="image", **_NO_PHOTOREALISM),
            },
        ),
        "regions": Question(
            "How much do masks matter?",
            {
                "given": _with_settings("masks drawn by hand"),
                "shifted": _with_regions("moved by 3 % of the long side", lambda pair: shift_regions(pair, 0.03)),
                "far-shifted": _with_regions("moved by 10 %", lambda pair: shift_regions(pair, 0.1)),
                "coarse": _with_regions(
                    "drawn in squares, 16 to the long side", lambda pair: coarsen_regions(pair, squares=16)
                ),
                "auto": _with_regions("found automatically", scene_regions),
                "none": replace(_PAINTERLY, title="no masks", by_region=False),
            },
        ),
    }
)
"""The open questions by name."""
