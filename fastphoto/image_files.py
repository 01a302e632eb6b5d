"""Image files: opening them safely, their orientation and colour profiles, writing them whole."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import secrets
import stat
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from .errors import FileError, InputError, warn
from .memory import check_photo

PIXEL_LIMIT = 200_000_000  # pixels of one file: a few kilobytes can claim billions

READ_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "GIF", "AVIF")
_WRITE_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
_EXTENSIONS = _WRITE_FORMATS | {
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

DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def shown(path: str | os.PathLike) -> str:
    """A path as one printable line, whatever bytes its name holds."""
    text = os.fsdecode(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Opened(NamedTuple):
    """What a file holds."""

    image: Image.Image  # upright
    exif: bytes | None  # without the orientation
    format: str | None
    deep: bool  # whether its colours have more than the eight bits that the image has


def open_image(path: str | os.PathLike) -> Opened:
    """Decode a file. Raises FileError for one that cannot be read; warns of what is read with a change."""
    name = shown(path)
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
        raise FileError(f"{name}: damaged image file ({reason(error)})") from error
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise FileError(f"{name}: {width}x{height} pixels; at most {PIXEL_LIMIT // 10**6} million are accepted")
    check_photo(width, height, name)
    file_format = "JPEG" if image.format == "MPO" else image.format
    extension = os.path.splitext(name)[1].lower()
    if _EXTENSIONS.get(extension, file_format) != file_format:
        warn(f"{name}: named {extension} but holds {file_format}; read as {file_format}")
    deep = _is_deep(image)
    try:
        frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
        with _silent_libtiff() if image.format == "TIFF" else contextlib.nullcontext():
            image.load()
        result = upright(image)
    except Exception as error:
        raise FileError(f"{name}: damaged image file ({reason(error)})") from error
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


def reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]


def _is_deep(image: Image.Image) -> bool:
    """Whether a file not yet loaded stores colour with more bits than Pillow is going to return."""
    if image.mode in DEEP_MODES or not getattr(image, "tile", None):
        return False
    arguments = image.tile[0][3]
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    wide = any(isinstance(a, str) and ";16" in a for a in arguments)
    return wide or (image.format == "PPM" and any(isinstance(a, int) and a > 255 for a in arguments))


def loaded(image: Image.Image, role: str) -> Image.Image:
    """Decode an image opened elsewhere; raises InputError where too large, FileError where damaged."""
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise InputError(f"{role}: {width}x{height} pixels; at most {PIXEL_LIMIT // 10**6} million are accepted")
    try:
        image.load()
    except Exception as error:  # a lazily opened image meets its file only here
        raise FileError(f"{role}: the image cannot be decoded ({reason(error)})") from error
    return image


def upright(image: Image.Image) -> tuple[Image.Image, bytes | None]:
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


def to_srgb(image: Image.Image, icc: bytes | None, name: str) -> tuple[Image.Image, bytes | None, bool]:
    """Convert an RGB, L or CMYK image to sRGB; also give the RGB profile for results, and if it is sRGB."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            space = profile.profile.xcolor_space.strip()
            if space != {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[image.mode]:
                raise ValueError(f"it is for {space}, the image is {image.mode}")
            forward = _transform(profile, ImageCms.createProfile("sRGB"), image.mode, "RGB")
            if image.mode != "RGB":
                return ImageCms.applyTransform(image, forward), None, True
            if _is_identity(forward):
                return image, icc, True
            _transform(ImageCms.createProfile("sRGB"), profile, "RGB", "RGB")  # some profiles lead one way only
            return ImageCms.applyTransform(image, forward), icc, False
        except Exception as error:  # PyCMSError derives from Exception alone
            warn(f"{name}: the colour profile is unusable ({reason(error)}); read as sRGB")
    elif image.mode == "CMYK":
        warn(f"{name}: CMYK without a colour profile; converted by the simple formula")
    return (image.convert("RGB") if image.mode == "CMYK" else image), None, True


def _transform(source: Any, target: Any, source_mode: str, target_mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        source,
        target,
        source_mode,
        target_mode,
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform moves no 8-bit colour by more than two steps: descriptions of profiles lie."""
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
    moved = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return int(np.abs(moved.astype(int) - colours).max()) <= 2


def from_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """Convert an sRGB image to an RGB profile that `to_srgb` returned."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return ImageCms.applyTransform(image, _transform(ImageCms.createProfile("sRGB"), profile, "RGB", "RGB"))


def check_output(path: str | os.PathLike, inputs: Iterable[object] = ()) -> str:
    """Refuse, before any work, an output path that cannot be written; returns the format it is going to have.

    inputs: the sources of the run; those that are paths must not be the output's file.
    Raises InputError for an unknown extension and for an output that is an input, FileError for a missing or
    unwritable folder and for an output that is a folder or a device.
    """
    name = shown(path)
    file_format = _WRITE_FORMATS.get(os.path.splitext(name)[1].lower())
    if os.path.isdir(path):
        raise FileError(f"{name}: is a folder; give a file name")
    if file_format is None:
        raise InputError(f"{name}: cannot write this kind of file; use one of {', '.join(_WRITE_FORMATS)}")
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileError(f"{name}: the folder {shown(folder)} does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"{name}: no permission to write in the folder {shown(folder)}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{name}: exists and is not a regular file")
    for source in inputs:
        if (
            isinstance(source, (str, os.PathLike))
            and os.path.exists(source)
            and os.path.exists(path)
            and os.path.samefile(source, path)
        ):
            raise InputError(f"{name}: is also an input; write the result to another file")
    return file_format


def save_whole(path: str | os.PathLike, image: Image.Image, file_format: str, options: dict[str, Any]) -> None:
    """Write an image so that the file is complete or untouched; raises FileError where writing fails."""
    write_whole(path, lambda file: image.save(file, format=file_format, **options))


def write_whole(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Have a file written so that it is complete or untouched; raises FileError where that fails."""
    write_together({path: write})


def write_together(files: Mapping[Any, Callable[[BinaryIO], object]]) -> None:
    """Have files written, path -> what writes it, none of which takes its name before all are complete.

    Raises FileError where writing fails; then, or when stopped while they are written, all stay as they were.
    """
    written: dict[str, str] = {}
    name = ""
    try:
        for path, write in files.items():
            name, target = shown(path), os.path.realpath(path)
            written[target] = os.path.join(os.path.dirname(target), f".fastphoto-{secrets.token_hex(6)}.tmp")
            with open(written[target], "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        for target, temporary in written.items():
            name = shown(target)
            os.replace(temporary, target)
    except Exception as error:  # encoders raise more than OSError: sizes a format cannot hold are ValueErrors
        raise FileError(f"{name}: cannot be written ({getattr(error, 'strerror', None) or reason(error)})") from error
    finally:
        for temporary in written.values():
            if os.path.exists(temporary):
                os.unlink(temporary)
