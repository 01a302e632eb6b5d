"""Reading of photos: a path, bytes, stream, PIL image, array or tensor becomes a `Photo`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.photos.arrays import photo_of_array, photo_of_tensor, pixels_and_alpha
from fastphoto.photos.colour_profiles import SrgbImage, to_srgb
from fastphoto.photos.decode import DecodedImage, decode_file, decode_image
from fastphoto.photos.float_colours import read_float_colours
from fastphoto.photos.input_files import FileSource, is_file_source, opened_file, source_name
from fastphoto.photos.photo import MINIMUM_SIDE, Photo, PhotoSource
from fastphoto.photos.sixteen_bits import sixteen_bit_values
from fastphoto.photos.tiff_tags import tiff_contents
from fastphoto.runtime.host_state import apart_from_host


@apart_from_host
def read_photo(source: PhotoSource, role: str = "content") -> Photo:
    """Read one photograph.

    Files may be PNG, JPEG, TIFF, WebP, BMP, PPM, GIF (the first frame) or AVIF. The EXIF orientation is applied. Grey
    becomes colour; alpha is separated, and results get it back. Colour profiles other than sRGB, and CMYK, are
    converted to sRGB; colours outside sRGB are clipped. 16 bits a channel are preserved, and floats in [0, 1] are read;
    for colour files both need libvips (`pip install fastphoto[deep]`).

    Args:
        source: path, content (bytes, bytearray or memoryview) or binary stream of a file; PIL image; numpy array
            (H, W, 3), (H, W, 4), (H, W) or (H, W, 1) of uint8, uint16 or float in [0, 1]; tensor (C, H, W) or
            (1, C, H, W) with C = 1, 3 or 4, of uint8 or float in [0, 1] (detached); or a `Photo`, which is returned as
            it is.
        role: name in messages of a source that has no path.

    Returns:
        The photo; it shares no memory with an array or tensor.

    Raises:
        FileError: the file cannot be read.
        InputError: values, types or sizes that cannot be used: a side below 16 pixels, floats outside [0, 1], integers
            other than uint8 and uint16.

    Warns with a FastPhotoWarning about input that is accepted with a change.

    Example:
        >>> photo = read_photo(np.full((24, 32, 3), 255, np.uint8))
        >>> photo.size, photo.pixels.shape, float(photo.pixels.max())
        ((24, 32), torch.Size([3, 24, 32]), 1.0)
    """
    if isinstance(source, Photo):
        return source
    if is_file_source(source):
        photo = _read_file(source, role)
    elif isinstance(source, Image.Image):
        photo = _read_image(source, role)
    elif isinstance(source, np.ndarray):
        photo = photo_of_array(source, role)
    elif isinstance(source, Tensor):
        photo = photo_of_tensor(source, role)
    else:
        raise InputError(
            f"{role}: cannot read a photo from {type(source).__name__}; give a path, bytes, binary stream, PIL image, "
            "array or tensor"
        )
    height, width = photo.size
    if min(height, width) < MINIMUM_SIDE:
        raise InputError(f"{photo.name}: {width}x{height} pixels; each side must have at least {MINIMUM_SIDE}")
    return photo


def _read_image(image: Image.Image, role: str) -> Photo:
    decoded = decode_image(image, role)
    return _photo(decoded, to_srgb(decoded.image, role), "pil", role)


def _read_file(source: FileSource, role: str) -> Photo:
    name = source_name(source, role)
    with opened_file(source, name) as file:
        tiff = tiff_contents(file, name)
        if tiff is not None and tiff.has_float_colours:
            pixels, alpha = pixels_and_alpha(read_float_colours(file, name), name)
            return Photo(pixels, alpha, "path", name, bits=32, format="TIFF")
        decoded = decode_file(file, name)
        converted = to_srgb(decoded.image, name)
        if decoded.has_more_bits:
            values = sixteen_bit_values(file, name, decoded.format, converted.values, convert=not converted.icc_is_srgb)
            converted = converted._replace(values=values)
    return _photo(decoded, converted, "path", name)


def _photo(decoded: DecodedImage, converted: SrgbImage, kind: Literal["path", "pil"], name: str) -> Photo:
    pixels, alpha = pixels_and_alpha(converted.values, name)
    return Photo(
        pixels,
        alpha,
        kind,
        name,
        bits=converted.values.dtype.itemsize * 8,
        format=decoded.format,
        icc=converted.icc,
        icc_is_srgb=converted.icc_is_srgb,
        exif=decoded.exif,
        dpi=decoded.dpi,
    )
