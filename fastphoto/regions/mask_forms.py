"""The forms in which a picture or an array of regions can be read: as colours by name, or as class numbers."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fastphoto.errors import InputError, warn
from fastphoto.photos.formats import ID_BLURRING_FORMATS
from fastphoto.regions.dataset_colours import DATASET_COLOURS
from fastphoto.regions.palette import extreme_3x3, is_exact, minimum_area, names_distinct_colours, snap_to_palette

NamedValues = tuple[tuple[str, ...], np.ndarray]
"""The names of the regions, and either a region map (H, W) int16, or soft masks (R, H, W) float32."""

Forms = dict[str, NamedValues]
"""{form: the regions if a source is read in it}, the most likely form first."""

NAMES, COLOURS, NUMBERS, TWO_VALUES = "names", "the nine colours", "class numbers", "two values"

_OPAQUE = 128  # of 255: a pixel of less alpha belongs to no region
_CLEARLY_TRANSPARENT, _CLEARLY_OPAQUE = 12, 243  # of 255: alpha between them is partly transparent; by eye
_PARTLY_SHARE = 0.01  # of the pixels; more partly transparent ones than on rims of strokes cause a warning; by eye
_DATASET_SHARE = 0.95  # of the pixels; the others are blends on edges; by eye
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
        return forms_of_numbers(np.asarray(image).astype(np.int64), transparent)
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
    forms: Forms = {}
    if set(_areas(rgb[..., 0], transparent).tolist()) <= _PALETTE_GREYS:
        forms[COLOURS] = _snapped(_filled(rgb, transparent), transparent, name)
    return _with_two_values(forms | forms_of_numbers(rgb[..., 0], transparent))


def _forms_of_colours(rgb: np.ndarray, transparent: np.ndarray | None, name: str, lossy: bool) -> Forms:
    """Return the forms of colours (H, W, 3) uint8; `lossy`: compression may have changed them."""
    visible = _filled(rgb, transparent)
    forms = {} if lossy else _forms_of_datasets(visible, transparent)
    numbers: Forms = {}
    if not lossy and _is_grey(rgb):  # some programs save class numbers in three equal channels
        numbers = forms_of_numbers(rgb[..., 0], transparent)
        areas = np.repeat(_areas(rgb[..., 0], transparent)[:, None], 3, 1)
        if len(numbers[NUMBERS][0]) > 1 and not names_distinct_colours(areas):
            return forms | numbers
    if not forms or is_exact(visible):
        forms = {COLOURS: _snapped(visible, transparent, name)} | forms
    return _with_two_values(forms | numbers)


def _is_grey(rgb: np.ndarray) -> bool:
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    return np.array_equal(red, green) and np.array_equal(red, blue)


def _forms_of_indexed(image: Image.Image, transparent: np.ndarray | None, name: str) -> Forms:
    """Return the forms of an indexed picture: its numbers, or the colours of its table."""
    numbers = np.asarray(image)
    table = np.zeros((256, 3), np.uint8)
    colours = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    table[: len(colours)] = colours
    visible = _filled(table[numbers], transparent)
    forms = _forms_of_datasets(visible, transparent)
    if names_distinct_colours(table[_areas(numbers, transparent)]) and (not forms or is_exact(visible)):
        forms = {COLOURS: _snapped(visible, transparent, name)} | forms
    return _with_two_values(forms | forms_of_numbers(numbers, transparent))


def _forms_of_datasets(rgb: np.ndarray, transparent: np.ndarray | None) -> Forms:
    """Return the forms of colours that are all classes of a data set, up to blends on edges."""
    codes = (rgb[..., 0].astype(np.int32) << 16) | (rgb[..., 1].astype(np.int32) << 8) | rgb[..., 2]
    forms: Forms = {}
    for dataset, colours in DATASET_COLOURS.items():
        table = np.array([red << 16 | green << 8 | blue for red, green, blue in colours], np.int32)
        if not np.isin(codes[::_SAMPLED, ::_SAMPLED], table).mean() > _DATASET_SHARE / 2:
            continue  # most pictures are recognised here, without a look at all pixels
        order = np.argsort(table)
        number = order[np.searchsorted(table[order], codes).clip(max=len(table) - 1)].astype(np.int16)
        off = table[number] != codes
        flat = extreme_3x3(codes, np.minimum) == extreme_3x3(codes, np.maximum)
        if off.mean() <= 1 - _DATASET_SHARE and (flat & off).sum() < minimum_area(off.size):
            number = _taken_from_nearest(number, off)
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


def _areas(numbers: np.ndarray, transparent: np.ndarray | None) -> np.ndarray:
    """Return the values (H, W) uint8 that fill areas of a picture; all values if none does."""
    flat = extreme_3x3(numbers, np.minimum) == extreme_3x3(numbers, np.maximum)
    counts = np.bincount(numbers[flat if transparent is None else flat & ~transparent], minlength=256)
    areas = np.flatnonzero(counts >= minimum_area(numbers.size))
    return areas if len(areas) else np.unique(numbers if transparent is None else numbers[~transparent])


def _filled(rgb: np.ndarray, transparent: np.ndarray | None) -> np.ndarray:
    """Return colours (H, W, 3) in which each transparent pixel has the colour of the nearest opaque one."""
    if transparent is None or not transparent.any():
        return rgb
    return np.zeros_like(rgb) if transparent.all() else _taken_from_nearest(rgb, transparent)


def _taken_from_nearest(values: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Return values (H, W, ...) in which each pixel of a hole has the value of the nearest other pixel."""
    if not holes.any():
        return values
    from scipy.ndimage import distance_transform_edt  # here, because it loads slowly and few calls need it

    rows, columns = distance_transform_edt(holes, return_distances=False, return_indices=True)
    filled: np.ndarray = values[rows, columns]
    return filled


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
