"""Photos with 16 bits for each colour channel, PNG and TIFF, read and written by libvips: Pillow knows eight."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np

from fastphoto.errors import FileError, error_text, printable


def can_read_sixteen_bits() -> bool:
    """Whether libvips is here: `pip install fastphoto[deep]`."""
    return find_spec("pyvips") is not None


def read_sixteen_bits(path: str | os.PathLike, wide: bool) -> np.ndarray:
    """The pixels of a file, (H, W, C) uint16, C of 3 or 4 with alpha, upright; grey becomes colour.

    wide: whether the file's profile is to be converted from, to sRGB; else its numbers are taken for sRGB.
    The file must be one that `fastphoto.image_files.open_image` opens. Raises FileError for one that libvips refuses.
    """
    pyvips = _libvips()
    try:
        with open(path, "rb") as file:
            image = pyvips.Image.new_from_buffer(file.read(), "", fail_on="truncated").autorot()
        alpha = image[image.bands - 1] if image.hasalpha() else None
        colour = image[: image.bands - 1] if image.hasalpha() else image
        if colour.bands == 1:
            colour = colour.bandjoin([colour, colour])
        if wide:
            colour = colour.icc_transform(
                "srgb", embedded=True, intent="relative", black_point_compensation=True, depth=16
            )
        if colour.bands != 3 or colour.format != "ushort":
            raise ValueError(f"{colour.bands} channels of {colour.format}")
        return (colour if alpha is None else colour.bandjoin(alpha)).numpy()
    except (pyvips.Error, OSError, ValueError) as error:
        raise FileError(f"{printable(path)}: cannot be read with 16 bits ({error_text(error)})") from error


def encode_sixteen_bits(
    values: np.ndarray, file_format: str, icc: bytes | None, wide: bool, dpi: tuple[float, float] | None, exif: Any
) -> bytes:
    """A PNG or TIFF file of (H, W, C) uint16, sRGB, C of 3 or 4 with alpha.

    icc: its profile, which `wide` says are not sRGB's colours; they are converted to it. exif: for PNG alone.
    """
    pyvips = _libvips()
    image = pyvips.Image.new_from_array(np.ascontiguousarray(values), interpretation="rgb16")
    if wide:
        colour = image[:3].icc_import(input_profile="srgb", intent="relative", black_point_compensation=True)
        colour.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
        colour = colour.icc_export(depth=16, intent="relative", black_point_compensation=True)
        image = colour.bandjoin(image[3]) if image.bands == 4 else colour
    image = image.copy(interpretation="rgb16")
    image.remove("icc-profile-data")
    for name, blob in (("icc-profile-data", icc), ("exif-data", exif)):
        if blob is not None:
            image.set_type(pyvips.GValue.blob_type, name, blob)
    if dpi is not None:
        image = image.copy(xres=dpi[0] / 25.4, yres=dpi[1] / 25.4)
    return image.pngsave_buffer() if file_format == "PNG" else image.tiffsave_buffer(compression="deflate")


def _libvips() -> Any:
    os.environ.setdefault("VIPS_WARNING", "0")  # which it prints, beside the errors that it gives
    import pyvips

    return pyvips
