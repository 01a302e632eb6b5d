"""Masks read: a picture, array or mapping to the region that each pixel of a photo belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import InputError, printable, warn
from fastphoto.photos.decode import apply_orientation, load_image, open_image
from fastphoto.regions.masks import MAXIMUM_REGIONS, MaskSource, RegionMasks
from fastphoto.regions.palette import CLOSE, PALETTE, enough, extreme3, snap
from fastphoto.regions.resizing import resize_masks


def read_masks(
    source: MaskSource,
    size: tuple[int, int],
    role: Literal["content", "style"] = "content",
    other_size: tuple[int, int] | None = None,
    shrunk: tuple[int, int] | None = None,
    kind: Literal["mask", "strokes"] = "mask",
) -> RegionMasks:
    """Read the mask of one photo, or a picture of strokes to grow into one, which messages then speak of.

    source: None for one region "all"; or a path, PIL image, array or tensor:
      a picture in the nine palette colours (`PALETTE`), lossless or smeared by JPEG, WebP or resizing; also
      as an array (H, W, 3) of uint8 or of float in [0, 1];
      class ids: a grey, 16-bit or indexed picture, or an integer array (H, W); names are the numbers as text,
      negative ids belong to no region;
      soft masks: an array (R, H, W) of uint8 or of float in [0, 1], named "0" to "R-1", or a mapping from
      name to (H, W) array, path or PIL image of a grey mask; `RegionMasks` that something else made.
    Transparent pixels belong to no region. EXIF orientation is applied.
    size: (H, W) of the photo, after orientation. A mask of the same aspect (within 2 %) is resized with a
    FastPhotoWarning, to the nearest label. other_size: that of the other photo, to notice swapped masks.
    shrunk: (h, w) that the masks are wanted at, if not at the photo's size; region by region, for at 12 megapixels
    each weighs 48 MB.

    Raises InputError for another aspect, for more than 64 regions, for colours off the palette on more than
    5 % of the pixels and for values outside their range; FileError for a file that cannot be read.
    """
    name = f"{role} {kind}"
    if source is None:
        return RegionMasks(("all",), torch.ones(1, *(shrunk or size)))
    if isinstance(source, (str, os.PathLike)):
        name = f"{role} {kind} {printable(source)}"
        opened = open_image(source)
        found = _read_image(opened.image, name, opened.format)
    elif isinstance(source, Image.Image):
        found = _read_image(apply_orientation(load_image(source, name))[0], name, source.format)
    elif isinstance(source, RegionMasks):
        found = _read_mapping(_checked(source, name), size, name)
    elif isinstance(source, Mapping):
        found = _read_mapping(source, size, name)
    elif isinstance(source, (np.ndarray, Tensor)):
        found = _read_array(_as_array(source), size, name)
    else:
        raise InputError(f"{name}: cannot read a mask from {type(source).__name__}")
    names, values = found
    if len(names) > MAXIMUM_REGIONS:
        raise InputError(f"{name}: {len(names)} regions; at most {MAXIMUM_REGIONS} (is it a photo?)")
    if not names:
        raise InputError(f"{name}: no pixel belongs to a region")
    if values.dtype == np.float32:
        return RegionMasks(
            names, resize_masks(_fit_soft(torch.from_numpy(values), size, name, other_size), shrunk or size)
        )
    values = _fit_hard(values, size, name, other_size)
    masks = torch.empty(len(names), *(shrunk or size))
    for r in range(len(names)):
        masks[r] = resize_masks(torch.from_numpy(values == r).float()[None], shrunk or size)[0]
    return RegionMasks(names, masks)


def _checked(labels: RegionMasks, name: str) -> dict[str, Tensor]:
    """RegionMasks as a mapping."""
    names, masks = tuple(labels.names), labels.masks
    if masks.ndim != 3 or len(masks) != len(names) or len(set(names)) != len(names):
        raise InputError(
            f"{name}: RegionMasks of {len(names)} names, {len(set(names))} different ones, with masks of shape "
            f"{tuple(masks.shape)}; give each mask of (R, H, W) a name of its own"
        )
    return dict(zip(names, masks, strict=True))


# What the readers return: the names, and either region numbers (H, W) int16 with -1 for none, or soft masks
# (R, H, W) float32.
_Found = tuple[tuple[str, ...], np.ndarray]


def _read_image(image: Image.Image, name: str, file_format: str | None) -> _Found:
    if image.mode == "F":
        raise InputError(f"{name}: a float picture is no mask; give soft masks as an array (R, H, W) or by name")
    clear = None
    if image.has_transparency_data:
        alpha = np.asarray(image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA")).getchannel("A"))
        clear = alpha < 128
        if ((alpha > 12) & (alpha < 243)).mean() > 0.01:
            warn(f"{name}: partly transparent pixels; half or more counts as part of the region")
    if image.mode.startswith("I"):
        names, index = _class_ids(np.asarray(image).astype(np.int64))
    elif image.mode in ("L", "P") and not (image.mode == "L" and file_format == "JPEG"):
        values = np.asarray(image)
        names, index = _class_ids(values) if _holds_ids(image, values, clear) else _snapped(_rgb(image), clear, name)
    else:
        names, index = _snapped(_rgb(image), clear, name)
    if clear is not None:
        index = np.where(clear, np.int16(-1), index)
    return _only_present(names, index)


def _snapped(rgb: np.ndarray, clear: np.ndarray | None, name: str) -> _Found:
    """`snap` of what is to be seen: a clear pixel has the colour of the nearest that is not, whatever lies beneath."""
    if clear is not None and clear.any() and not clear.all():
        from scipy.ndimage import distance_transform_edt  # here, for it takes a while to load and few calls need it

        rows, columns = distance_transform_edt(clear, return_distances=False, return_indices=True)
        rgb = rgb[rows, columns]
    elif clear is not None and clear.all():
        rgb = np.zeros_like(rgb)
    return snap(rgb, name)


def _rgb(image: Image.Image) -> np.ndarray:
    if image.has_transparency_data:
        image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA")).convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _holds_ids(image: Image.Image, values: np.ndarray, clear: np.ndarray | None) -> bool:
    """Whether a grey or indexed picture holds class ids: its areas are not distinct palette colours."""
    low, high = extreme3(values, np.minimum), extreme3(values, np.maximum)
    flat = low == high
    counts = np.bincount(values[flat if clear is None else flat & ~clear], minlength=256)
    areas = np.flatnonzero(counts >= enough(values.size))
    if not len(areas):
        areas = np.unique(values if clear is None else values[~clear])
    if image.mode == "L":
        return not set(areas.tolist()) <= {0, 127, 128, 255}
    table = np.zeros((256, 3), int)
    given = np.asarray(image.getpalette("RGB") or [], int).reshape(-1, 3)
    table[: len(given)] = given
    distance = np.abs(table[areas, None] - np.array(list(PALETTE.values()))).max(-1)
    return bool((distance.min(1) > CLOSE).any() or len(set(distance.argmin(1).tolist())) < len(areas))


def _class_ids(values: np.ndarray) -> _Found:
    ids, index = np.unique(values, return_inverse=True)
    if len(ids) > np.iinfo(np.int16).max:  # the caller refuses this many; int16 must not wrap before
        return tuple(map(str, ids.tolist())), np.zeros(values.shape, np.int16)
    negative = int((ids < 0).sum())
    index = np.maximum(index.reshape(values.shape) - negative, -1)
    return tuple(map(str, ids[negative:].tolist())), index.astype(np.int16)


def _only_present(names: tuple[str, ...], index: np.ndarray) -> _Found:
    present = np.flatnonzero(np.bincount((index + 1).ravel(), minlength=len(names) + 1)[1:])
    if len(present) == len(names):
        return names, index
    renumber = np.full(len(names) + 1, -1, np.int16)
    renumber[present + 1] = np.arange(len(present))
    return tuple(names[i] for i in present), renumber[index + 1]


def _as_array(source: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        return source.float().numpy() if source.dtype.is_floating_point else source.numpy()
    return source


def _read_array(array: np.ndarray, size: tuple[int, int], name: str) -> _Found:
    shape = "x".join(map(str, array.shape))
    if array.dtype.kind not in "buif":
        raise InputError(f"{name}: array of {array.dtype}; give integers, or float in [0, 1]")
    if array.size == 0:
        raise InputError(f"{name}: array of shape {shape} is empty")
    if array.ndim == 3 and array.shape[-1] == 1 and array.shape[:2] == tuple(size):
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
    is_picture = array.shape[-1] in (3, 4) and (array.shape[:2] == tuple(size) or array.shape[1:] != tuple(size))
    if not is_picture:
        if array.shape[0] > MAXIMUM_REGIONS:
            raise InputError(f"{name}: array of shape {shape} has {array.shape[0]} regions; at most {MAXIMUM_REGIONS}")
        return tuple(map(str, range(array.shape[0]))), _soft(array, name)
    if array.dtype.kind == "f":
        array = (_soft(array, name) * 255).round()
    elif array.min() < 0 or array.max() > 255:
        raise InputError(f"{name}: colours from {array.min()} to {array.max()}; wanted 0 to 255")
    array = array.astype(np.uint8)
    clear = array[..., 3] < 128 if array.shape[-1] == 4 else None
    names, index = _snapped(array[..., :3], clear, name)
    if clear is not None:
        index = np.where(clear, np.int16(-1), index)
    return _only_present(names, index)


def _soft(array: np.ndarray, name: str) -> np.ndarray:
    """Soft mask values as float32 in [0, 1]."""
    if array.dtype.kind not in "buif":
        raise InputError(f"{name}: array of {array.dtype}; give float in [0, 1], uint8 or bool")
    values = array.astype(np.float32)
    if array.dtype == np.uint8 and values.max(initial=0) > 1:
        values /= 255
    low, high = values.min(initial=0), values.max(initial=0)
    if not (low >= -0.001 and high <= 1.001):  # also refuses NaN
        raise InputError(f"{name}: soft mask values from {low:.4g} to {high:.4g}; wanted [0, 1]")
    return values.clip(0, 1)


def _read_mapping(source: Mapping, size: tuple[int, int], name: str) -> _Found:
    if not source:
        raise InputError(f"{name}: the mapping is empty; give name -> mask")
    if len(source) > MAXIMUM_REGIONS:
        raise InputError(f"{name}: {len(source)} regions; at most {MAXIMUM_REGIONS}")
    masks = []
    for key, value in source.items():
        label = f"{name} {key!r}"
        if isinstance(value, (str, os.PathLike)):
            value = open_image(value).image
        elif isinstance(value, Image.Image):
            value = apply_orientation(load_image(value, label))[0]
        if isinstance(value, Image.Image):
            deep = value.mode.startswith("I")
            value = (
                np.asarray(value).astype(np.float32) / 65535
                if deep
                else np.asarray(value.convert("L")) / np.float32(255)
            )
        elif isinstance(value, (np.ndarray, Tensor)):
            value = _as_array(value)
        else:
            raise InputError(f"{label}: cannot read a mask from {type(value).__name__}")
        if value.ndim != 2:
            raise InputError(f"{label}: shape {'x'.join(map(str, value.shape))}; wanted (H, W)")
        if masks and value.shape != masks[0].shape:
            raise InputError(f"{label}: {value.shape[1]}x{value.shape[0]} pixels, the others differ; give one size")
        masks.append(_soft(value, label))
    return tuple(map(str, source)), np.stack(masks)


def _must_resize(got: tuple[int, int], size: tuple[int, int], name: str, other_size: tuple[int, int] | None) -> bool:
    if tuple(got) == tuple(size):
        return False
    if abs(np.log(got[0] * size[1] / (got[1] * size[0]))) > 0.02:
        swapped = "; are the content and style masks swapped?" if other_size and tuple(got) == tuple(other_size) else ""
        raise InputError(f"{name}: {got[1]}x{got[0]} pixels do not fit the photo's {size[1]}x{size[0]}{swapped}")
    warn(f"{name}: {got[1]}x{got[0]} pixels, resized to the photo's {size[1]}x{size[0]}")
    return True


def _fit_hard(index: np.ndarray, size: tuple[int, int], name: str, other: tuple[int, int] | None) -> np.ndarray:
    if not _must_resize(index.shape, size, name, other):
        return index
    rows, columns = (((np.arange(n) + 0.5) * old / n).astype(int) for n, old in zip(size, index.shape, strict=True))
    return index[rows][:, columns]


def _fit_soft(masks: Tensor, size: tuple[int, int], name: str, other: tuple[int, int] | None) -> Tensor:
    if not _must_resize((masks.shape[1], masks.shape[2]), size, name, other):
        return masks
    return F.interpolate(masks[None], size, mode="bilinear", antialias=True)[0].clamp_(0, 1)
