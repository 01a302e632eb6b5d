"""The forms in which a picture or an array of regions can be read: as colours by name, or as class numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fastphoto.errors import InputError, warn
from fastphoto.photos.formats import ID_BLURRING_FORMATS
from fastphoto.regions.blends import areas_of, taken_from_nearest, without_blends
from fastphoto.regions.dataset_colours import DATASET_COLOURS
from fastphoto.regions.palette import is_exact, names_distinct_colours, snap_to_palette

NamedValues = tuple[tuple[str, ...], np.ndarray]
"""The names of the regions, and either a region map (H, W) int16, or soft masks (R, H, W) float32."""

Forms = dict[str, NamedValues]
"""{form: the regions if a source is read in it}, the most likely form first."""


@dataclass(frozen=True, eq=False)
class OpenedMask:
    """A mask whose file has been read, and not yet the form that it is in: that depends on the mask beside it."""

    name: str  # in messages
    forms: Forms


NAMES, COLOURS, NUMBERS, TWO_VALUES = "names", "the nine colours", "class numbers", "two values"

_OPAQUE = 128  # of 255: a pixel of less alpha belongs to no region
_CLEARLY_TRANSPARENT, _CLEARLY_OPAQUE = 12, 243  # of 255: alpha between them is partly transparent; by eye
_PARTLY_SHARE = 0.01  # of the pixels; more partly transparent ones than on rims of strokes cause a warning; by eye
_SAMPLED = 8  # pixels: distance of those that are looked at first
_PALETTE_GREYS = {0, 127, 128, 255}
_OFF_AND_ON = (("0", "1"), ("0", "255"), ("0", "65535"), ("black", "white"))


def forms_of_picture(image: Image.Image, file_format: str | None, name: str) -> Forms:
    """Return the forms of a loaded and upright picture.

    Args:
        image: picture of any mode.
        file_format: format of its file.
        name: name of the picture in messages.

    Raises:
        InputError: a picture of floats, or of colours that have no name.
    """
    if image.mode == "F":
        raise InputError(f"{name}: a float picture is no mask; give soft masks as an array (R, H, W) or by name")
    transparent = None
    if image.has_transparency_data:
        alpha = np.asarray(_with_straight_alpha(image).getchannel("A"))
        transparent = alpha < _OPAQUE
        if ((alpha > _CLEARLY_TRANSPARENT) & (alpha < _CLEARLY_OPAQUE)).mean() > _PARTLY_SHARE:
            warn(f"{name}: partly transparent pixels; half or more counts as part of the region")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        return forms_of_numbers(without_blends(values, values[..., None]), transparent)
    if image.mode == "P":
        return _forms_of_indexed(image, transparent, name)
    lossy = file_format in ID_BLURRING_FORMATS
    if image.mode in ("1", "L", "LA", "La") and not lossy:
        return _forms_of_grey(_rgb(image), transparent, name)
    return _forms_of_colours(_rgb(image), transparent, name, lossy)


def forms_of_numbers(values: np.ndarray, transparent: np.ndarray | None = None) -> Forms:
    """Return the forms of class numbers (H, W); negative ones belong to no region."""
    return _with_two_values({NUMBERS: _visible_regions(*_class_numbers(values), transparent)})


def _forms_of_grey(rgb: np.ndarray, transparent: np.ndarray | None, name: str) -> Forms:
    """Return the forms of a grey picture: its numbers, before them palette colours if its areas are exactly those."""
    visible = _filled(rgb, transparent)
    numbers = visible[..., 0]
    forms: Forms = {}
    if set(areas_of(numbers).tolist()) <= _PALETTE_GREYS:
        forms[COLOURS] = _snapped(visible, transparent, name)
    return _with_two_values(forms | forms_of_numbers(without_blends(numbers, visible), transparent))


def _forms_of_colours(rgb: np.ndarray, transparent: np.ndarray | None, name: str, lossy: bool) -> Forms:
    """Return the forms of colours (H, W, 3) uint8; `lossy`: compression may have changed them."""
    visible = _filled(rgb, transparent)
    if lossy:
        return _with_two_values({COLOURS: _snapped(visible, transparent, name)})
    codes = without_blends(_codes(visible), visible)
    forms = _forms_of_datasets(codes, transparent)
    numbers: Forms = {}
    if _is_grey(visible):  # some programs save class numbers in three equal channels
        values = (codes & 255).astype(np.uint8)
        numbers = forms_of_numbers(values, transparent)
        areas = np.repeat(areas_of(values)[:, None], 3, 1)
        if len(numbers[NUMBERS][0]) > 1 and not names_distinct_colours(areas):
            return forms | numbers
    if not forms or is_exact(_colours(codes)):
        forms = {COLOURS: _snapped(visible, transparent, name)} | forms
    return _with_two_values(forms | numbers)


def _codes(rgb: np.ndarray) -> np.ndarray:
    """Return colours (H, W, 3) uint8 as one number each, (H, W) int32."""
    return (rgb[..., 0].astype(np.int32) << 16) | (rgb[..., 1].astype(np.int32) << 8) | rgb[..., 2]


def _colours(codes: np.ndarray) -> np.ndarray:
    """Return the colours (H, W, 3) uint8 of `_codes`."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(np.uint8)


def _is_grey(rgb: np.ndarray) -> bool:
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    return np.array_equal(red, green) and np.array_equal(red, blue)


def _forms_of_indexed(image: Image.Image, transparent: np.ndarray | None, name: str) -> Forms:
    """Return the forms of an indexed picture: its numbers, or the colours of its table."""
    numbers = _filled(np.asarray(image), transparent)
    table = np.zeros((256, 3), np.uint8)
    colours = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    table[: len(colours)] = colours
    visible = table[numbers]
    areas = table[areas_of(numbers)]
    numbers = without_blends(numbers, visible)
    forms = _forms_of_datasets(_codes(table)[numbers], transparent)
    if names_distinct_colours(areas) and (not forms or is_exact(table[numbers])):
        forms = {COLOURS: _snapped(visible, transparent, name)} | forms
    return _with_two_values(forms | forms_of_numbers(numbers, transparent))


def _forms_of_datasets(codes: np.ndarray, transparent: np.ndarray | None) -> Forms:
    """Return the forms of colours, as `_codes`, that are all classes of a data set."""
    forms: Forms = {}
    for dataset, colours in DATASET_COLOURS.items():
        table = np.array([red << 16 | green << 8 | blue for red, green, blue in colours], np.int32)
        if not np.isin(codes[::_SAMPLED, ::_SAMPLED], table).all():
            continue  # most pictures are told apart here, without a look at all pixels
        order = np.argsort(table)
        number = order[np.searchsorted(table[order], codes).clip(max=len(table) - 1)].astype(np.int16)
        if np.array_equal(table[number], codes):
            forms[f"the colours of {dataset}"] = _visible_regions(tuple(colours.values()), number, transparent)
    return forms


def _with_two_values(forms: Forms) -> Forms:
    """Add the form of a mask of one region, whose values are 0 and 1, 0 and 255, or black and white."""
    for names, values in list(forms.values()):
        for off_and_on in _OFF_AND_ON:
            if set(names) <= set(off_and_on):
                forms[TWO_VALUES] = tuple(str(off_and_on.index(name)) for name in names), values
    return forms


def _with_straight_alpha(image: Image.Image) -> Image.Image:
    """Return an image that has an alpha channel, with colours that are not multiplied by it."""
    return image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA"))


def _rgb(image: Image.Image) -> np.ndarray:
    if image.has_transparency_data:
        image = _with_straight_alpha(image).convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _filled(values: np.ndarray, transparent: np.ndarray | None) -> np.ndarray:
    """Return values (H, W, ...) in which each transparent pixel has the value of the nearest opaque one."""
    if transparent is None:
        return values
    return np.zeros_like(values) if transparent.all() else taken_from_nearest(values, transparent)


def _snapped(rgb: np.ndarray, transparent: np.ndarray | None, name: str) -> NamedValues:
    return _visible_regions(*snap_to_palette(rgb, name), transparent)


def _class_numbers(values: np.ndarray) -> NamedValues:
    if values.dtype == np.uint8:  # 50 times as fast as np.unique
        ids = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
        place = np.zeros(256, np.int16)
        place[ids] = np.arange(len(ids))
        return tuple(map(str, ids.tolist())), place[values]
    ids, numbers = np.unique(values, return_inverse=True)
    if len(ids) > np.iinfo(np.int16).max:  # the caller refuses so many; int16 would overflow
        return tuple(map(str, ids.tolist())), np.zeros(values.shape, np.int16)
    negative = int((ids < 0).sum())
    region_map = np.maximum(numbers.reshape(values.shape) - negative, -1)
    return tuple(map(str, ids[negative:].tolist())), region_map.astype(np.int16)


def _visible_regions(names: tuple[str, ...], region_map: np.ndarray, transparent: np.ndarray | None) -> NamedValues:
    """Return the regions with at least one opaque pixel, renumbered."""
    if transparent is not None:
        region_map = np.where(transparent, np.int16(-1), region_map)
    present = np.flatnonzero(np.bincount((region_map + 1).ravel(), minlength=len(names) + 1)[1:])
    if len(present) == len(names):
        return names, region_map
    renumbered = np.full(len(names) + 1, -1, np.int16)
    renumbered[present + 1] = np.arange(len(present))
    return tuple(names[number] for number in present), renumbered[region_map + 1]
