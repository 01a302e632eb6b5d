"""The method: from two photos with matched regions to the result, level by level."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fastphoto.encoders.encoder import Encoder
from fastphoto.optimisation.descent import minimise
from fastphoto.optimisation.levels import make_levels
from fastphoto.optimisation.progress import Reporter
from fastphoto.optimisation.settings import Settings
from fastphoto.optimisation.solvers import make_rule
from fastphoto.optimisation.start import start_image, start_recolouring
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
    seed: int,
    reporter: Reporter,
) -> Tensor:
    """Return the result (3, H, W) of a transfer, on the device and not clamped.

    The preset "paper" is Deep Photo Style Transfer (Luan et al. 2017): start from noise, minimise the content loss and
    the style losses of the regions, then minimise them together with the photorealism loss, then smooth. A comment
    "Differs from Luan et al." marks each deviation at its line: here, in `level_objective`, and in the losses.

    Raises:
        FastPhotoError: losses stay non-finite.
    """
    pair, full = _to_device(pair, device), full.to(device)
    # Differs from Luan et al.: "fast" starts from the content recoloured region by region, not from noise.
    recolouring = start_recolouring(pair, settings) if settings.unknowns == "recolouring" else None
    start = start_image(pair, settings, seed) if recolouring is None else recolouring(recolouring.zeros())
    # Differs from Luan et al.: "painterly" goes through three sizes, coarse to fine. "fast" and it skip the stage
    # "style".
    levels = make_levels(pair, start, settings)
    image, x = levels[0].start, None
    for index, level in enumerate(levels):
        if index > 0 and level.stage != levels[index - 1].stage:
            # The published program passes an 8-bit image file from one stage to the next.
            image = (image.clamp(0, 1) * 255).round() / 255
        if level.steps > 0 and not reporter.stopped:
            objective = level_objective(settings, encoder, pair, level, recolouring)
            x = objective.unknowns(image) if recolouring is None or x is None else x
            # Differs from Luan et al.: "painterly" chooses the length of the first L-BFGS step and bounds all others.
            rule = make_rule(settings, level.steps, objective.unit)
            report = reporter.of_level(level.stage, level.size, objective.image)
            x = minimise(objective.value_and_gradient, x, level.steps, rule, report)
            image = objective.image(x)
        reporter.done += level.steps
        last = reporter.stopped or level is levels[-1]
        if last:
            break
        if recolouring is None:
            image = upsample(image, level.content, levels[index + 1].content, settings, smooth=False)
    content, start = (level.content, level.start) if recolouring is None else (pair.content, start)
    if recolouring is not None:  # its unknowns mean the same at any size
        image = start if x is None else recolouring(x / settings.pixel_scale)
    reporter.announce("result", image)
    # Differs from Luan et al., who apply the smoothed colour maps to the content at the size they optimise at.
    result = upsample(start.lerp(image, settings.strength), content, full, settings, smooth=True)
    # Not at 1, where rounding would still change the last digit.
    return result if settings.blend == 1 else full.lerp(result, settings.blend)


def _to_device(pair: PhotoPair, device: torch.device) -> PhotoPair:
    return replace(
        pair,
        content=pair.content.to(device),
        style=pair.of_style.get("pixels on device", lambda: pair.style.to(device)),
        content_masks=pair.content_masks.to(device),
        style_masks=pair.style_masks.to(device),
    )
