"""Files and folders of results: complete or untouched, whatever goes wrong."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from fastphoto.errors import FileError, error_text, printable

_Writer = Callable[[BinaryIO], object]


def write_files(files: Mapping[str, _Writer] | Mapping[Path, _Writer]) -> None:
    """Write several files; none gets its name before all of them are complete on the disk.

    If writing fails, or is interrupted, every file stays as it was. A symbolic link is followed, not replaced.

    Args:
        files: {path: function that writes the content to an open binary file}.

    Raises:
        FileError: writing fails.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_files({Path(folder) / "a": lambda file: file.write(b"one"),
        ...                  Path(folder) / "b": lambda file: file.write(b"two")})
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['a', 'b']
    """
    temporaries: dict[str, str] = {}
    name = ""
    try:
        for path, write in files.items():
            name, target = printable(path), os.path.realpath(path)
            temporaries[target] = os.path.join(os.path.dirname(target), f".fastphoto-{secrets.token_hex(6)}.tmp")
            with open(temporaries[target], "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        for target, temporary in temporaries.items():
            name = printable(target)
            os.replace(temporary, target)
    except Exception as error:  # Pillow raises more than OSError, such as ValueError for a size too large
        raise FileError(f"{name}: cannot be written ({_cause(error)})") from error
    finally:
        for temporary in temporaries.values():
            if os.path.exists(temporary):
                os.unlink(temporary)


def write_file(path: str | os.PathLike[str], write: _Writer) -> None:
    """Write one file, so that it is complete or untouched.

    Args:
        path: path of the file; an existing file is replaced, a symbolic link is followed.
        write: function that writes the content to an open binary file.

    Raises:
        FileError: writing fails.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_file(f"{folder}/note.txt", lambda file: file.write(b"done"))
        ...     Path(folder, "note.txt").read_text()
        'done'
    """
    write_files({os.fspath(path): write})


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8, so that the file is complete or untouched; raises FileError if writing fails."""
    write_file(path, lambda file: file.write(text.encode("utf-8")))


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder and its parents unless they exist; raises FileError if that fails."""
    if not os.fspath(folder):
        raise FileError("the folder's name is empty; give one")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{printable(folder)}: cannot be made ({_cause(error)}); give another folder") from error
    return Path(folder)


@contextlib.contextmanager
def output_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder for results; if the `with` block fails, remove the new folders that are still empty."""
    path = Path(folder)
    missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    try:
        yield make_folder(folder)
    except BaseException:
        for each in missing:
            with contextlib.suppress(OSError):
                each.rmdir()
        raise


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or error_text(error)
