"""Regions as a person corrects them: maps that were found, strokes over them, and masks of the outcome."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy  # loads its parts, such as scipy.ndimage, when they are used
import torch
from PIL import Image
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.regions.export import mask_picture, region_colours
from fastphoto.regions.masks import RegionMasks, marked_map, masks_of_map
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.scribbles import grow_scribbles
from fastphoto.ui.tab_photo import SIDES, Side

RegionMap = np.ndarray[Any, np.dtype[np.int16]]
"""(H, W): the number of each pixel's region, -1 for none."""

NOTHING = 254
"""Label of strokes that take pixels out of all regions: what they cover does not change."""
UNMARKED = 255
"""Label of pixels without a stroke."""

_REACH = 1 / 8  # of the long side: how far a stroke decides about pixels around it; by eye
_MARGIN = 24  # pixels around those that a stroke sets free, whose regions are known; by eye
_LONGEST_NAME = 40
_LARGEST = 2**31  # of a number in runs of labels


@dataclass(frozen=True, eq=False)
class Strokes:
    """Labels (H, W) uint8 that a person has painted on a photo, with UNMARKED where there is none."""

    labels: np.ndarray[Any, Any]

    @staticmethod
    def of_runs(runs: Any, size: tuple[int, int], regions: int) -> Strokes | None:
        """Read strokes from runs of labels, [label, length, label, length, ...]; None if there is no stroke.

        Raises:
            InputError: runs that are none, or do not fit the photo.
        """
        if runs is None:
            return None
        whole = isinstance(runs, list) and all(type(value) is int and abs(value) < _LARGEST for value in runs)
        if not whole or len(runs) % 2:
            raise InputError("strokes: must be whole numbers in pairs, a label and how often it is repeated")
        labels, lengths = np.array(runs[::2], np.int64), np.array(runs[1::2], np.int64)
        known = ((labels >= 0) & (labels < regions)) | (labels == NOTHING) | (labels == UNMARKED)
        if not known.all() or (lengths < 0).any() or (lengths > size[0] * size[1]).any():
            raise InputError("strokes: a label of no region, or a length below 0")
        if lengths.sum() != size[0] * size[1]:
            raise InputError(f"strokes: {lengths.sum()} pixels, the photo has {size[1]}x{size[0]}")
        values = np.repeat(labels.astype(np.uint8), lengths).reshape(size)
        return None if (values == UNMARKED).all() else Strokes(values)


@dataclass(frozen=True, eq=False)
class Edit:
    """What a person has changed in the regions of both photos."""

    names: tuple[str, ...]
    joins: Mapping[Side, Mapping[int, int]] = field(default_factory=dict)  # {side: {region: region it becomes}}
    strokes: Mapping[Side, Strokes | None] = field(default_factory=dict)
    follow: bool = True  # whether regions grow from strokes to the photo's edges

    @property
    def changes_nothing(self) -> bool:
        """Whether the regions are as they were found."""
        return not any(self.joins.values()) and not any(self.strokes.values())


def read_edit(values: Any, found: int, sizes: Mapping[Side, tuple[int, int]]) -> Edit:
    """Read an edit from JSON.

    Args:
        values: {"names": [...], "joins": {side: {"3": 1}}, "strokes": {side: runs}, "follow": bool}.
        found: number of regions that were found; names of new ones follow theirs.
        sizes: (H, W) of each photo's copy.

    Raises:
        InputError: anything else.
    """
    if not isinstance(values, dict):
        raise InputError("edit: must be an object")
    names = values.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isprintable() for name in names):
        raise InputError("names: must be a list of printable words")
    names = [name.strip()[:_LONGEST_NAME] for name in names]
    if len(names) < max(1, found) or len(set(names)) < len(names) or not all(names):
        raise InputError("names: each region needs a name of its own")
    region_colours(names)  # refuses too many
    joins: dict[Side, dict[int, int]] = {}
    strokes: dict[Side, Strokes | None] = {}
    for side in SIDES:
        pairs = _of_side(values, "joins", side) or {}
        if not isinstance(pairs, dict) or not all(key.isdecimal() and type(to) is int for key, to in pairs.items()):
            raise InputError("joins: must be an object of region numbers")
        joins[side] = {int(key): to for key, to in pairs.items()}
        if not all(0 <= number < len(names) for pair in joins[side].items() for number in pair):
            raise InputError("joins: a number of no region")
        strokes[side] = Strokes.of_runs(_of_side(values, "strokes", side), sizes[side], len(names))
    return Edit(tuple(names), joins, strokes, bool(values.get("follow", True)))


def _of_side(values: Mapping[str, Any], name: str, side: Side) -> Any:
    of_sides = values.get(name) or {}
    if not isinstance(of_sides, dict):
        raise InputError(f"{name}: must be an object with content and style")
    return of_sides.get(side)


def map_of(regions: RegionMasks) -> RegionMap:
    """Return the region map of masks."""
    values: RegionMap = marked_map(regions.masks).to(torch.int16).numpy()
    return values


def painted_map(
    photo: Tensor, base: RegionMap, joins: Mapping[int, int], strokes: Strokes | None, follow: bool
) -> RegionMap:
    """Return a region map after a person's corrections.

    First regions that were joined become one. Then strokes are painted over the map. With `follow`, pixels of another
    region within an eighth of the long side around a stroke are set free, and `grow_scribbles` decides anew about
    them, from the strokes and from all that lies farther away; so a stroke takes the object under it along, and borders
    follow the photo's edges.

    Args:
        photo: photo, (3, H, W), in [0, 1].
        base: region map that was found, (H, W).
        joins: {region: region that it becomes}.
        strokes: what was painted; None: nothing.
        follow: whether regions grow from the strokes.
    """
    joined = base.copy()
    for old, new in joins.items():
        joined[base == old] = new
    if strokes is None:
        return joined
    painted = strokes.labels != UNMARKED
    values = np.where(strokes.labels == NOTHING, -1, strokes.labels.astype(np.int16))
    marks = np.where(painted, values, joined)
    if not follow:
        return marks.astype(np.int16)
    distance, (rows, columns) = scipy.ndimage.distance_transform_edt(~painted, return_indices=True)
    near = distance <= _REACH * max(base.shape)
    free = near & ~painted & (joined != values[rows, columns])
    if free.any():
        box = _box_around(free, _MARGIN)
        marks[box] = _grown(photo[:, box[0], box[1]], marks[box], free[box])
    return marks.astype(np.int16)


def _grown(photo: Tensor, marks: RegionMap, free: np.ndarray[Any, np.dtype[np.bool_]]) -> RegionMap:
    """Return a region map whose free pixels belong to the regions that the others mark."""
    labels = np.unique(marks[~free])
    if len(labels) == 1:
        return np.full_like(marks, labels[0])
    masks = torch.from_numpy(np.stack([(marks == label) & ~free for label in labels])).float()
    grown = grow_scribbles(photo, RegionMasks(tuple(map(str, labels)), masks)).masks.argmax(0).numpy()
    result: RegionMap = labels[grown].astype(marks.dtype)
    return result


def _box_around(pixels: np.ndarray[Any, np.dtype[np.bool_]], margin: int) -> tuple[slice, slice]:
    """Return the part of a photo around some pixels, with a margin where there is room."""
    slices = []
    for axis in (0, 1):
        places = np.flatnonzero(pixels.any(1 - axis))
        slices.append(slice(max(0, int(places[0]) - margin), int(places[-1]) + 1 + margin))
    return slices[0], slices[1]


def runs_of(values: RegionMap) -> list[int]:
    """Return a region map as runs of labels, [label, length, ...].

    Example:
        >>> runs_of(np.array([[0, 0, -1]], np.int16))
        [0, 2, -1, 1]
    """
    flat = values.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] - 1))
    lengths = np.diff(starts, append=len(flat))
    return [int(value) for pair in zip(flat[starts], lengths, strict=True) for value in pair]


def encode_mask(values: RegionMap, names: Sequence[str], size: tuple[int, int]) -> bytes:
    """Return a region map as the PNG that `fastphoto regions` would write, at the size (H, W) of its photo."""
    masks = masks_of_map(torch.from_numpy(values), len(names))
    picture = mask_picture(RegionMasks(tuple(names), masks), region_colours(names))
    if picture.size != (size[1], size[0]):
        transparency = picture.info.get("transparency")
        picture = picture.resize((size[1], size[0]), Image.Resampling.NEAREST)
        if transparency is not None:
            picture.info["transparency"] = transparency
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def colours_of(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the name and the palette's colour of each region, for the page."""
    return [
        {"name": name, "colour": colour, "rgb": PALETTE[colour]}
        for name, colour in zip(names, region_colours(names), strict=True)
    ]
