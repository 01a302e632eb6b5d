"""Safe decoding of image files and PIL images: upright pixels, and the metadata that a result may carry."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
from collections.abc import Iterator
from struct import error as StructError
from typing import Any, BinaryIO, NamedTuple

import PIL
from PIL import Image, ImageFile

from fastphoto.errors import FileError, InputError, error_text, warn
from fastphoto.photos.formats import READ_EXTENSIONS, READ_FORMATS, WIDE_GREY_MODES
from fastphoto.photos.input_files import FileSource, opened_file, source_name
from fastphoto.photos.tiff_tags import TIFF_MAGIC, tiff_contents
from fastphoto.runtime.memory import check_photo_fits

PIXEL_LIMIT = 200_000_000  # pixels of one image; a file of a few kilobytes can claim billions
_STDERR_LOCK, _PILLOW_LOCK = threading.Lock(), threading.Lock()
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_PNG_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
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
# Description, make, model, software, date, artist, copyright. The other tags of the first directory describe how the
# old file stored its pixels, which is no longer true of the result.
_CARRIED_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_CARRIED_DIRECTORIES = (0x8769, 0x8825)  # camera settings, GPS position
_SIZE_TAGS = (0xA002, 0xA003)  # pixel width and height, wrong after a rotation
_EXIF_LIMIT = 65_000  # bytes: a JPEG segment holds no more
# Pillow logs some errors just before it raises them. Without a handler, Python would print these too.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class DecodedImage(NamedTuple):
    """An upright image, and metadata of its file."""

    image: Image.Image
    exif: bytes | None  # without the orientation, which is applied
    dpi: tuple[float, float] | None  # resolution (horizontal, vertical)
    format: str | None  # "PNG", "JPEG", ...
    has_more_bits: bool = False  # whether the file has more bits a channel than the 8 of `image`


def decode_image(image: Image.Image, name: str) -> DecodedImage:
    """Decode a PIL image, loaded or only opened, and turn it upright.

    Args:
        image: PIL image.
        name: name of the image in messages.

    Raises:
        InputError: too many pixels.
        FileError: the file of the image is damaged.
    """
    upright, exif = apply_orientation(load_image(image, name))
    return DecodedImage(upright, exif, _resolution(upright), image.format)


def decode_file(file: BinaryIO, name: str) -> DecodedImage:
    """Decode an open image file, and turn it upright.

    Args:
        file: file that `opened_file` opened.
        name: name of the file in messages.

    Raises:
        FileError: the file is damaged, is not an image that can be read, or has too many pixels.

    Warns with a FastPhotoWarning about a wrong extension, and about frames after the first, which are not used.
    """
    try:
        return _decode_stream(file, name)
    except FileError as error:
        if "PngImagePlugin.MAX_TEXT" not in str(error.__cause__):
            raise
    return _decode_stream(_without_text(file), name)


def open_image(source: FileSource, role: str) -> DecodedImage:
    """Open and decode an image file; `role` is its name in messages if it has no path."""
    name = source_name(source, role)
    with opened_file(source, name) as file:
        return decode_file(file, name)


def check_pixel_count(width: int, height: int, name: str) -> None:
    """Raise FileError if an image file, not decoded yet, has too many pixels, or more than memory can hold."""
    if width * height > PIXEL_LIMIT:
        raise FileError(f"{name}: {width}x{height} pixels; at most {PIXEL_LIMIT // 10**6} million are accepted")
    check_photo_fits(width, height, name)


def load_image(image: Image.Image, role: str) -> Image.Image:
    """Load the pixels of a PIL image; raise InputError if there are too many, FileError if it is damaged."""
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise InputError(f"{role}: {width}x{height} pixels; at most {PIXEL_LIMIT // 10**6} million are accepted")
    try:
        with _whole_files_only():
            image.load()
    except Exception as error:  # an image that was only opened reads its file here
        raise FileError(f"{role}: the image cannot be decoded ({error_text(error)})") from error
    return image


def apply_orientation(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """Apply the EXIF orientation of a loaded image; also return its other EXIF data, None if unreadable."""
    try:
        exif = image.getexif()
        method = _TRANSPOSE.get(exif.get(_ORIENTATION, 1))
    except Exception:  # damaged metadata is no reason to refuse the photo
        return image, None
    return (image if method is None else image.transpose(method)), _carried_exif(exif)


def _carried_exif(exif: Image.Exif) -> bytes | None:
    """Return the part of EXIF data that is also true of a result."""
    try:
        carried = Image.Exif()
        for tag in _CARRIED_TAGS:
            if tag in exif:
                carried[tag] = exif[tag]
        for directory in _CARRIED_DIRECTORIES:
            entries = {k: v for k, v in exif.get_ifd(directory).items() if k not in _SIZE_TAGS}
            if entries:
                carried.get_ifd(directory).update(entries)
        has_entries = len(carried) > 0 or any(carried.get_ifd(each) for each in _CARRIED_DIRECTORIES)
        data = carried.tobytes() if has_entries else None
    except Exception:  # Pillow documents no set of exceptions for damaged metadata
        return None
    return data if data is None or len(data) <= _EXIF_LIMIT else None


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    if isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(each) < 1e6 for each in dpi):
        return float(dpi[0]), float(dpi[1])
    return None


def _without_text(file: BinaryIO) -> io.BytesIO:
    """Return a PNG file without its text chunks, because too much text is no reason to refuse the photo."""
    file.seek(0)
    parts = [file.read(8)]
    while len(head := file.read(8)) == 8:
        rest = file.read(int.from_bytes(head[:4], "big") + 4)
        if head[4:] not in _PNG_TEXT_CHUNKS:
            parts += [head, rest]
    return io.BytesIO(b"".join(parts))


def _decode_stream(file: BinaryIO, name: str) -> DecodedImage:
    image = _identify(file, name)
    check_pixel_count(*image.size, name)
    file_format = "JPEG" if image.format == "MPO" else image.format
    extension = os.path.splitext(name)[1].lower()
    if READ_EXTENSIONS.get(extension, file_format) != file_format:
        warn(f"{name}: named {extension} but holds {file_format}; read as {file_format}")
    has_more_bits = _has_more_bits(image)
    try:
        frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
        with _whole_files_only(), _silent_libtiff() if image.format == "TIFF" else contextlib.nullcontext():
            image.load()
        upright, exif = apply_orientation(image)
    except Exception as error:
        raise FileError(f"{name}: damaged image file ({error_text(error)})") from error
    if frames > 1:
        warn(f"{name}: holds {frames} frames; only the first is used")
    return DecodedImage(upright, exif, _resolution(upright), file_format, has_more_bits)


def _identify(file: BinaryIO, name: str) -> Image.Image:
    """Open an image without loading its pixels."""
    tiff = tiff_contents(file, name)
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    try:
        with _whole_files_only():
            return _opened(file, head)
    except PIL.UnidentifiedImageError:
        if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
            raise FileError(f"{name}: HEIC files are not supported; convert it to JPEG or PNG") from None
        if tiff is not None:
            raise FileError(
                f"{name}: a TIFF of {tiff} cannot be read; save it as RGB with 8 or 16 bits a channel"
            ) from None
        if head[:4] in TIFF_MAGIC:
            raise FileError(f"{name}: damaged image file (a TIFF that does not say its colours and bits)") from None
        raise FileError(f"{name}: not an image in one of the formats {', '.join(READ_FORMATS)}") from None
    except Image.DecompressionBombError:
        raise FileError(f"{name}: claims too many pixels (at most {PIXEL_LIMIT // 10**6} million)") from None
    except Exception as error:  # Pillow documents no set of exceptions for damaged files
        raise FileError(f"{name}: damaged image file ({error_text(error)})") from error


def _opened(file: BinaryIO, head: bytes) -> Image.Image:
    """Do what `Image.open` does, but for Pillow's limit of pixels.

    PIXEL_LIMIT decides. Pillow's own limit is a global that any other code may have changed, and its warning could only
    be silenced for all threads.
    """
    Image.init()
    for file_format in READ_FORMATS:
        if file_format not in Image.OPEN:  # Pillow was built without it
            continue
        factory, accept = Image.OPEN[file_format]
        accepted = accept is None or accept(head)
        if not accepted or isinstance(accepted, str):  # a string says why not
            continue
        file.seek(0)
        with contextlib.suppress(SyntaxError, IndexError, TypeError, StructError):  # a file of another format
            return factory(file, "")
    raise PIL.UnidentifiedImageError


def _has_more_bits(image: Image.Image) -> bool:
    """Return whether a file has more bits a channel than Pillow decodes; its image must not be loaded yet."""
    tiles: Any = getattr(image, "tile", None)
    if image.mode in WIDE_GREY_MODES or not tiles:
        return False
    arguments = tiles[0][3]  # arguments of the decoder, such as the raw mode "RGB;16B"
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    sixteen = any(isinstance(a, str) and ";16" in a for a in arguments)
    return sixteen or (image.format == "PPM" and any(isinstance(a, int) and a > 255 for a in arguments))


class _OffInOneThread:
    """A flag of Pillow's that is off in the thread that made it, and what it was before in all others."""

    def __init__(self, before: bool) -> None:
        self.before, self.thread = before, threading.get_ident()

    def __bool__(self) -> bool:
        return self.before and threading.get_ident() != self.thread


@contextlib.contextmanager
def _whole_files_only() -> Iterator[None]:
    """Refuse files that are cut short, also where other code lets Pillow fill in what is missing."""
    if not ImageFile.LOAD_TRUNCATED_IMAGES:
        yield
        return
    with _PILLOW_LOCK:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = _OffInOneThread(before)  # type: ignore[assignment]
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


@contextlib.contextmanager
def _silent_libtiff() -> Iterator[None]:
    """Discard the messages that libtiff prints to stderr; Pillow raises an error anyway."""
    with _STDERR_LOCK, contextlib.ExitStack() as restoring:
        with contextlib.suppress(OSError):  # there may be no stderr
            stderr = os.dup(2)
            restoring.callback(os.close, stderr)
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
            restoring.callback(os.dup2, stderr, 2)
        yield
