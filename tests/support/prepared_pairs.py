"""Pairs of rendered photos with matched regions, as the optimisation takes them, and its objective for them."""

from __future__ import annotations

from typing import Any

import torch
from rendered_photos import Rendered
from torch import Tensor

from fastphoto.encoders.encoder import Encoder
from fastphoto.optimisation.levels import Level
from fastphoto.optimisation.objective import Objective
from fastphoto.optimisation.presets import preset_settings
from fastphoto.optimisation.recolouring import Recolouring
from fastphoto.optimisation.settings import Settings, Stage
from fastphoto.optimisation.targets import level_objective
from fastphoto.regions.pair import PhotoPair


def rendered_pair(content: Rendered, style: Rendered) -> PhotoPair:
    return PhotoPair(content.pixels, style.pixels, ("sky", "land"), content.masks, style.masks)


def whole_pair(content: Tensor, style: Tensor) -> PhotoPair:
    """Photos (3, H, W) that are one region each."""
    return PhotoPair(content, style, ("all",), torch.ones_like(content[:1]), torch.ones_like(style[:1]))


def full_size_objective(
    pair: PhotoPair,
    encoder: Encoder,
    settings: Settings | None = None,
    stage: Stage = "photorealism",
    start: Tensor | None = None,
    recolouring: Recolouring | None = None,
    **changes: Any,
) -> Objective:
    """The objective at the size of the pair; by default of the preset `painterly`, starting from the content."""
    settings = preset_settings("painterly", **changes) if settings is None else settings
    level = Level(stage, 1, pair.content, pair.content if start is None else start, pair.style)
    return level_objective(settings, encoder, pair, level, recolouring)
