"""Files of regions to look at and to edit: masks in the palette's colours, overlays with a legend, and the names."""

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

from fastphoto.errors import InputError, printable
from fastphoto.photos.photo import Photo
from fastphoto.regions.masks import RegionMasks, marked_map
from fastphoto.regions.palette import PALETTE
from fastphoto.runtime.files import check_target, write_files

_USUAL_COLOURS = {
    "sky": "blue",
    "water": "lightblue",
    "trees": "green",
    "grass": "green",
    "buildings": "red",
    "road": "grey",
    "people": "yellow",
}
"""Colours of some kinds of region, unless another region has them; other kinds take the next free colour."""

# Colour of transparent pixels. Editors would make a palette colour transparent elsewhere too.
_NO_REGION_COLOUR = (64, 64, 64)
_OVERLAY_LONG_SIDE = 1000  # pixels at most
_TINT = 0.45  # share of the region's colour in a pixel of an overlay; by eye
_FONT_SIZE, _ROW_HEIGHT, _MARGIN = 16, 26, 8  # pixels, of the legend
_SWATCH_WIDTH, _SWATCH_HEIGHT = 30, 20  # pixels


def region_colours(names: Sequence[str]) -> tuple[str, ...]:
    """Choose a colour of `PALETTE` for each region; a region named after a colour gets that colour.

    Raises:
        InputError: more regions than colours.

    Example:
        >>> region_colours(("sky", "red", "sand"))
        ('blue', 'red', 'green')
    """
    if len(names) > len(PALETTE):
        raise InputError(f"{len(names)} regions, but masks have {len(PALETTE)} colours; give fewer regions")
    chosen: dict[str, str] = {}
    for preferred in ({name: name for name in PALETTE}, _USUAL_COLOURS):
        for name in names:
            if name not in chosen and name in preferred and preferred[name] not in chosen.values():
                chosen[name] = preferred[name]
    # Greys come last, because a photo tinted grey looks untinted.
    by_hue = sorted(PALETTE, key=lambda colour: len(set(PALETTE[colour])) == 1)
    free = iter([colour for colour in by_hue if colour not in chosen.values()])
    return tuple(chosen[name] if name in chosen else next(free) for name in names)


def mask_picture(regions: RegionMasks, colours: Sequence[str]) -> Image.Image:
    """Draw regions as an indexed picture with the palette as its colour table, so that editors paint only in it.

    `fastphoto.regions.read_masks` reads it back. Pixels without a region are transparent.
    """
    region_map = marked_map(regions.masks)
    table = torch.tensor([len(PALETTE), *(list(PALETTE).index(colour) for colour in colours)], dtype=torch.int64)
    picture = Image.fromarray(table[region_map + 1].to(torch.uint8).numpy(), "P")
    has_holes = bool((region_map < 0).any())
    picture.putpalette([value for colour in (*PALETTE.values(), *[_NO_REGION_COLOUR] * has_holes) for value in colour])
    if has_holes:
        picture.info["transparency"] = len(PALETTE)
    return picture


def overlay(pixels: Tensor, regions: RegionMasks, colours: Sequence[str]) -> Image.Image:
    """Draw a photo (3, H, W) in [0, 1] tinted in its regions' colours, with their borders and a legend below."""
    picture = Image.fromarray(pixels.mul(255).round_().to(torch.uint8).permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((_OVERLAY_LONG_SIDE, _OVERLAY_LONG_SIDE))
    full_map = Image.fromarray(marked_map(regions.masks).to(torch.int32).numpy())
    tinted = _tinted(np.asarray(picture), np.asarray(full_map.resize(picture.size, Image.Resampling.NEAREST)), colours)
    legend = [
        (colour, f"{name if name == colour else f'{colour}: {name}'}, {mask.mean():.0%} of the photo")
        for name, colour, mask in zip(regions.names, colours, regions.masks, strict=True)
    ]
    return _with_legend(Image.fromarray(tinted), legend)


def _tinted(picture: np.ndarray, region_map: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """Tint a picture (H, W, 3) uint8 in the colours of its regions, with white borders between them."""
    tints = np.array([PALETTE[colour] for colour in colours], np.float32)
    painted = picture.astype(np.float32)
    in_region = region_map >= 0
    painted[in_region] += _TINT * (tints[region_map[in_region]] - painted[in_region])
    border = np.zeros_like(in_region)
    border[1:] |= region_map[1:] != region_map[:-1]
    border[:, 1:] |= region_map[:, 1:] != region_map[:, :-1]
    painted[border] = 255
    return painted.round().astype(np.uint8)


def _with_legend(picture: Image.Image, legend: Sequence[tuple[str, str]]) -> Image.Image:
    """Return a picture with rows of (colour, text) below it."""
    font = ImageFont.load_default(_FONT_SIZE)
    text_left = _MARGIN + _SWATCH_WIDTH + 10
    width = max(picture.width, *(round(font.getlength(text)) + text_left + _MARGIN for _, text in legend))
    sheet = Image.new("RGB", (width, picture.height + _ROW_HEIGHT * len(legend) + 2 * _MARGIN), "white")
    sheet.paste(picture, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for row, (colour, text) in enumerate(legend):
        top = picture.height + _MARGIN + row * _ROW_HEIGHT
        draw.rectangle((_MARGIN, top, _MARGIN + _SWATCH_WIDTH, top + _SWATCH_HEIGHT), PALETTE[colour], "black")
        draw.text((text_left, top), text, "black", font)
    return sheet


def check_targets(
    folder: Path, roles: Sequence[str], inputs: Sequence[str | os.PathLike[str] | None], overwrite: bool
) -> None:
    """Check, before any work, that `write_regions` can write its files without destroying anything.

    Args:
        folder: folder that the files go to.
        roles: roles of the photos, "content" and "style".
        inputs: paths that are read; None: no path.
        overwrite: whether masks and names that exist may be overwritten. They may have been edited by hand.

    Raises:
        InputError: a file that is also an input, or that exists and may not be overwritten.
        FileError: a file that cannot be written, see `fastphoto.runtime.files.check_target`.
    """
    masks, names = [folder / f"{role}_mask.png" for role in roles], folder / "names.json"
    for path in (*masks, *(folder / f"{role}_overlay.jpg" for role in roles), names):
        check_target(path, inputs)
    if "style" not in roles and os.path.lexists(stale := folder / "style_mask.png"):
        raise InputError(f"{printable(stale)}: would stay beside the regions of another photo; give another folder")
    existing = next((path for path in (*masks, names) if path.exists()), None)
    if existing is not None and not overwrite:
        raise InputError(f"{printable(existing)}: exists and may have been edited; give another folder, or --overwrite")


def write_regions(folder: Path, photos: Mapping[str, tuple[Photo, RegionMasks]]) -> None:
    """Write `ROLE_mask.png` and `ROLE_overlay.jpg` for the photo of each role, and `names.json`, {colour: region}.

    None of the files takes its name before all are complete.

    Args:
        folder: existing folder.
        photos: {role: (photo, its regions)}; all have regions of the same names.

    Raises:
        InputError: more than nine regions.
        FileError: a file that cannot be written.
    """
    names = next(iter(photos.values()))[1].names
    colours = region_colours(names)
    names_text = json.dumps(dict(zip(colours, names, strict=True)), indent=1) + "\n"
    files: dict[Path, Callable[[BinaryIO], object]] = {}
    for role, (photo, regions) in photos.items():
        mask, picture = mask_picture(regions, colours), overlay(photo.pixels, regions, colours)
        files[folder / f"{role}_mask.png"] = partial(mask.save, format="PNG", optimize=True)
        files[folder / f"{role}_overlay.jpg"] = partial(picture.save, format="JPEG", quality=92)
    files[folder / "names.json"] = lambda file: file.write(names_text.encode())
    write_files(files)
