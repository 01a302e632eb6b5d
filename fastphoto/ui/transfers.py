"""The work that a tab asks for, as functions that the worker's thread runs: previews, results, files."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastphoto.colour.lut import fit_lut_of_photo, write_lut
from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.errors import FastPhotoError, printable
from fastphoto.evaluation.content_measures import ContentReference
from fastphoto.optimisation.progress import Progress
from fastphoto.optimisation.upsampling import upsample
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import resize
from fastphoto.photos.write import write_photo
from fastphoto.regions.find import find_regions
from fastphoto.regions.masks import RegionMasks
from fastphoto.session import Session
from fastphoto.ui.painting import UNMARKED, Strokes, painted_map
from fastphoto.ui.recipe import Recipe
from fastphoto.ui.tab_photo import TabPhoto, encode_jpeg, encode_png
from fastphoto.ui.worker import Chain

PREVIEW_SIZE = 350
_SECONDS_BETWEEN_PICTURES = 0.4
_SECONDS_BETWEEN_REPORTS = 0.1
_HEAT_FULL = 6.0  # delta E of invented structure that is shown in full colour; by eye
_HEAT = np.array([[250, 204, 60], [226, 88, 34], [150, 20, 60]], np.float64)  # amber, orange, crimson

Publish = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Machine:
    """What the command line says about every transfer."""

    device: str = "auto"
    max_memory: int | None = None


@dataclass(frozen=True, eq=False)
class Inputs:
    """All that a transfer reads: both photos, and the masks as files, if they were drawn."""

    content: TabPhoto
    style: TabPhoto
    masks: tuple[bytes, bytes] | None = None


def found_regions(content: TabPhoto, style: TabPhoto, machine: Machine) -> tuple[RegionMasks, RegionMasks]:
    """Return the regions that a transfer at the command's default size finds, on the small copies."""
    return find_regions(content.work, style.work, device=machine.device)


def preview(content: TabPhoto, style: TabPhoto, masks: tuple[Any, Any], machine: Machine) -> bytes:
    """Return a JPEG of the recoloured content, made at PREVIEW_SIZE and as large as the small copy."""
    session = Session(
        style.work,
        masks[1],
        preset="recolour",
        size=PREVIEW_SIZE,
        device=machine.device,
        max_memory=machine.max_memory,
    )
    return encode_jpeg(session(content.work, masks[0]), 90)


def warm_up(machine: Machine) -> None:
    """Load all that a first preview and a first stroke need, on tiny photos, so that they come no later."""
    pixels = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    regions = np.zeros((32, 32), np.int16)
    regions[16:] = 1
    strokes = np.full((32, 32), UNMARKED, np.uint8)
    strokes[4] = 1
    masks = painted_map(pixels, regions, {}, Strokes(strokes), follow=True)
    photo = read_photo(pixels)
    find_regions(photo, photo, device=machine.device)
    session = Session(photo, masks, preset="recolour", size=32, device=machine.device)
    encode_jpeg(session(photo, masks))


def transferred(
    inputs: Inputs, recipe: Recipe, machine: Machine, chain: Chain, publish: Publish | None = None, **changes: Any
) -> tuple[Photo, Tensor]:
    """Return the content and the result (3, H, W), as `fastphoto transfer` makes them.

    Args:
        inputs: photos and masks.
        recipe: settings.
        machine: device and memory.
        chain: what the run belongs to; it ends with Cancelled soon after that is cancelled.
        publish: function that receives progress and pictures of the result so far, for the page.
        changes: further settings.
    """
    masks = inputs.masks or (None, None)
    watch = _Watch(inputs.content, recipe, chain, publish)
    try:
        content = read_photo(inputs.content.path, "content")
        session = Session(
            read_photo(inputs.style.path, "style"),
            masks[1],
            device=machine.device,
            max_memory=machine.max_memory,
            **{**recipe.arguments(), **changes},
        )
        return content, session(content, masks[0], callback=watch)
    except FastPhotoError as error:
        text = str(error)
        for photo in (inputs.content, inputs.style):
            text = text.replace(printable(photo.path), photo.side)
        raise type(error)(text) from None


class _Watch:
    """The callback of a run: ends it if nobody wants it, and tells the page how far it is."""

    def __init__(self, content: TabPhoto, recipe: Recipe, chain: Chain, publish: Publish | None) -> None:
        self._content, self._settings, self._chain, self._publish = content, recipe.settings(), chain, publish
        self._reported = self._pictured = time.monotonic()

    def __call__(self, progress: Progress) -> bool:
        self._chain.check()
        if self._publish is None:
            return False
        now = time.monotonic()
        if not progress.is_step or now - self._reported > _SECONDS_BETWEEN_REPORTS:
            self._reported = now
            self._publish({"type": "progress", "stage": progress.stage, "step": progress.step, "total": progress.total})
        if progress.is_step and now - self._pictured > _SECONDS_BETWEEN_PICTURES:
            self._publish(picture_event("step", self._picture(progress)) | {"scale": max(progress.scale)})
            self._pictured = time.monotonic()
        return False

    def _picture(self, progress: Progress) -> bytes:
        """Return what the result would be if the run ended now, at the size of the small copy."""
        image = progress.preview().cpu()
        full = self._content.work.pixels
        content = resize(full, (image.shape[1], image.shape[2]))
        return encode_jpeg(upsample(image, content, full, self._settings, smooth=True).clamp(0, 1), 90)


def picture_event(kind: str, data: bytes) -> dict[str, Any]:
    """Return an event that holds a JPEG."""
    return {"type": "picture", "kind": kind, "data": f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"}


def without_steps(recipe: Recipe) -> dict[str, Any]:
    """Return changes of a recipe that give its start image, as a strength of 0 does, without the optimisation."""
    return {"scales": (1.0,), "steps": (0,)}


def calmest(recipe: Recipe) -> Recipe:
    """Return a recipe at the calm end of the slider "photorealism"."""
    return replace(recipe, photorealism=1.0)


def heat_map(content: TabPhoto, result: Tensor) -> bytes:
    """Return where a result has structure that its content lacks, as a PNG: clear where there is none.

    Args:
        content: content photo.
        result: result at the size of the content's small copy, (3, h, w).
    """
    reference = ContentReference(content.work.pixels.double().numpy())
    seen = reference.invented_map(srgb_to_lab(result.clamp(0, 1).double().numpy()))
    part = (seen / _HEAT_FULL).clip(0, 1)
    at = part * (len(_HEAT) - 1)
    low = np.minimum(at.astype(int), len(_HEAT) - 2)
    colours = _HEAT[low] + (at - low)[..., None] * (_HEAT[low + 1] - _HEAT[low])
    alpha = 235 * np.minimum(1, 3 * part)
    return encode_png(np.dstack([colours, alpha]).round().astype(np.uint8))


def write_result(path: Path, content: Photo, pixels: Tensor) -> None:
    """Write a result as the command does; the extension of the path chooses the format."""
    write_photo(path, replace(content, name="content"), pixels)


def write_lut_of(path: Path, content: Photo, pixels: Tensor) -> str:
    """Write the 3D LUT that comes closest to a result, and return in words how close it is."""
    lut, error = fit_lut_of_photo(content, pixels)
    write_lut(path, lut, "result.cube")
    return f"{error.mean:.1f} delta E from the result on average, 95 % below {error.worst:.1f}"


def write_look_of(path: Path, inputs: Inputs) -> None:
    """Write the look of a style as `fastphoto look` does."""
    mask = None if inputs.masks is None else inputs.masks[1]
    Session(read_photo(inputs.style.path, "style"), mask).save_look(path)


def small(content: TabPhoto, pixels: Tensor) -> Tensor:
    """Return a result (3, H, W) at the size of the content's small copy."""
    return resize(pixels, content.work.size) if pixels.shape[1:] != torch.Size(content.work.size) else pixels
