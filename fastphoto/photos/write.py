"""Writing of results, as the kind of object that the photo was read from or as a file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import FileError, InputError, error_text, printable, warn
from fastphoto.photos.colour_profiles import from_srgb
from fastphoto.photos.formats import SAVE_OPTIONS, SIXTEEN_BIT_FORMATS, WRITE_FORMATS
from fastphoto.photos.photo import Photo
from fastphoto.photos.sixteen_bits import can_read_sixteen_bits, encode_sixteen_bits
from fastphoto.runtime.files import check_target, write_file
from fastphoto.runtime.host_state import apart_from_host


@apart_from_host
def to_source_kind(photo: Photo, pixels: Tensor) -> Image.Image | np.ndarray[Any, Any] | Tensor:
    """Return a result as the kind of object that its photo was read from.

    A grey photo comes back in colour. The alpha of the photo is added, resized if necessary.

    Args:
        photo: photo that the result belongs to.
        pixels: result (3, H, W), float, sRGB; values are clamped to [0, 1].

    Returns:
        For a path or PIL image: a PIL image of 8 bits a channel, RGB or RGBA, with the EXIF data, resolution and RGB
        profile of the photo. For an array: an array (H, W, 3) or (H, W, 4) of the same dtype. For a tensor: a tensor
        (3, H, W) or (4, H, W), or (1, C, H, W) if the photo had four dimensions, of the same dtype, on the device of
        `photo.pixels`.

    Raises:
        InputError: a wrong shape, or pixels that are NaN or infinite.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> photo = read_photo(np.zeros((16, 20, 3), np.uint8))
        >>> result = to_source_kind(photo, photo.pixels + 0.5)
        >>> type(result).__name__, result.dtype, int(result[0, 0, 0])
        ('ndarray', dtype('uint8'), 128)
    """
    pixels = _checked(photo, pixels)
    if photo.kind == "tensor":
        assert isinstance(photo.dtype, torch.dtype)
        values = _with_alpha(photo, pixels)
        values = _quantised(values, 255) if photo.dtype == torch.uint8 else values.clamp(0, 1)
        values = values.to(photo.pixels.device, photo.dtype)
        return values.unsqueeze(0) if photo.layout == "nchw" else values
    if photo.kind == "numpy":
        assert isinstance(photo.dtype, np.dtype)
        values = _with_alpha(photo, pixels)
        values = _quantised(values, 2**photo.bits - 1) if photo.dtype.kind == "u" else values.clamp(0, 1)
        return _channels_last(values, photo.dtype)
    return _image_of(photo, pixels)


@apart_from_host
def write_photo(path: str | os.PathLike[str], photo: Photo, pixels: Tensor) -> None:
    """Write a result to a file, so that the file is complete or untouched.

    The extension chooses PNG, JPEG (quality 95, full chroma), TIFF or WebP. Channels have 8 bits; they have 16 in a PNG
    or TIFF if the photo was read from a file of more than 8 and libvips is installed (`pip install fastphoto[deep]`).
    A format without alpha gets white where the photo is transparent, with a FastPhotoWarning.

    Args:
        path: file to write; an existing one is replaced once the new one is complete.
        photo: photo that the result belongs to; gives alpha, EXIF data, resolution and colour profile.
        pixels: result (3, H, W), float, sRGB; values are clamped to [0, 1].

    Raises:
        InputError: an unknown extension, a wrong shape, or pixels that are NaN or infinite.
        FileError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from fastphoto.photos.read import read_photo
        >>> photo = read_photo(np.zeros((16, 20, 3), np.uint8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_photo(f"{folder}/brighter.png", photo, photo.pixels + 0.5)
        ...     read_photo(f"{folder}/brighter.png").size
        (16, 20)
    """
    file_format = check_output(path)
    data = encode_photo(photo, pixels, file_format, printable(path))
    write_file(path, lambda file: file.write(data))


def encode_photo(photo: Photo, pixels: Tensor, file_format: str, name: str = "result") -> bytes:
    """Return the content of the file that `write_photo` writes.

    Args:
        photo: photo that the result belongs to.
        pixels: result (3, H, W), float, sRGB; values are clamped to [0, 1].
        file_format: "PNG", "JPEG", "TIFF" or "WEBP".
        name: name of the result in messages.

    Raises:
        InputError: a wrong shape, or pixels that are NaN or infinite.
        FileError: the format cannot hold the result.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> photo = read_photo(np.zeros((16, 20, 3), np.uint8))
        >>> encode_photo(photo, photo.pixels, "PNG")[1:4]
        b'PNG'
    """
    pixels = _checked(photo, pixels)
    if photo.kind == "path" and photo.bits > 8 and file_format in SIXTEEN_BIT_FORMATS and can_read_sixteen_bits():
        exif = photo.exif if file_format == "PNG" else None
        values = _channels_last(_quantised(_with_alpha(photo, pixels), 65535), np.dtype(np.uint16))
        return encode_sixteen_bits(values, file_format, photo.icc, not photo.icc_is_srgb, photo.dpi, exif)
    image = _image_of(photo, pixels)
    options = dict(SAVE_OPTIONS[file_format]) | {
        k: image.info[k] for k in ("icc_profile", "exif", "dpi") if k in image.info
    }
    if file_format == "JPEG" and image.mode == "RGBA":
        warn(f"{name}: JPEG has no transparency; flattened on white")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    data = io.BytesIO()
    try:
        image.save(data, format=file_format, **options)
    except Exception as error:  # Pillow raises several kinds, such as ValueError for a size too large
        raise FileError(f"{name}: cannot be written ({error_text(error)})") from error
    return data.getvalue()


def write_image(path: str | os.PathLike[str], image: Image.Image, file_format: str, options: dict[str, Any]) -> None:
    """Write a PIL image, so that the file is complete or untouched; raises FileError if writing fails."""
    write_file(path, lambda file: image.save(file, format=file_format, **options))


def check_output(path: str | os.PathLike[str], inputs: Iterable[object] = ()) -> str:
    """Check, before any work, that an output path can be written, and return its format.

    Args:
        path: file to be written.
        inputs: inputs of the work; a path among them must not be the output's file.

    Returns:
        The format that the extension chooses: "PNG", "JPEG", "TIFF" or "WEBP".

    Raises:
        InputError: an unknown extension, or the output is one of the inputs.
        FileError: the folder does not exist or cannot be written to, or the output is a folder or a device.

    Example:
        >>> check_output("result.jpg")
        'JPEG'
    """
    check_target(path, inputs)
    name = printable(path)
    file_format = WRITE_FORMATS.get(os.path.splitext(name)[1].lower())
    if file_format is None:
        raise InputError(f"{name}: cannot write this kind of file; use one of {', '.join(WRITE_FORMATS)}")
    return file_format


def _checked(photo: Photo, pixels: Tensor) -> Tensor:
    """Check the shape and the values of a result, and return it without its gradient."""
    if pixels.ndim != 3 or pixels.shape[0] != 3:
        raise InputError(f"result for {photo.name}: shape {tuple(pixels.shape)}; give (3, H, W)")
    pixels = pixels.detach()
    if not torch.isfinite(pixels.sum()):
        raise InputError(f"result for {photo.name}: holds NaN or infinite values")
    return pixels


def _with_alpha(photo: Photo, pixels: Tensor) -> Tensor:
    """Return pixels (3, H, W) with the alpha of the photo, if it has one, as a fourth plane."""
    if photo.alpha is None:
        return pixels
    alpha = photo.alpha.to(pixels)[None]
    if alpha.shape[1:] != pixels.shape[1:]:
        alpha = F.interpolate(alpha[None], pixels.shape[1:], mode="bilinear", antialias=True)[0]
    return torch.cat([pixels, alpha])


def _quantised(values: Tensor, top: int) -> Tensor:
    return values.mul(top).round_().clamp_(0, top)


def _channels_last(values: Tensor, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy().astype(dtype, copy=False))


def _image_of(photo: Photo, pixels: Tensor) -> Image.Image:
    """Return pixels (3, H, W) as an image with the alpha and metadata of the photo, in its colour profile."""
    values = _quantised(_with_alpha(photo, pixels), 255).to(torch.uint8)
    image = Image.fromarray(_channels_last(values, np.dtype(np.uint8)))
    if photo.icc is not None and not photo.icc_is_srgb:
        converted = from_srgb(image.convert("RGB"), photo.icc)
        if photo.alpha is not None:
            converted.putalpha(image.getchannel("A"))
        image = converted
    for key, value in (("icc_profile", photo.icc), ("exif", photo.exif), ("dpi", photo.dpi)):
        if value is not None:
            image.info[key] = value
    return image
