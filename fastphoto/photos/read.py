"""Photos read: a path, PIL image, array or tensor becomes a `Photo`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastphoto.errors import InputError, error_text, printable, warn
from fastphoto.photos.arrays import checked_unit_range, photo_of_array, photo_of_tensor
from fastphoto.photos.colour_profiles import to_srgb
from fastphoto.photos.decode import apply_orientation, load_image, open_image
from fastphoto.photos.formats import SIXTEEN_BIT_FORMATS, WIDE_GREY_MODES
from fastphoto.photos.photo import MINIMUM_SIDE, Photo, PhotoSource
from fastphoto.photos.sixteen_bits import can_read_sixteen_bits, read_sixteen_bits


def read_photo(source: PhotoSource, role: str = "content") -> Photo:
    """Decode one photograph; a `Photo` is returned as it is.

    source: a path; a PIL image; a numpy array (H, W, 3), (H, W, 4), (H, W) or (H, W, 1) of uint8, uint16 or
    float in [0, 1]; a tensor (C, H, W) or (1, C, H, W) with C of 1, 3 or 4, of uint8 or float in [0, 1]
    (detached). Grey becomes colour; an alpha channel is kept apart and given back with the result.
    role: what messages call a source that has no path.

    Files: PNG, JPEG, TIFF, WebP, BMP, PPM, GIF (first frame) and AVIF. The EXIF orientation is applied. An
    RGB profile other than sRGB, CMYK and grey profiles are converted to sRGB, in 8 bits; colours outside sRGB
    are clipped. 16 bits per channel are kept; those of colour need libvips (`fastphoto[deep]`).

    Raises FileError for a file that cannot be read and InputError for values, types or sizes that cannot be
    used (a side below 16 pixels, floats outside [0, 1], integers other than uint8 and uint16). Warns with
    FastPhotoWarning where it accepts with a change.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, Image.Image):
        photo = _photo_of_image(*apply_orientation(load_image(source, role)), "pil", role, source.format)
    elif isinstance(source, np.ndarray):
        photo = photo_of_array(source, role)
    elif isinstance(source, Tensor):
        photo = photo_of_tensor(source, role)
    elif isinstance(source, (str, os.PathLike)):
        opened = open_image(source)
        photo = _photo_of_image(opened.image, opened.exif, "path", printable(source), opened.format)
        if opened.deep:
            photo = _with_all_bits(photo, source)
    else:
        raise InputError(
            f"{role}: cannot read a photo from {type(source).__name__}; give a path, PIL image, array or tensor"
        )
    if min(photo.size) < MINIMUM_SIDE:
        height, width = photo.size
        raise InputError(f"{photo.name}: {width}x{height} pixels; each side must have at least {MINIMUM_SIDE}")
    return photo


def _with_all_bits(photo: Photo, path: str | os.PathLike) -> Photo:
    """A photo whose file holds 16 bits a channel, with those instead of the eight that Pillow reads."""
    if photo.format not in SIXTEEN_BIT_FORMATS or not can_read_sixteen_bits():
        hint = "; pip install fastphoto[deep] reads and writes 16" if photo.format in SIXTEEN_BIT_FORMATS else ""
        warn(f"{photo.name}: more than 8 bits per colour channel; read with 8 bits{hint}")
        return photo
    values = torch.from_numpy(read_sixteen_bits(path, wide=not photo.icc_is_srgb).astype(np.float32)).div_(65535)
    planes = values.permute(2, 0, 1).contiguous()
    return replace(photo, pixels=planes[:3], alpha=planes[3] if len(planes) == 4 else photo.alpha, bits=16)


def _photo_of_image(image: Image.Image, exif: bytes | None, kind: str, name: str, file_format: str | None) -> Photo:
    info = image.info
    dpi = info.get("dpi")
    shared: dict[str, Any] = {"kind": kind, "name": name, "exif": exif, "format": file_format}
    if isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(d) < 1e6 for d in dpi):
        shared["dpi"] = (float(dpi[0]), float(dpi[1]))
    if image.mode in WIDE_GREY_MODES:
        if info.get("icc_profile"):
            warn(f"{name}: the colour profile of a {image.mode} image is not applied; read as sRGB")
        grey = _deep_grey(image, name)
        return Photo(grey.expand(3, -1, -1).contiguous(), None, bits=32 if image.mode == "F" else 16, **shared)
    try:
        alpha = None
        if image.has_transparency_data:
            grey = image.mode in ("LA", "La")
            straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA")).convert("RGBA")
            alpha = _planes(straight.getchannel("A"))[0]
            image = straight.convert("L" if grey else "RGB")
        elif image.mode not in ("RGB", "L", "CMYK"):
            image = image.convert("L" if image.mode == "1" else "RGB")
        image, icc, is_srgb = to_srgb(image, info.get("icc_profile"), name)
        pixels = _planes(image)
    except (ValueError, OSError) as error:
        raise InputError(f"{name}: a {image.mode} image cannot be read as a photo ({error_text(error)})") from error
    return Photo(pixels.expand(3, -1, -1).contiguous(), alpha, icc=icc, icc_is_srgb=is_srgb, **shared)


def _planes(image: Image.Image) -> Tensor:
    """An 8-bit image as (C, H, W) float32 in [0, 1]."""
    values = np.array(image)
    planes = torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1)
    return planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def _deep_grey(image: Image.Image, name: str) -> Tensor:
    values = np.array(image)
    if image.mode == "F":
        return checked_unit_range(torch.from_numpy(values.astype(np.float32)), name)
    if image.mode == "I" and (values.min() < 0 or values.max() > 65535):
        raise InputError(f"{name}: 32-bit grey values {values.min()} to {values.max()}; only 0 to 65535 can be read")
    return torch.from_numpy(values.astype(np.float32)).div_(65535)
