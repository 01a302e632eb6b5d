"""What a TIFF file says about its pixels: to name what Pillow cannot read, and to find colours of floats."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any, BinaryIO, NamedTuple

from PIL import TiffImagePlugin

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BIG = 43  # version of a TIFF file with offsets of 64 bits, whose header is longer
_BITS, _SPACE, _CHANNELS, _KIND = 258, 262, 277, 339  # tags
_SPACES = {0: "grey", 1: "grey", 2: "RGB", 3: "indexed", 5: "CMYK", 6: "YCbCr", 8: "CIELAB", 9: "CIELAB"}
_KINDS = {1: "unsigned", 2: "signed", 3: "float"}


class TiffContents(NamedTuple):
    """The pixels of a TIFF file."""

    space: str  # "RGB", "CIELAB", ...
    channels: int
    bits: int  # bits a channel
    kind: str  # "unsigned", "signed", "float" or "other"

    @property
    def has_float_colours(self) -> bool:
        """Whether they are colours of floats that libvips reads; Pillow reads grey ones alone."""
        return (self.space, self.kind, self.bits) == ("RGB", "float", 32) and self.channels in (3, 4)


def tiff_contents(file: BinaryIO) -> TiffContents | None:
    """Return what the first picture of an open TIFF file holds; None if that is damaged or another kind of file."""
    file.seek(0)
    head = file.read(8)
    if head[:4] not in _MAGIC:
        return None
    # Pillow documents no set of exceptions for damaged files, and it also warns.
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tags: Any = TiffImagePlugin.ImageFileDirectory_v2(head + (file.read(8) if _BIG in head[2:4] else b""))
        file.seek(tags.next)
        tags.load(file)
        return TiffContents(
            _SPACES.get(tags.get(_SPACE), "unknown colours"),
            int(tags.get(_CHANNELS, 1)),
            int(tags.get(_BITS, (1,))[0]),
            _KINDS.get(tags.get(_KIND, (1,))[0], "other"),
        )
    return None
