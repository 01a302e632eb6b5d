"""The file formats that photos are read from and written to."""

from __future__ import annotations

from typing import Any

READ_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "GIF", "AVIF")
WRITE_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
READ_EXTENSIONS = WRITE_FORMATS | {
    ".bmp": "BMP",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".gif": "GIF",
    ".avif": "AVIF",
}
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "TIFF": {},  # Pillow cannot compress a TIFF that carries camera settings
    "WEBP": {"quality": 95},
}

WIDE_GREY_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Modes of PIL images: grey with 16 or 32 bits."""

SIXTEEN_BIT_FORMATS = ("PNG", "TIFF")
"""Formats whose colours may have 16 bits a channel, here."""
