"""Results written: pixels to the kind of object or file that the photo came as."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import FileError, InputError, printable, warn
from fastphoto.photos.colour_profiles import from_srgb
from fastphoto.photos.formats import SAVE_OPTIONS, SIXTEEN_BIT_FORMATS, WRITE_FORMATS
from fastphoto.photos.photo import Photo
from fastphoto.photos.sixteen_bits import can_read_sixteen_bits, encode_sixteen_bits
from fastphoto.runtime.files import write_file


def check_output(path: str | os.PathLike, inputs: Iterable[object] = ()) -> str:
    """Refuse, before any work, an output path that cannot be written; returns the format it is going to have.

    inputs: the sources of the run; those that are paths must not be the output's file.
    Raises InputError for an unknown extension and for an output that is an input, FileError for a missing or
    unwritable folder and for an output that is a folder or a device.
    """
    name = printable(path)
    file_format = WRITE_FORMATS.get(os.path.splitext(name)[1].lower())
    if os.path.isdir(path):
        raise FileError(f"{name}: is a folder; give a file name")
    if file_format is None:
        raise InputError(f"{name}: cannot write this kind of file; use one of {', '.join(WRITE_FORMATS)}")
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileError(f"{name}: the folder {printable(folder)} does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"{name}: no permission to write in the folder {printable(folder)}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{name}: exists and is not a regular file")
    for source in inputs:
        if (
            isinstance(source, (str, os.PathLike))
            and os.path.exists(source)
            and os.path.exists(path)
            and os.path.samefile(source, path)
        ):
            raise InputError(f"{name}: is also an input; write the result to another file")
    return file_format


def write_image(path: str | os.PathLike, image: Image.Image, file_format: str, options: dict[str, Any]) -> None:
    """Write an image so that the file is complete or untouched; raises FileError where writing fails."""
    write_file(path, lambda file: image.save(file, format=file_format, **options))


def to_source_kind(photo: Photo, pixels: Tensor) -> Image.Image | np.ndarray | Tensor:
    """Give a result back as the kind `photo` came in.

    pixels: (3, H, W) float, sRGB-encoded; values are clamped to [0, 1].

    A path or a PIL image gives a PIL image (RGB, or RGBA with the photo's alpha) with its EXIF data,
    resolution and RGB profile; 16-bit grey files come back with 8 bits. An array gives an array (H, W, 3) or
    (H, W, 4) of the same dtype; a tensor gives (3, H, W) or (4, H, W), or (1, C, H, W), of the same dtype, on
    the device of `photo.pixels`. A grey source comes back in colour. Raises InputError for NaN or infinite
    pixels.
    """
    if pixels.ndim != 3 or pixels.shape[0] != 3:
        raise InputError(f"result for {photo.name}: shape {tuple(pixels.shape)}; wanted (3, H, W)")
    pixels = pixels.detach()
    if not torch.isfinite(pixels.sum()):
        raise InputError(f"result for {photo.name}: holds NaN or infinite values")
    if photo.kind in ("path", "pil"):
        return _image_of(photo, pixels)
    values = _with_alpha(photo, pixels)
    if photo.kind == "tensor":
        assert isinstance(photo.dtype, torch.dtype)
        values = _quantised(values, 255) if photo.dtype == torch.uint8 else values.clamp(0, 1)
        values = values.to(photo.pixels.device, photo.dtype)
        return values.unsqueeze(0) if photo.layout == "nchw" else values
    assert isinstance(photo.dtype, np.dtype)
    integer = photo.dtype.kind == "u"
    values = _quantised(values, 2**photo.bits - 1) if integer else values.clamp(0, 1)
    return np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy().astype(photo.dtype))


def _quantised(values: Tensor, top: int) -> Tensor:
    return values.mul(top).round_().clamp_(0, top)


def _with_alpha(photo: Photo, pixels: Tensor) -> Tensor:
    if photo.alpha is None:
        return pixels
    alpha = photo.alpha.to(pixels)[None]
    if alpha.shape[1:] != pixels.shape[1:]:
        alpha = F.interpolate(alpha[None], pixels.shape[1:], mode="bilinear", antialias=True)[0]
    return torch.cat([pixels, alpha])


def _image_of(photo: Photo, pixels: Tensor) -> Image.Image:
    values = _quantised(_with_alpha(photo, pixels), 255).to(torch.uint8)
    image = Image.fromarray(np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy()))
    if photo.icc is not None and not photo.icc_is_srgb:
        colour = from_srgb(image.convert("RGB"), photo.icc)
        if photo.alpha is not None:
            colour.putalpha(image.getchannel("A"))
        image = colour
    for key, value in (("icc_profile", photo.icc), ("exif", photo.exif), ("dpi", photo.dpi)):
        if value is not None:
            image.info[key] = value
    return image


def write_photo(path: str | os.PathLike, photo: Photo, pixels: Tensor) -> None:
    """Write a result (3, H, W) for `photo` to a file, whole or not at all.

    The extension chooses PNG, JPEG (quality 95, full chroma), TIFF or WebP; 8 bits per channel, or 16 in a PNG or TIFF
    of a photo whose file has more than 8, where libvips is installed (`fastphoto[deep]`). Alpha is
    flattened on white, with a FastPhotoWarning, where the format has none. An existing file is replaced only
    when the new one is complete. Raises as `check_output` and `to_source_kind` do, and FileError where writing
    fails.
    """
    name, file_format = printable(path), check_output(path)
    if not torch.isfinite(pixels.sum()):
        raise InputError(f"result for {photo.name}: holds NaN or infinite values")
    if photo.kind == "path" and photo.bits > 8 and file_format in SIXTEEN_BIT_FORMATS and can_read_sixteen_bits():
        values = _quantised(_with_alpha(photo, pixels.detach()), 65535).permute(1, 2, 0).cpu().numpy()
        exif = photo.exif if file_format == "PNG" else None
        data = encode_sixteen_bits(
            values.astype(np.uint16), file_format, photo.icc, not photo.icc_is_srgb, photo.dpi, exif
        )
        write_file(path, lambda file: file.write(data))
        return
    image = _image_of(photo, pixels.detach())
    options = SAVE_OPTIONS[file_format] | {k: image.info[k] for k in ("icc_profile", "exif", "dpi") if k in image.info}
    if file_format == "JPEG" and image.mode == "RGBA":
        warn(f"{name}: JPEG has no transparency; flattened on white")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    write_image(path, image, file_format, options)
