"""The method: from two photos with matched regions to the result, level by level."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fastphoto.encoders.encoder import Encoder
from fastphoto.optimisation.descent import minimise
from fastphoto.optimisation.levels import make_levels
from fastphoto.optimisation.progress import Callback, Reporter
from fastphoto.optimisation.settings import Settings
from fastphoto.optimisation.solvers import make_rule
from fastphoto.optimisation.start import start_image
from fastphoto.optimisation.targets import level_objective
from fastphoto.optimisation.upsampling import upsample
from fastphoto.regions.pair import PhotoPair


def optimise(
    pair: PhotoPair,
    full: Tensor,  # (3, H, W), the content at its own size
    settings: Settings,
    encoder: Encoder,
    device: torch.device,
    *,
    seed: int = 0,
    callback: Callback | None = None,
) -> Tensor:
    """Return the result (3, H, W) of a transfer, on the device and not clamped.

    With the preset "paper" this is Deep Photo Style Transfer (Luan et al. 2017): from noise, first the losses of Gatys
    et al. (2016), then the same with the photorealism loss, then smoothing. What other presets do differently is said
    at the line that does it, here and in `level_objective`.

    Raises:
        FastPhotoError: losses stay non-finite.
    """
    pair, full = _on(device, pair), full.to(device)
    # Differs from Luan et al.: "fast" begins with the content recoloured region by region, and skips the first stage.
    start = start_image(pair, settings, seed)
    levels = make_levels(pair, start, settings)
    reporter = Reporter(callback, sum(settings.steps) * len(settings.stages))
    image = levels[0].start
    for index, level in enumerate(levels):
        if index > 0 and level.stage != levels[index - 1].stage:
            # As published, where a stage begins with the image file that the stage before it wrote.
            image = (image.clamp(0, 1) * 255).round() / 255
        if level.steps > 0:
            objective = level_objective(settings, encoder, pair, level)
            x = objective.unknowns(image)
            rule = make_rule(settings, level.steps, objective.unit)
            report = reporter.of_level(level.stage, level.size, objective.image)
            image = objective.image(minimise(objective.value_and_gradient, x, level.steps, rule, report))
        reporter.done += level.steps
        last = reporter.stopped or level is levels[-1]
        # Differs from Luan et al., who smooth the image itself and leave it at the size it was optimised at.
        image = upsample(image, level.content, full if last else levels[index + 1].content, settings, smooth=last)
        if last:
            break
    return image


def _on(device: torch.device, pair: PhotoPair) -> PhotoPair:
    return replace(
        pair,
        content=pair.content.to(device),
        style=pair.style.to(device),
        content_masks=pair.content_masks.to(device),
        style_masks=pair.style_masks.to(device),
    )
