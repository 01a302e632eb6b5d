"""Files and folders of results: complete or untouched, whatever goes wrong."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from fastphoto.errors import FileError, error_text, printable


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text so that the file is complete or untouched; raises FileError where writing fails."""
    write_file(path, lambda file: file.write(text.encode("utf-8")))


def make_folder(folder: str | os.PathLike) -> Path:
    """Make a folder, and those above it, where it does not exist; raises FileError where that fails."""
    if not os.fspath(folder):
        raise FileError("the folder's name is empty; give one")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        said = getattr(error, "strerror", None) or error_text(error)
        raise FileError(f"{printable(folder)}: cannot be made ({said}); give another folder") from error
    return Path(folder)


@contextlib.contextmanager
def output_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """`make_folder`, and where the work in it fails, the folders that were made are removed again if they are empty."""
    path = Path(folder)
    made = [place for place in (path, *path.parents) if not os.path.lexists(place)]
    try:
        yield make_folder(folder)
    except BaseException:
        for place in made:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


def write_file(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Have a file written so that it is complete or untouched; raises FileError where that fails."""
    write_files({path: write})


def write_files(files: Mapping[Any, Callable[[BinaryIO], object]]) -> None:
    """Have files written, path -> what writes it, none of which takes its name before all are complete.

    Raises FileError where writing fails; then, or when stopped while they are written, all stay as they were.
    """
    written: dict[str, str] = {}
    name = ""
    try:
        for path, write in files.items():
            name, target = printable(path), os.path.realpath(path)
            written[target] = os.path.join(os.path.dirname(target), f".fastphoto-{secrets.token_hex(6)}.tmp")
            with open(written[target], "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        for target, temporary in written.items():
            name = printable(target)
            os.replace(temporary, target)
    except Exception as error:  # encoders raise more than OSError: sizes a format cannot hold are ValueErrors
        raise FileError(
            f"{name}: cannot be written ({getattr(error, 'strerror', None) or error_text(error)})"
        ) from error
    finally:
        for temporary in written.values():
            if os.path.exists(temporary):
                os.unlink(temporary)
