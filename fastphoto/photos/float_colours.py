"""TIFF files of float colours, which Pillow cannot read, read by libvips."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from fastphoto.errors import FileError, error_text, warn
from fastphoto.photos.decode import check_pixel_count
from fastphoto.photos.sixteen_bits import can_read_sixteen_bits, libvips


def read_float_colours(file: BinaryIO, name: str) -> np.ndarray[Any, Any]:
    """Read an open TIFF file whose `TiffContents` has float colours.

    Returns:
        Values, (H, W, C) float32, upright, C = 3, or 4 with alpha; they may be of any range.

    Raises:
        FileError: libvips is not installed or refuses the file, or there are too many pixels.

    Warns with a FastPhotoWarning about a colour profile, which is not applied, and about pages after the first.
    """
    if not can_read_sixteen_bits():
        raise FileError(f"{name}: a TIFF of float colours; pip install fastphoto[deep] reads it")
    pyvips = libvips()
    file.seek(0)
    try:
        image = pyvips.Image.new_from_buffer(file.read(), "", fail_on="truncated")
        check_pixel_count(image.width, image.height, name)
        fields = image.get_fields()
        pages = image.get("n-pages") if "n-pages" in fields else 1
        values: np.ndarray[Any, Any] = image.autorot().numpy().astype(np.float32)
    except pyvips.Error as error:
        raise FileError(f"{name}: cannot be read as float colours ({error_text(error)})") from error
    if "icc-profile-data" in fields:
        warn(f"{name}: the colour profile of float colours is not applied; read as sRGB")
    if pages > 1:
        warn(f"{name}: holds {pages} frames; only the first is used")
    return values
