"""Reading of masks: from a picture, an array or a mapping to the named masks of one photo."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastphoto.errors import InputError, printable, warn
from fastphoto.photos.decode import apply_orientation, load_image, open_image
from fastphoto.photos.formats import ID_BLURRING_FORMATS
from fastphoto.photos.resize import same_aspect
from fastphoto.regions.masks import MAXIMUM_REGIONS, MaskSource, OneMask, RegionMasks
from fastphoto.regions.palette import PALETTE, TOLERANCE, extreme_3x3, minimum_area, snap_to_palette
from fastphoto.regions.resizing import fit_masks

_OPAQUE = 128  # of 255: a pixel of less alpha belongs to no region
_CLEARLY_TRANSPARENT, _CLEARLY_OPAQUE = 12, 243  # of 255: alpha between them is partly transparent; by eye
_PARTLY_SHARE = 0.01  # of the pixels; more partly transparent ones than on rims of strokes cause a warning; by eye

# The names of the regions, and either a region map (H, W) int16, or soft masks (R, H, W) float32.
_NamedValues = tuple[tuple[str, ...], np.ndarray]


def read_masks(
    source: MaskSource,
    size: tuple[int, int],
    role: Literal["content", "style"] = "content",
    other_size: tuple[int, int] | None = None,
    shrunk: tuple[int, int] | None = None,
    kind: Literal["mask", "strokes"] = "mask",
) -> RegionMasks:
    """Read the masks of one photo, or the strokes of a picture to grow regions from.

    Transparent pixels belong to no region, and the EXIF orientation is applied. Sources:

    - None: one region "all" of the whole photo.
    - A picture in the nine palette colours (`PALETTE`), lossless or altered by JPEG, WebP or resizing: a path, a PIL
      image, or an array or tensor (H, W, 3) of uint8 or of float in [0, 1].
    - Class ids: a grey, 16-bit or indexed picture, or an integer array (H, W). The ids as text are the names; negative
      ids belong to no region.
    - Soft masks: an array (R, H, W) of uint8 or of float in [0, 1], named "0" to "R-1"; or a mapping from names to
      arrays (H, W), or to paths or PIL images of grey masks.
    - `RegionMasks`.

    Args:
        source: one of the above.
        size: size of the photo, (H, W), after orientation. A mask of another size but the same aspect (within 2 %) is
            resized with a `FastPhotoWarning`, hard masks by nearest neighbours.
        role: role of the photo in messages.
        other_size: size of the other photo, (H, W), to recognise swapped masks.
        shrunk: size of the masks to return, (h, w). None: `size`.
        kind: kind of source in messages.

    Returns:
        The masks, (R, h, w) float32 in [0, 1].

    Raises:
        InputError: a source of another aspect, with more than 64 regions or none, with more than 5 % of its pixels off
            the palette, or with values outside their range.
        FileError: a file that cannot be read.

    Example:
        >>> masks = read_masks(np.array([[0, 0, 7], [-1, 7, 7]]), (2, 3))
        >>> masks.names
        ('0', '7')
        >>> masks.masks[1]
        tensor([[0., 0., 1.],
                [0., 1., 1.]])
    """
    name = f"{role} {kind}"
    size = size[0], size[1]
    if source is None:
        return RegionMasks(("all",), torch.ones(1, *(shrunk or size)))
    if isinstance(source, (str, os.PathLike)):
        name = f"{role} {kind} {printable(source)}"
        opened = open_image(source, name)
        names, values = _read_image(opened.image, name, opened.format)
    elif isinstance(source, Image.Image):
        names, values = _read_image(apply_orientation(load_image(source, name))[0], name, source.format)
    elif isinstance(source, RegionMasks):
        names, values = _read_mapping(_by_name(source, name), name)
    elif isinstance(source, Mapping):
        names, values = _read_mapping(source, name)
    elif isinstance(source, (np.ndarray, Tensor)):
        names, values = _read_array(_as_array(source), size, name)
    else:
        raise InputError(f"{name}: cannot read a mask from {type(source).__name__}")
    if len(names) > MAXIMUM_REGIONS:
        raise InputError(f"{name}: {len(names)} regions; at most {MAXIMUM_REGIONS} (is it a photo?)")
    if not names:
        raise InputError(f"{name}: no pixel belongs to a region")
    _check_size((values.shape[-2], values.shape[-1]), size, name, other_size)
    return RegionMasks(names, fit_masks(values, len(names), size, shrunk or size))


def _check_size(
    size: tuple[int, int], photo_size: tuple[int, int], name: str, other_size: tuple[int, int] | None
) -> None:
    if size == photo_size:
        return
    if not same_aspect(size, photo_size):
        swapped = "; are the content and style masks swapped?" if size == other_size else ""
        raise InputError(
            f"{name}: {size[1]}x{size[0]} pixels do not fit the photo's {photo_size[1]}x{photo_size[0]}{swapped}"
        )
    warn(f"{name}: {size[1]}x{size[0]} pixels, resized to the photo's {photo_size[1]}x{photo_size[0]}")


def _by_name(regions: RegionMasks, name: str) -> dict[str, Tensor]:
    names, masks = tuple(regions.names), regions.masks
    if masks.ndim != 3 or len(masks) != len(names) or len(set(names)) != len(names):
        raise InputError(
            f"{name}: RegionMasks of {len(names)} names, {len(set(names))} different ones, with masks of shape "
            f"{tuple(masks.shape)}; give each mask of (R, H, W) a name of its own"
        )
    return dict(zip(names, masks, strict=True))


def _read_image(image: Image.Image, name: str, file_format: str | None) -> _NamedValues:
    if image.mode == "F":
        raise InputError(f"{name}: a float picture is no mask; give soft masks as an array (R, H, W) or by name")
    transparent = None
    if image.has_transparency_data:
        alpha = np.asarray(_with_straight_alpha(image).getchannel("A"))
        transparent = alpha < _OPAQUE
        if ((alpha > _CLEARLY_TRANSPARENT) & (alpha < _CLEARLY_OPAQUE)).mean() > _PARTLY_SHARE:
            warn(f"{name}: partly transparent pixels; half or more counts as part of the region")
    if image.mode.startswith("I"):
        names, region_map = _class_ids(np.asarray(image).astype(np.int64))
    elif _may_hold_ids(image, file_format) and _holds_ids(image, transparent):
        names, region_map = _class_ids(np.asarray(image))
    else:
        names, region_map = _snapped(_rgb(image), transparent, name)
    return _visible_regions(names, region_map, transparent)


def _with_straight_alpha(image: Image.Image) -> Image.Image:
    """Return an image that has an alpha channel, with colours that are not multiplied by it."""
    return image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA"))


def _rgb(image: Image.Image) -> np.ndarray:
    if image.has_transparency_data:
        image = _with_straight_alpha(image).convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _may_hold_ids(image: Image.Image, file_format: str | None) -> bool:
    return image.mode == "P" or (image.mode == "L" and file_format not in ID_BLURRING_FORMATS)


def _holds_ids(image: Image.Image, transparent: np.ndarray | None) -> bool:
    """Return whether a grey or indexed picture holds class ids: its areas are not all distinct palette colours."""
    values = np.asarray(image)
    flat = extreme_3x3(values, np.minimum) == extreme_3x3(values, np.maximum)
    counts = np.bincount(values[flat if transparent is None else flat & ~transparent], minlength=256)
    areas = np.flatnonzero(counts >= minimum_area(values.size))
    if not len(areas):
        areas = np.unique(values if transparent is None else values[~transparent])
    if image.mode == "L":
        return not set(areas.tolist()) <= {0, 127, 128, 255}
    table = np.zeros((256, 3), int)
    colours = np.asarray(image.getpalette("RGB") or [], int).reshape(-1, 3)
    table[: len(colours)] = colours
    distance = np.abs(table[areas, None] - np.array(list(PALETTE.values()))).max(-1)
    return bool((distance.min(1) > TOLERANCE).any() or len(set(distance.argmin(1).tolist())) < len(areas))


def _snapped(rgb: np.ndarray, transparent: np.ndarray | None, name: str) -> _NamedValues:
    """Snap a picture to the palette; each transparent pixel takes the colour of the nearest opaque pixel."""
    if transparent is not None and transparent.any() and not transparent.all():
        from scipy.ndimage import distance_transform_edt  # here, because it loads slowly and few calls need it

        rows, columns = distance_transform_edt(transparent, return_distances=False, return_indices=True)
        rgb = rgb[rows, columns]
    elif transparent is not None and transparent.all():
        rgb = np.zeros_like(rgb)
    return snap_to_palette(rgb, name)


def _class_ids(values: np.ndarray) -> _NamedValues:
    ids, numbers = np.unique(values, return_inverse=True)
    if len(ids) > np.iinfo(np.int16).max:  # the caller refuses so many; int16 would overflow
        return tuple(map(str, ids.tolist())), np.zeros(values.shape, np.int16)
    negative = int((ids < 0).sum())
    region_map = np.maximum(numbers.reshape(values.shape) - negative, -1)
    return tuple(map(str, ids[negative:].tolist())), region_map.astype(np.int16)


def _visible_regions(names: tuple[str, ...], region_map: np.ndarray, transparent: np.ndarray | None) -> _NamedValues:
    """Return the regions with at least one opaque pixel, renumbered."""
    if transparent is not None:
        region_map = np.where(transparent, np.int16(-1), region_map)
    present = np.flatnonzero(np.bincount((region_map + 1).ravel(), minlength=len(names) + 1)[1:])
    if len(present) == len(names):
        return names, region_map
    renumbered = np.full(len(names) + 1, -1, np.int16)
    renumbered[present + 1] = np.arange(len(present))
    return tuple(names[number] for number in present), renumbered[region_map + 1]


def _as_array(source: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        return source.float().numpy() if source.dtype.is_floating_point else source.numpy()
    return source


def _read_array(array: np.ndarray, size: tuple[int, int], name: str) -> _NamedValues:
    shape = "x".join(map(str, array.shape))
    if array.dtype.kind not in "buif":
        raise InputError(f"{name}: array of {array.dtype}; give integers, or float in [0, 1]")
    if array.size == 0:
        raise InputError(f"{name}: array of shape {shape} is empty")
    if array.ndim == 3 and array.shape[-1] == 1 and array.shape[:2] == size:
        array = array[..., 0]
    if array.ndim == 3 and array.shape[0] == 1 and array.dtype.kind in "ui" and array.dtype != np.uint8:
        array = array[0]
    if array.ndim == 2:
        if array.dtype.kind == "f":
            raise InputError(
                f"{name}: one float array {shape}; give integer labels (H, W), or soft masks (R, H, W) or by name"
            )
        return _class_ids(array.astype(np.uint8) if array.dtype.kind == "b" else array)
    if array.ndim != 3:
        raise InputError(f"{name}: array of shape {shape}; give (H, W), (H, W, 3) or (R, H, W)")
    if array.shape[-1] in (3, 4) and (array.shape[:2] == size or array.shape[1:] != size):
        return _read_colours(array, name)
    if array.shape[0] > MAXIMUM_REGIONS:
        raise InputError(f"{name}: array of shape {shape} has {array.shape[0]} regions; at most {MAXIMUM_REGIONS}")
    return tuple(map(str, range(array.shape[0]))), _soft_values(array, name)


def _read_colours(array: np.ndarray, name: str) -> _NamedValues:
    if array.dtype.kind == "f":
        array = (_soft_values(array, name) * 255).round()
    elif array.min() < 0 or array.max() > 255:
        raise InputError(f"{name}: colours from {array.min()} to {array.max()}; expected 0 to 255")
    array = array.astype(np.uint8)
    transparent = array[..., 3] < _OPAQUE if array.shape[-1] == 4 else None
    names, region_map = _snapped(array[..., :3], transparent, name)
    return _visible_regions(names, region_map, transparent)


def _soft_values(array: np.ndarray, name: str) -> np.ndarray:
    """Return soft mask values as float32 in [0, 1]."""
    if array.dtype.kind not in "buif":
        raise InputError(f"{name}: array of {array.dtype}; give float in [0, 1], uint8 or bool")
    values: np.ndarray = array.astype(np.float32)
    if array.dtype == np.uint8 and values.max(initial=0) > 1:
        values /= 255
    low, high = values.min(initial=0), values.max(initial=0)
    if not (low >= -0.001 and high <= 1.001):  # also refuses NaN
        raise InputError(f"{name}: soft mask values from {low:.4g} to {high:.4g}; expected [0, 1]")
    return values.clip(0, 1)


def _read_mapping(source: Mapping[str, OneMask], name: str) -> _NamedValues:
    if not source:
        raise InputError(f"{name}: the mapping is empty; give name -> mask")
    if len(source) > MAXIMUM_REGIONS:
        raise InputError(f"{name}: {len(source)} regions; at most {MAXIMUM_REGIONS}")
    masks: list[np.ndarray] = []
    for key, value in source.items():
        mask_name = f"{name} {key!r}"
        mask = _read_one_mask(value, mask_name)
        if mask.ndim != 2:
            raise InputError(f"{mask_name}: shape {'x'.join(map(str, mask.shape))}; expected (H, W)")
        if masks and mask.shape != masks[0].shape:
            raise InputError(f"{mask_name}: {mask.shape[1]}x{mask.shape[0]} pixels, the others differ; give one size")
        masks.append(_soft_values(mask, mask_name))
    return tuple(map(str, source)), np.stack(masks)


def _read_one_mask(source: OneMask, name: str) -> np.ndarray:
    """Return the values of one mask; a picture's values are scaled to [0, 1]."""
    if isinstance(source, (str, os.PathLike)):
        source = open_image(source, name).image
    elif isinstance(source, Image.Image):
        source = apply_orientation(load_image(source, name))[0]
    if isinstance(source, Image.Image):
        if source.mode.startswith("I"):
            return np.asarray(source).astype(np.float32) / 65535
        return np.asarray(source.convert("L")) / np.float32(255)
    if isinstance(source, (np.ndarray, Tensor)):
        return _as_array(source)
    raise InputError(f"{name}: cannot read a mask from {type(source).__name__}")
