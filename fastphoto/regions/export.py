"""Regions to look at and to edit: masks in the palette's colours, overlays with a legend, and the regions' names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fastphoto.errors import FileError, InputError, printable
from fastphoto.photos.photo import Photo
from fastphoto.photos.write import check_output
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import PALETTE
from fastphoto.runtime.files import write_files

_USUAL = {
    "sky": "blue",
    "water": "lightblue",
    "trees": "green",
    "grass": "green",
    "buildings": "red",
    "road": "grey",
    "people": "yellow",
}
"""The colours of kinds of region, where no other region has them; the others' are the next that are free."""

_NONE = (64, 64, 64)  # beneath transparent pixels: no colour of the palette, or editors would make that transparent too
_LONG_SIDE = 1000  # pixels at most, of an overlay
_TINT = 0.45  # of a pixel's colour is that of its region
_LETTERS, _LINE, _MARGIN = 16, 26, 8  # pixels, of the legend


def region_colours(names: Sequence[str]) -> tuple[str, ...]:
    """A colour of `fastphoto.palette.PALETTE` for each region, its own name where that is one.

    Raises InputError for more regions than there are colours.
    """
    if len(names) > len(PALETTE):
        raise InputError(f"{len(names)} regions, but masks have {len(PALETTE)} colours; give fewer regions")
    chosen: dict[str, str] = {}
    for wanted in ({name: name for name in PALETTE}, _USUAL):
        for name in names:
            if name not in chosen and name in wanted and wanted[name] not in chosen.values():
                chosen[name] = wanted[name]
    # Greys last: a photo tinted in them looks as if it were not.
    by_hue = sorted(PALETTE, key=lambda colour: len(set(PALETTE[colour])) == 1)
    free = iter([colour for colour in by_hue if colour not in chosen.values()])
    return tuple(chosen[name] if name in chosen else next(free) for name in names)


def mask_picture(labels: RegionMasks, colours: Sequence[str]) -> Image.Image:
    """An indexed picture whose table is the palette, so that editors paint in nothing else.

    `fastphoto.labels.read_masks` reads it back; what is of no region is transparent.
    """
    numbers = _numbers(labels)
    table = torch.tensor([len(PALETTE), *(list(PALETTE).index(colour) for colour in colours)])
    picture = Image.fromarray(table[numbers + 1].to(torch.uint8).numpy(), "P")
    hidden = bool((numbers < 0).any())
    picture.putpalette([value for colour in (*PALETTE.values(), *[_NONE] * hidden) for value in colour])
    if hidden:
        picture.info["transparency"] = len(PALETTE)
    return picture


def overlay(pixels: Tensor, labels: RegionMasks, colours: Sequence[str]) -> Image.Image:
    """A photo (3, H, W) in [0, 1] tinted in its regions' colours, with their borders, and below it what they are."""
    picture = Image.fromarray(pixels.mul(255).round_().to(torch.uint8).permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((_LONG_SIDE, _LONG_SIDE))
    numbers = Image.fromarray(_numbers(labels).numpy()).resize(picture.size, Image.Resampling.NEAREST)
    number = np.asarray(numbers)
    tints = np.array([PALETTE[colour] for colour in colours], np.float32)
    painted = np.asarray(picture).astype(np.float32)
    seen = number >= 0
    painted[seen] += _TINT * (tints[number[seen]] - painted[seen])
    border = np.zeros_like(seen)
    border[1:] |= number[1:] != number[:-1]
    border[:, 1:] |= number[:, 1:] != number[:, :-1]
    painted[border] = 255
    rows = [
        (colour, f"{name if name == colour else f'{colour}: {name}'}, {mask.mean():.0%} of the photo")
        for name, colour, mask in zip(labels.names, colours, labels.masks, strict=True)
    ]
    height, font = picture.height, ImageFont.load_default(_LETTERS)
    width = max(picture.width, *(round(font.getlength(text)) + 40 + 2 * _MARGIN for _, text in rows))
    sheet = Image.new("RGB", (width, height + _LINE * len(rows) + 2 * _MARGIN), "white")
    sheet.paste(Image.fromarray(painted.round().astype(np.uint8)), (0, 0))
    draw = ImageDraw.Draw(sheet)
    for row, (colour, text) in enumerate(rows):
        top = height + _MARGIN + row * _LINE
        draw.rectangle((_MARGIN, top, _MARGIN + 30, top + _LINE - 6), PALETTE[colour], "black")
        draw.text((_MARGIN + 40, top), text, "black", font)
    return sheet


def check_targets(
    folder: Path, roles: Sequence[str], inputs: Sequence[str | os.PathLike | None], overwrite: bool
) -> None:
    """Refuse, before any work, files that could not be written, are inputs, or may hold somebody's own strokes.

    Raises InputError or FileError, see `fastphoto.image_files.check_output`; InputError for masks and names that are
    there, unless they may be overwritten.
    """
    masks, names = [folder / f"{role}_mask.png" for role in roles], folder / "names.json"
    for path in (*masks, *(folder / f"{role}_overlay.jpg" for role in roles)):
        check_output(path, inputs)
    if os.path.lexists(names) and not names.is_file():
        raise FileError(f"{printable(names)}: exists and is not a regular file; give another folder")
    if any(path is not None and os.path.exists(path) and names.exists() and names.samefile(path) for path in inputs):
        raise InputError(f"{printable(names)}: is also an input; give another folder")
    if "style" not in roles and os.path.lexists(stale := folder / "style_mask.png"):
        raise InputError(f"{printable(stale)}: would stay beside the regions of another photo; give another folder")
    there = next((path for path in (*masks, names) if path.exists()), None)
    if there is not None and not overwrite:
        raise InputError(f"{printable(there)}: exists and may have been edited; give another folder, or --overwrite")


def write_regions(folder: Path, found: Mapping[str, tuple[Photo, RegionMasks]]) -> None:
    """Write `ROLE_mask.png` and `ROLE_overlay.jpg` for the photo of every role, and `names.json`: colour -> region.

    None of them takes its name before all are written. All have the same regions. Raises InputError for more than nine
    of them, FileError where writing fails.
    """
    names = next(iter(found.values()))[1].names
    colours = region_colours(names)
    told = json.dumps(dict(zip(colours, names, strict=True)), indent=1) + "\n"
    files: dict[Path, Callable[[BinaryIO], object]] = {}
    for role, (photo, labels) in found.items():
        mask, picture = mask_picture(labels, colours), overlay(photo.pixels, labels, colours)
        files[folder / f"{role}_mask.png"] = partial(mask.save, format="PNG", optimize=True)
        files[folder / f"{role}_overlay.jpg"] = partial(picture.save, format="JPEG", quality=92)
    files[folder / "names.json"] = lambda file: file.write(told.encode())
    write_files(files)


def _numbers(labels: RegionMasks) -> Tensor:
    """(H, W) int32: the region of every pixel, -1 for none."""
    value, number = labels.masks.max(0)
    return torch.where(value >= 0.5, number, -1).to(torch.int32)
