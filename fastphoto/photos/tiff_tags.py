"""What a TIFF file says about its pixels: to name what Pillow cannot read, and to find colours of floats."""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

from fastphoto.errors import FileError

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _SPACE, _CHANNELS, _KIND = 258, 262, 277, 339  # tags
_SPACES = {0: "grey", 1: "grey", 2: "RGB", 3: "indexed", 5: "CMYK", 6: "YCbCr", 8: "CIELAB", 9: "CIELAB"}
_KINDS = {1: "unsigned", 2: "signed", 3: "float"}
_MOST_TAGS = 2**16
_LAST_OFFSET = 2**63 - 1  # that a file can seek to
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types of values that are whole numbers


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

    def __str__(self) -> str:
        channels, bits = ("" if n == 1 else "s" for n in (self.channels, self.bits))
        return f"{self.channels} {self.kind} channel{channels} of {self.bits} bit{bits} ({self.space})"


def tiff_contents(file: BinaryIO, name: str) -> TiffContents | None:
    """Return what the first picture of an open TIFF file holds.

    Pillow reads these tags too, but warns about damage, and a warning can be silenced for all threads only.

    Args:
        file: file that can seek.
        name: name of the file in messages.

    Returns:
        None if the file is of another kind, or does not say its colours and bits.

    Raises:
        FileError: the file ends before or within the list of tags.
    """
    file.seek(0)
    head = file.read(16)
    if head[:4] not in TIFF_MAGIC:
        return None
    tags = _first_numbers(file, head)
    if tags is None:
        raise FileError(f"{name}: damaged image file (a TIFF that is cut short: its list of tags is missing)")
    if _BITS not in tags or _SPACE not in tags:
        return None
    return TiffContents(
        _SPACES.get(tags[_SPACE], "unknown colours"),
        tags.get(_CHANNELS, 1),
        tags[_BITS],
        _KINDS.get(tags.get(_KIND, 1), "other"),
    )


def _first_numbers(file: BinaryIO, head: bytes) -> dict[int, int] | None:
    """Return the first value of each tag that is a whole number; None if the list of tags is incomplete."""
    order = "<" if head[:2] == b"II" else ">"
    is_big = b"+" in head[2:4]  # offsets and counts of 64 bits
    offset, start, count = ("Q", 8, "Q") if is_big else ("I", 4, "H")
    # An entry is a tag, a type, the number of values, and the values or their offset.
    entry = struct.Struct(f"{order}HH{offset}{struct.calcsize(offset)}s")

    def number(form: str, data: bytes) -> int | None:
        size = struct.calcsize(order + form)
        return int(struct.unpack(order + form, data[:size])[0]) if len(data) >= size else None

    def number_at(position: int | None, form: str) -> int | None:
        if position is None or position > _LAST_OFFSET:
            return None
        file.seek(position)
        return number(form, file.read(struct.calcsize(order + form)))

    entries = number_at(number(offset, head[start:]), count)
    if entries is None or entries > _MOST_TAGS:
        return None
    listed = file.read(entry.size * entries)
    if len(listed) < entry.size * entries:
        return None
    numbers: dict[int, int] = {}
    for tag, kind, values, place in entry.iter_unpack(listed):
        if (form := _NUMBERS.get(kind)) is None:
            continue
        fits = struct.calcsize(order + form) * values <= len(place)
        value = number(form, place) if fits else number_at(number(offset, place), form)
        if value is not None:
            numbers[tag] = value
    return numbers
