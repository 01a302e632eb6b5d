"""Where reports are written: folders, made where they do not exist, and text files, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..errors import FileError
from ..image_files import reason, shown


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text so that the file is complete or untouched; raises FileError where writing fails."""
    name = shown(path)
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f".fastphoto-{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, text that UTF-8 cannot hold
        raise FileError(f"{name}: cannot be written ({getattr(error, 'strerror', None) or reason(error)})") from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def make_folder(folder: str | os.PathLike) -> Path:
    """Make a folder, and those above it, where it does not exist; raises FileError where that fails."""
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
