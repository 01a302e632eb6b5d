"""The record of a batch: a JSON Lines file with an entry for each photo that was done or has failed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastphoto.batch.storage import is_url, local_path
from fastphoto.errors import FileError, InputError, error_text, printable
from fastphoto.runtime.files import make_folder

Entry = dict[str, Any]
"""What became of one photo, as JSON holds it; docs/batch.md lists the fields."""


class Finished(NamedTuple):
    """What tells whether a photo that was done is to be done again."""

    key: str
    """Hash of the content, the style, the masks and the settings."""
    size: int
    """Bytes of the result."""


class Record:
    """The record while a batch runs: what earlier runs finished, and the file that new entries are appended to."""

    def __init__(self, path: str, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor
        self._finished: dict[str, Finished] = {}
        self._read()

    def finished(self, output: str) -> Finished | None:
        """Return what an earlier run recorded of the photo with this output, if that was done."""
        return self._finished.get(output)

    def add(self, entry: Entry) -> None:
        """Append an entry; it is on the disk when this returns.

        Raises:
            FileError: the file cannot be written.
        """
        line = json.dumps(entry, default=str).encode() + b"\n"  # ASCII, so that any file name can be in it
        try:
            while line:  # a full disk may take a part
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise FileError(f"{printable(self._path)}: cannot be written ({error.strerror})") from error

    def _read(self) -> None:
        line = b"\n"
        with open(self._path, "rb") as file:
            for line in file:
                # A run that was killed while it wrote may have left half a line; its photo is then done again.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    self._finished.pop(entry["output"], None)
                    if entry["status"] == "done":
                        self._finished[entry["output"]] = Finished(entry["key"], entry["bytes"])
        if not line.endswith(b"\n"):
            os.write(self._descriptor, b"\n")


@contextlib.contextmanager
def opened_record(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Open a record, made if there is none, for one run at a time.

    Raises:
        FileError: it cannot be opened.
        InputError: another run has it open.
    """
    path = os.fspath(path)
    name = printable(path)
    if is_url(path):
        raise InputError(f"{name}: a record is a file of this machine; give a path")
    path = local_path(path)
    make_folder(os.path.dirname(path) or ".")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise FileError(f"{name}: cannot be opened ({error_text(error)})") from error
    try:
        _lock(descriptor, name)
        yield Record(path, descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, name: str) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{name}: another run is writing this record; wait for it, or give another --record") from None
    except OSError:  # a file system without locks
        return
