"""Files and folders of results: complete or untouched, whatever goes wrong."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from fastphoto.errors import FileError, InputError, error_text, printable

_Writer = Callable[[BinaryIO], object]

_ABANDONED = 3600  # seconds


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
            temporaries[target] = os.path.join(
                os.path.dirname(target), f".fastphoto-{os.getpid()}-{secrets.token_hex(6)}.tmp"
            )
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


def remove_unfinished(folder: str | os.PathLike[str], process: int | None = None) -> None:
    """Remove from a folder what processes that are no more have left of files that they were writing.

    Args:
        folder: folder to clean.
        process: number of the process, which has ended; None: all that do not run on this machine. Their files must
            then be an hour old, because other machines may write to the same folder.
    """
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        match = re.fullmatch(r"\.fastphoto-(\d+)-\w+\.tmp", name)
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            if match and (
                int(match[1]) == process
                if process is not None
                else time.time() - os.path.getmtime(path) > _ABANDONED and not _runs(int(match[1]))
            ):
                os.unlink(path)


def _runs(process: int) -> bool:
    if os.name == "nt":  # there, signal 0 is Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


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
    write_file(path, text_writer(text))


def text_writer(text: str) -> _Writer:
    """Return the function that writes text as UTF-8, for `write_files`."""
    return lambda file: file.write(text.encode("utf-8"))


def check_target(path: str | os.PathLike[str], inputs: Iterable[object] = ()) -> None:
    """Check, before any work, that a file can be written.

    Args:
        path: file to be written.
        inputs: inputs of the work; a path among them must not be the file itself.

    Raises:
        FileError: the folder does not exist or cannot be written to, or the path is a folder or a device.
        InputError: the file is one of the inputs.

    Example:
        >>> check_target("index.html")
    """
    name = printable(path)
    if os.path.isdir(path):
        raise FileError(f"{name}: is a folder; give the file another name")
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileError(f"{name}: the folder {printable(folder)} does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"{name}: no permission to write in the folder {printable(folder)}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{name}: exists and is not a regular file")
    if os.path.exists(path) and any(_is_same_file(source, path) for source in inputs):
        raise InputError(f"{name}: is also an input; write the result to another file")


def check_folder(folder: str | os.PathLike[str], names: Iterable[str], inputs: Iterable[object] = ()) -> Path:
    """Make a folder of results, and check before any work that its files can be written, see `check_target`.

    Returns:
        The folder.

    Raises:
        FileError: the folder cannot be made, or one of the files cannot be written.
        InputError: one of the files is an input.
    """
    target, sources = make_folder(folder), list(inputs)
    for name in names:
        check_target(target / name, sources)
    return target


def _is_same_file(source: object, path: str | os.PathLike[str]) -> bool:
    return isinstance(source, (str, os.PathLike)) and os.path.exists(source) and os.path.samefile(source, path)


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
