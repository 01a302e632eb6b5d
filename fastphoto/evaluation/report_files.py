"""Where reports are written: folders, made where they do not exist, and text files, whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import FileError
from ..image_files import reason, shown, write_whole


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text so that the file is complete or untouched; raises FileError where writing fails."""
    write_whole(path, lambda file: file.write(text.encode("utf-8")))


def make_folder(folder: str | os.PathLike) -> Path:
    """Make a folder, and those above it, where it does not exist; raises FileError where that fails."""
    if not os.fspath(folder):
        raise FileError("the folder's name is empty; give one")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        said = getattr(error, "strerror", None) or reason(error)
        raise FileError(f"{shown(folder)}: cannot be made ({said}); give another folder") from error
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
