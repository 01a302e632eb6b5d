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
from fastphoto.photos.input_files import is_file_source
from fastphoto.photos.resize import same_aspect
from fastphoto.regions.mask_forms import (
    NAMES,
    NUMBERS,
    TWO_VALUES,
    Forms,
    NamedValues,
    OpenedMask,
    forms_of_numbers,
    forms_of_picture,
)
from fastphoto.regions.masks import MAXIMUM_REGIONS, MaskSource, OneMask, RegionMasks
from fastphoto.regions.resizing import fit_masks
from fastphoto.runtime.host_state import apart_from_host

Size = tuple[int, int]


@apart_from_host
def read_masks(
    source: MaskSource | OpenedMask,
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
      image, bytes or a binary stream, or an array or tensor (H, W, 3) of uint8 or of float in [0, 1].
    - A lossless picture whose areas have colours of Pascal VOC, Cityscapes or ADE20K, with or without blends on edges;
      the classes are the names.
    - Class ids: a grey, 16-bit or indexed picture, or an integer array (H, W). The ids as text are the names; negative
      ids belong to no region.
    - Soft masks: an array (R, H, W) of uint8 or of float in [0, 1], named "0" to "R-1"; or a mapping from names to
      arrays (H, W), or to paths or PIL images of masks: grey, float, or indexed with two values. Values that are all
      0 or 1 are not scaled.
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
    if source is None:
        return RegionMasks(("all",), torch.ones(1, *(shrunk or size), dtype=torch.float32))
    name, forms = _forms(source, size, f"{role} {kind}")
    return _fitted(next(iter(forms.values())), size, name, other_size, shrunk)


def read_mask_pair(
    sources: tuple[MaskSource | OpenedMask, MaskSource | OpenedMask],
    sizes: tuple[Size, Size],
    shrunk: tuple[Size, Size],
    kind: Literal["mask", "strokes"] = "mask",
) -> tuple[RegionMasks, RegionMasks]:
    """Read the masks of content and style in one form, so that class numbers never meet colours.

    A picture may be read as class numbers, in the nine colours or in those of a data set, and each of content and
    style alone may look like something else than both together: classes 0 and 7 in the colours of Pascal VOC are
    black and grey, beside a class 15 they are not. Both are read in the form that is the most likely of those that
    both have. A mask of names takes the form of the other that has most of these names.

    Args:
        sources: masks of content and style, as `read_masks` takes them, or as `open_mask` returns them.
        sizes: sizes of the photos, (H, W).
        shrunk: sizes of the masks to return, (h, w).
        kind: kind of the sources in messages.

    Returns:
        The masks of content and style.

    Raises:
        InputError: as `read_masks`, and masks that have no form in common.
        FileError: a file that cannot be read.

    Example:
        >>> on_and_off = np.array([[0, 1], [1, 1]]), np.array([[255, 0], [0, 0]])
        >>> content, style = read_mask_pair(on_and_off, ((2, 2), (2, 2)), ((2, 2), (2, 2)))
        >>> content.names, style.names
        (('0', '1'), ('0', '1'))
    """
    content, style = sources
    if content is None or style is None:
        return (
            read_masks(content, sizes[0], "content", sizes[1], shrunk[0], kind),
            read_masks(style, sizes[1], "style", sizes[0], shrunk[1], kind),
        )
    content_name, content_forms = _forms(content, sizes[0], f"content {kind}")
    style_name, style_forms = _forms(style, sizes[1], f"style {kind}")
    for name, forms in ((content_name, content_forms), (style_name, style_forms)):
        _check_count(min(len(names) for names, _ in forms.values()), name)
    content_form, style_form = _forms_in_common(content_forms, style_forms, kind)
    return (
        _fitted(content_forms[content_form], sizes[0], content_name, sizes[1], shrunk[0]),
        _fitted(style_forms[style_form], sizes[1], style_name, sizes[0], shrunk[1]),
    )


def open_mask(source: MaskSource | OpenedMask, size: Size, name: str) -> OpenedMask | None:
    """Read the file of a mask, once for several uses of it in `read_mask_pair`; None stays None.

    Args:
        source: mask, as `read_masks` takes it.
        size: size of the photo, (H, W).
        name: name of the mask in messages, such as "style mask".

    Raises:
        InputError, FileError: as `read_masks`.

    Example:
        >>> open_mask(np.array([[0, 1], [1, 1]]), (2, 2), "style mask").name
        'style mask'
    """
    return None if source is None else OpenedMask(*_forms(source, size, name))


def _forms_in_common(content: Forms, style: Forms, kind: str) -> tuple[str, str]:
    """Return the forms to read content and style in."""
    if NAMES in content or NAMES in style:
        pairs = [(one, other) for one in content for other in style]
        # max() takes the first of equal ones, so the most likely.
        return max(pairs, key=lambda pair: len(set(content[pair[0]][0]) & set(style[pair[1]][0])))
    rank = {form: list(content).index(form) + list(style).index(form) for form in content if form in style}
    if rank:
        form = min(rank, key=rank.__getitem__)
        form = TWO_VALUES if form == NUMBERS and TWO_VALUES in rank else form
        return form, form
    if all(len(names) == 1 for forms in (content, style) for names, _ in forms.values()):
        return next(iter(content)), next(iter(style))  # whole photos pair whatever their names
    pictures = "masks" if kind == "mask" else "pictures of strokes"
    raise InputError(
        f"{pictures}: that of the content is in {' or '.join(content)}, that of the style in {' or '.join(style)}; "
        "save both in one form, for example as class numbers in a grey PNG"
    )


def _forms(
    source: OneMask | Mapping[str, OneMask] | RegionMasks | OpenedMask, size: Size, name: str
) -> tuple[str, Forms]:
    """Return the name of a source in messages, and its forms."""
    if isinstance(source, OpenedMask):
        return source.name, source.forms
    if is_file_source(source):
        name = f"{name} {printable(source)}" if isinstance(source, (str, os.PathLike)) else name
        opened = open_image(source, name)
        return name, forms_of_picture(opened.image, opened.format, name)
    if isinstance(source, Image.Image):
        return name, forms_of_picture(apply_orientation(load_image(source, name))[0], source.format, name)
    if isinstance(source, RegionMasks):
        source = _by_name(source, name)
    if isinstance(source, Mapping):
        return name, {NAMES: _read_mapping(source, name)}
    if isinstance(source, (np.ndarray, Tensor)):
        return name, _forms_of_array(_as_array(source), (size[0], size[1]), name)
    raise InputError(f"{name}: cannot read a mask from {type(source).__name__}")


def _check_count(count: int, name: str) -> None:
    if count > MAXIMUM_REGIONS:
        raise InputError(f"{name}: {count} regions; at most {MAXIMUM_REGIONS} (is it a photo?)")


def _fitted(regions: NamedValues, size: Size, name: str, other_size: Size | None, shrunk: Size | None) -> RegionMasks:
    """Return named values as masks of a photo's size, or of the size `shrunk`."""
    names, values = regions
    size = size[0], size[1]
    _check_count(len(names), name)
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


def _as_array(source: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        return source.float().numpy() if source.dtype.is_floating_point else source.numpy()
    return source


def _forms_of_array(array: np.ndarray, size: tuple[int, int], name: str) -> Forms:
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
        return forms_of_numbers(array.astype(np.uint8) if array.dtype.kind == "b" else array)
    if array.ndim != 3:
        raise InputError(f"{name}: array of shape {shape}; give (H, W), (H, W, 3) or (R, H, W)")
    if array.shape[-1] in (3, 4) and (array.shape[:2] == size or array.shape[1:] != size):
        return _forms_of_coloured(array, name)
    if array.shape[0] > MAXIMUM_REGIONS:
        raise InputError(f"{name}: array of shape {shape} has {array.shape[0]} regions; at most {MAXIMUM_REGIONS}")
    return {NAMES: (tuple(map(str, range(array.shape[0]))), _soft_values(array, name))}


def _forms_of_coloured(array: np.ndarray, name: str) -> Forms:
    if array.dtype.kind == "f":
        array = (_soft_values(array, name) * 255).round()
    elif array.min() < 0 or array.max() > 255:
        raise InputError(f"{name}: colours from {array.min()} to {array.max()}; expected 0 to 255")
    array = array.astype(np.uint8)
    return forms_of_picture(Image.fromarray(array), None, name)


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


def _read_mapping(source: Mapping[str, OneMask], name: str) -> NamedValues:
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
    if is_file_source(source):
        source = open_image(source, name).image
    elif isinstance(source, Image.Image):
        source = apply_orientation(load_image(source, name))[0]
    if isinstance(source, Image.Image):
        return _values_of_picture(source, name)
    if isinstance(source, (np.ndarray, Tensor)):
        return _as_array(source)
    raise InputError(f"{name}: cannot read a mask from {type(source).__name__}")


def _values_of_picture(image: Image.Image, name: str) -> np.ndarray:
    """Return the values (H, W) of one mask; if none is above 1, they are 0 and 1 or float."""
    if image.mode == "F":
        return np.asarray(image)
    if image.mode == "P" and not _has_grey_table(image):
        numbers = np.asarray(image)
        count = len(np.unique(numbers))
        if count > 2:
            raise InputError(f"{name}: an indexed picture of {count} values; give a grey picture of this region alone")
        return (numbers == numbers.max()) & (numbers > 0)
    deep = image.mode.startswith("I")
    values = np.asarray(image if deep else image.convert("L")).astype(np.float32)
    return values if values.max(initial=0) <= 1 else values / np.float32(65535 if deep else 255)


def _has_grey_table(image: Image.Image) -> bool:
    table = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    return bool((table == table[:, :1]).all())
