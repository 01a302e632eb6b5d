"""The file formats that photos are read from and written to: one table, a row for each format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FileFormat:
    """A file format, by the name that Pillow has for it."""

    name: str
    extensions: tuple[str, ...]
    save_options: Mapping[str, Any] | None = None
    """Options of Pillow's `save`; None: fastphoto only reads the format."""
    sixteen_bits: bool = False
    """Whether fastphoto reads and writes it with 16 bits a channel, by libvips."""
    blurs_ids: bool = False
    """Whether its pictures may be lossy, so that a grey one may not hold class ids of a mask."""


FORMATS = (
    # Level 6, zlib's own choice, takes three times as long for files 4 % smaller.
    FileFormat("PNG", (".png",), {"compress_level": 4}, sixteen_bits=True),
    FileFormat("JPEG", (".jpg", ".jpeg"), {"quality": 95, "subsampling": 0}, blurs_ids=True),
    FileFormat("TIFF", (".tif", ".tiff"), {}, sixteen_bits=True),  # Pillow cannot compress one that has EXIF data
    FileFormat("WEBP", (".webp",), {"quality": 95}, blurs_ids=True),
    FileFormat("BMP", (".bmp",)),
    FileFormat("PPM", (".ppm", ".pgm", ".pbm")),
    FileFormat("GIF", (".gif",)),
    FileFormat("AVIF", (".avif",), blurs_ids=True),
)

READ_FORMATS = tuple(each.name for each in FORMATS)
READ_EXTENSIONS = {extension: each.name for each in FORMATS for extension in each.extensions}
SAVE_OPTIONS = {each.name: each.save_options for each in FORMATS if each.save_options is not None}
WRITE_FORMATS = {extension: name for extension, name in READ_EXTENSIONS.items() if name in SAVE_OPTIONS}
ID_BLURRING_FORMATS = tuple(each.name for each in FORMATS if each.blurs_ids)
SIXTEEN_BIT_FORMATS = tuple(each.name for each in FORMATS if each.sixteen_bits)

WIDE_GREY_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""PIL modes of grey images with 16 or 32 bits."""
