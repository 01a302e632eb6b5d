"""Opening of image files: a path, a pipe, bytes or an open file becomes a stream that can be read more than once."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, TypeGuard, cast

from fastphoto.errors import FastPhotoError, FileError, InputError, printable

FileSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""What holds an image file: its path, its content, or a stream that is read from where it stands."""

STREAM_LIMIT = 2**29  # bytes: a pipe may never end, and what it brings is held in memory
_CHUNK = 2**20  # bytes


def is_file_source(source: object) -> TypeGuard[FileSource]:
    """Return whether an object is a path, bytes or a stream."""
    return isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(source, "read")


def source_name(source: FileSource, role: str) -> str:
    """Return the name of a source in messages: its path, or the role of a source that has none."""
    return printable(source) if isinstance(source, (str, os.PathLike)) else role


@contextlib.contextmanager
def opened_file(source: FileSource, name: str) -> Iterator[BinaryIO]:
    """Open a file for reading, at its start.

    Pipes and streams are read to their end first, at most 512 MiB of them.

    Args:
        source: path, content or stream.
        name: name of the source in messages.

    Raises:
        FileError: the file does not exist, is empty or cannot be read, or is neither a regular file nor a pipe.
        InputError: a stream of text, one that stands at its end, or one that does not wait for its data.

    Example:
        >>> with opened_file(b"GIF89a", "content") as file:
        ...     file.read(3)
        b'GIF'
    """
    with _opened(source, name) as file:
        yield file


def _opened(source: FileSource, name: str) -> BinaryIO:
    try:
        return _stream(source, name)
    except FastPhotoError:
        raise
    except FileNotFoundError:
        raise FileError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _stream(source: FileSource, name: str) -> BinaryIO:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _held(io.BytesIO(bytes(source)), name)
    if not isinstance(source, (str, os.PathLike)):
        return _held(source, name)
    status = os.stat(source)
    if stat.S_ISDIR(status.st_mode):
        raise FileError(f"{name}: is a folder; give an image file")
    if stat.S_ISFIFO(status.st_mode):
        with open(source, "rb") as pipe:
            return _held(pipe, name)
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{name}: is not a regular file or a pipe; give an image file")
    if status.st_size == 0:
        raise FileError(f"{name}: the file is empty")
    with contextlib.ExitStack() as closing:
        file = closing.enter_context(open(source, "rb"))
        file.peek(1)  # a file that can be opened and not read says so here
        closing.pop_all()
        return file


def _held(stream: BinaryIO, name: str) -> BinaryIO:
    """Return what a stream brings until its end."""
    held = io.BytesIO()
    while (chunk := cast("bytes | str | None", stream.read(_CHUNK))) or chunk is None:
        if chunk is None:
            raise InputError(
                f"{name}: a stream that does not wait for its data; make it blocking, as os.set_blocking does"
            )
        if isinstance(chunk, str):
            raise InputError(f"{name}: a stream of text; open it in binary mode")
        if held.tell() + len(chunk) > STREAM_LIMIT:
            raise FileError(f"{name}: more than {STREAM_LIMIT >> 20} MiB; give the path of a file of this size")
        held.write(chunk)
    if held.tell() == 0:
        if _stands_behind_data(stream):
            raise InputError(f"{name}: nothing is left to read in the stream; call seek(0) on it first")
        raise FileError(f"{name}: the file is empty")
    held.seek(0)
    return held


def _stands_behind_data(stream: BinaryIO) -> bool:
    """Return whether a stream, read to its end, can go back to data before its end."""
    try:
        return stream.seekable() and stream.tell() > 0
    except (AttributeError, OSError, ValueError):  # a stream may have no more than `read`
        return False
