"""Image files decoded safely: format, size, orientation, and metadata that may be kept."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from fastphoto.errors import FileError, InputError, error_text, printable, warn
from fastphoto.photos.formats import EXTENSIONS, READ_FORMATS, WIDE_GREY_MODES
from fastphoto.runtime.memory import check_photo

PIXEL_LIMIT = 200_000_000  # pixels of one file: a few kilobytes can claim billions
_STDERR_LOCK = threading.Lock()
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# description, make, model, software, date, artist, copyright: the other tags of the first directory describe
# how the old file stored its pixels, which is no longer true of the result
_EXIF_KEPT = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_EXIF_FOLDERS = (0x8769, 0x8825)  # camera settings, position
_EXIF_SIZE_TAGS = (0xA002, 0xA003)  # pixel width and height, wrong after a rotation
_EXIF_LIMIT = 65_000  # bytes: a JPEG segment holds no more
# Without a handler of its own, errors that Pillow raises anyway would be printed beside.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Opened(NamedTuple):
    """What a file holds."""

    image: Image.Image  # upright
    exif: bytes | None  # without the orientation
    format: str | None
    deep: bool  # whether its colours have more than the eight bits that the image has


def open_image(path: str | os.PathLike) -> Opened:
    """Decode a file. Raises FileError for one that cannot be read; warns of what is read with a change."""
    name = printable(path)
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise FileError(f"{name}: is a folder; give an image file")
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{name}: is not a regular file; give an image file")
        if status.st_size == 0:
            raise FileError(f"{name}: the file is empty")
        with open(path, "rb") as file:
            return _decode(file, name)
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _decode(file: io.BufferedReader, name: str) -> Opened:
    try:
        return _decode_as_is(file, name)
    except FileError as error:
        if "PngImagePlugin.MAX_TEXT" not in str(error.__cause__):
            raise
    return _decode_as_is(_without_text(file), name)


def _without_text(file: io.BufferedReader) -> io.BytesIO:
    """A PNG file without its text, which is no reason to refuse the photo, however long it is."""
    file.seek(0)
    kept = [file.read(8)]
    while len(head := file.read(8)) == 8:
        rest = file.read(int.from_bytes(head[:4], "big") + 4)
        if head[4:] not in (b"tEXt", b"zTXt", b"iTXt"):
            kept += [head, rest]
    return io.BytesIO(b"".join(kept))


def _decode_as_is(file: io.BufferedIOBase, name: str) -> Opened:
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    try:
        with warnings.catch_warnings():
            # the limit below is ours; Pillow's is a global that any other code may have changed
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=READ_FORMATS)
    except Image.UnidentifiedImageError:
        if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
            raise FileError(f"{name}: HEIC files are not supported; convert it to JPEG or PNG") from None
        raise FileError(f"{name}: not an image in one of the formats {', '.join(READ_FORMATS)}") from None
    except Image.DecompressionBombError:
        raise FileError(f"{name}: claims too many pixels (at most {PIXEL_LIMIT // 10**6} million)") from None
    except Exception as error:  # Pillow raises whatever its parsers stumble over
        raise FileError(f"{name}: damaged image file ({error_text(error)})") from error
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise FileError(f"{name}: {width}x{height} pixels; at most {PIXEL_LIMIT // 10**6} million are accepted")
    check_photo(width, height, name)
    file_format = "JPEG" if image.format == "MPO" else image.format
    extension = os.path.splitext(name)[1].lower()
    if EXTENSIONS.get(extension, file_format) != file_format:
        warn(f"{name}: named {extension} but holds {file_format}; read as {file_format}")
    deep = _is_deep(image)
    try:
        frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
        with _silent_libtiff() if image.format == "TIFF" else contextlib.nullcontext():
            image.load()
        result = apply_orientation(image)
    except Exception as error:
        raise FileError(f"{name}: damaged image file ({error_text(error)})") from error
    if frames > 1:
        warn(f"{name}: holds {frames} frames; only the first is used")
    return Opened(*result, file_format, deep)


@contextlib.contextmanager
def _silent_libtiff() -> Iterator[None]:
    """Drops what libtiff writes to the process's stderr of its own, beside the error that Pillow raises."""
    with _STDERR_LOCK, contextlib.ExitStack() as restoring:
        with contextlib.suppress(OSError):  # there may be no stderr
            kept = os.dup(2)
            restoring.callback(os.close, kept)
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
            restoring.callback(os.dup2, kept, 2)
        yield


def _is_deep(image: Image.Image) -> bool:
    """Whether a file not yet loaded stores colour with more bits than Pillow is going to return."""
    if image.mode in WIDE_GREY_MODES or not getattr(image, "tile", None):
        return False
    arguments = image.tile[0][3]
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    wide = any(isinstance(a, str) and ";16" in a for a in arguments)
    return wide or (image.format == "PPM" and any(isinstance(a, int) and a > 255 for a in arguments))


def load_image(image: Image.Image, role: str) -> Image.Image:
    """Decode an image opened elsewhere; raises InputError where too large, FileError where damaged."""
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise InputError(f"{role}: {width}x{height} pixels; at most {PIXEL_LIMIT // 10**6} million are accepted")
    try:
        image.load()
    except Exception as error:  # a lazily opened image meets its file only here
        raise FileError(f"{role}: the image cannot be decoded ({error_text(error)})") from error
    return image


def apply_orientation(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """Apply the EXIF orientation of a loaded image; also return its EXIF data without it, where readable."""
    try:
        exif = image.getexif()
        method = _TRANSPOSE.get(exif.get(_ORIENTATION, 1))
    except Exception:  # damaged metadata is no reason to refuse the photo
        return image, None
    try:
        kept = Image.Exif()
        for tag in _EXIF_KEPT:
            if tag in exif:
                kept[tag] = exif[tag]
        for folder in _EXIF_FOLDERS:
            entries = {k: v for k, v in exif.get_ifd(folder).items() if k not in _EXIF_SIZE_TAGS}
            if entries:
                kept.get_ifd(folder).update(entries)
        data = kept.tobytes() if len(kept) or any(kept.get_ifd(f) for f in _EXIF_FOLDERS) else None
    except Exception:
        data = None
    if data is not None and len(data) > _EXIF_LIMIT:
        data = None
    return (image.transpose(method) if method is not None else image), data
