"""The levels of a run: the stages and sizes that it goes through, with the photos at each size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from fastphoto.optimisation.settings import Settings, Stage
from fastphoto.photos.photo import MINIMUM_SIDE
from fastphoto.photos.resize import resize
from fastphoto.regions.pair import PhotoPair

MINIMUM_LEVEL_SIDE = 32
"""Least short side of a level in pixels: relu5_1 then has at least 2 x 2 activations."""

RECOLOURING_SIDE = 192
"""Long side in pixels that a recolouring is optimised at: its few unknowns need no more."""


@dataclass(frozen=True, eq=False)
class Level:
    """One stage at one size."""

    stage: Stage
    steps: int
    content: Tensor  # (3, h, w)
    start: Tensor  # (3, h, w), the start image
    style: Tensor  # (3, h', w'), shrunk by the same factor as the content

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.content.shape[1], self.content.shape[2]


def make_levels(pair: PhotoPair, start: Tensor, settings: Settings) -> list[Level]:
    """Return the levels of a run in order: all sizes from coarse to fine in each stage.

    Luan et al. (2017) optimise at one size. With several sizes, most steps run on small images and cost a fraction.

    Args:
        pair: both photos at the size of the finest level.
        start: (3, h, w), the start image at that size.
        settings: stages, scales and steps of the run.

    Example:
        >>> import torch
        >>> from fastphoto.optimisation.presets import PRESETS
        >>> photo, mask = torch.rand(3, 128, 192), torch.ones(1, 128, 192)
        >>> levels = make_levels(PhotoPair(photo, photo, ("all",), mask, mask), photo, PRESETS["painterly"])
        >>> [(level.size, level.steps) for level in levels]
        [((32, 48), 30), ((64, 96), 30), ((128, 192), 10)]
    """
    size = pair.content.shape[1], pair.content.shape[2]
    whole = min(1.0, RECOLOURING_SIDE / max(size)) if settings.unknowns == "recolouring" else 1.0
    levels = []
    for stage in settings.stages:
        for scale, steps in zip(settings.scales, settings.steps, strict=True):
            level_size = _level_size(scale * whole, size)
            style_size = _style_size(level_size[0] / size[0], pair.style)
            style = pair.style
            if pair.look is None:  # the colours of a look are no neighbours
                style = pair.of_style.get(("pixels", style_size), partial(resize, pair.style, style_size))
            content = resize(pair.content, level_size)
            levels.append(Level(stage, steps, content, resize(start, level_size), style))
    return levels


def _level_size(scale: float, size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, max(scale, MINIMUM_LEVEL_SIDE / min(size)))
    return round(size[0] * scale), round(size[1] * scale)


def _style_size(scale: float, style: Tensor) -> tuple[int, int]:
    height, width = style.shape[1:]
    shrunk = max(MINIMUM_SIDE, round(height * scale)), max(MINIMUM_SIDE, round(width * scale))
    return min(height, shrunk[0]), min(width, shrunk[1])
