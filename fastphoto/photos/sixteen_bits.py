"""Colours of 16 bits a channel in PNG and TIFF files, read and written by libvips, because Pillow supports only 8."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np

from fastphoto.errors import FileError, error_text, warn
from fastphoto.photos.formats import SIXTEEN_BIT_FORMATS

_Values = np.ndarray[Any, Any]


def can_read_sixteen_bits() -> bool:
    """Return whether libvips is installed: `pip install fastphoto[deep]`."""
    return find_spec("pyvips") is not None


def sixteen_bit_values(
    file: BinaryIO, name: str, file_format: str | None, eight_bit_values: _Values, convert: bool
) -> _Values:
    """Return the 16-bit pixels of a file, or its 8-bit pixels with a warning.

    Args:
        file: open file whose colours have more than 8 bits a channel.
        name: name of the file in messages.
        file_format: format of the file; only "PNG" and "TIFF" can have 16 bits here.
        eight_bit_values: pixels decoded by Pillow, (H, W) or (H, W, C) uint8, returned if 16 bits cannot be read.
        convert: whether to convert from the colour profile of the file to sRGB; see `read_sixteen_bits`.

    Returns:
        Pixels, (H, W, C) uint16, upright, C = 3, or 4 with alpha; or `eight_bit_values`.

    Raises:
        FileError: libvips refuses the file.
    """
    if file_format not in SIXTEEN_BIT_FORMATS or not can_read_sixteen_bits():
        hint = "; pip install fastphoto[deep] reads and writes 16" if file_format in SIXTEEN_BIT_FORMATS else ""
        warn(f"{name}: more than 8 bits per colour channel; read with 8 bits{hint}")
        return eight_bit_values
    values = read_sixteen_bits(file, name, convert)
    if values.shape[2] == 3 and eight_bit_values.shape[2:] == (4,):  # alpha that only Pillow reads
        values = np.dstack([values, eight_bit_values[..., 3].astype(np.uint16) * 257])
    return values


def read_sixteen_bits(file: BinaryIO, name: str, convert: bool) -> _Values:
    """Read the pixels of a PNG or TIFF file that Pillow has decoded without an error.

    Args:
        file: open file.
        name: name of the file in messages.
        convert: whether to convert from the colour profile of the file to sRGB; else its values are taken as sRGB.

    Returns:
        Pixels, (H, W, C) uint16, upright, C = 3, or 4 with alpha; grey becomes colour.

    Raises:
        FileError: libvips refuses the file.
    """
    pyvips = libvips()
    try:
        file.seek(0)
        image = pyvips.Image.new_from_buffer(file.read(), "", fail_on="truncated").autorot()
        alpha = image[image.bands - 1] if image.hasalpha() else None
        colour = image[: image.bands - 1] if image.hasalpha() else image
        if colour.bands == 1:
            colour = colour.bandjoin([colour, colour])
        if convert:
            colour = colour.icc_transform(
                "srgb", embedded=True, intent="relative", black_point_compensation=True, depth=16
            )
        if colour.bands != 3 or colour.format != "ushort":
            raise ValueError(f"{colour.bands} channels of {colour.format}")
        values: _Values = (colour if alpha is None else colour.bandjoin(alpha)).numpy()
        return values
    except (pyvips.Error, OSError, ValueError) as error:
        raise FileError(f"{name}: cannot be read with 16 bits ({error_text(error)})") from error


def encode_sixteen_bits(
    values: _Values,
    file_format: str,
    icc: bytes | None = None,
    convert: bool = False,
    dpi: tuple[float, float] | None = None,
    exif: bytes | None = None,
) -> bytes:
    """Encode a PNG or TIFF file.

    Args:
        values: pixels, (H, W, C) uint16, sRGB, C = 3, or 4 with alpha.
        file_format: format of the file, "PNG" or "TIFF".
        icc: RGB profile of the file.
        convert: whether to convert from sRGB to that profile.
        dpi: resolution (horizontal, vertical), dots per inch.
        exif: EXIF data; only for PNG.

    Returns:
        The content of the file.
    """
    pyvips = libvips()
    image = pyvips.Image.new_from_array(np.ascontiguousarray(values), interpretation="rgb16")
    if convert:
        colour = image[:3].icc_import(input_profile="srgb", intent="relative", black_point_compensation=True)
        colour.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
        colour = colour.icc_export(depth=16, intent="relative", black_point_compensation=True)
        image = colour.bandjoin(image[3]) if image.bands == 4 else colour
    image = image.copy(interpretation="rgb16")
    image.remove("icc-profile-data")
    for field, data in (("icc-profile-data", icc), ("exif-data", exif)):
        if data is not None:
            image.set_type(pyvips.GValue.blob_type, field, data)
    if dpi is not None:
        image = image.copy(xres=dpi[0] / 25.4, yres=dpi[1] / 25.4)
    encoded: bytes = image.pngsave_buffer() if file_format == "PNG" else image.tiffsave_buffer(compression="deflate")
    return encoded


def libvips() -> Any:
    """Return the module `pyvips`."""
    os.environ.setdefault("VIPS_WARNING", "0")  # libvips would print warnings to stderr and also raise errors
    import pyvips

    return pyvips
