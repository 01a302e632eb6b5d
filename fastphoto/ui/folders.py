"""The temporary folder of a server, which its clients' files never leave, and the removal of those of dead servers."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO

PREFIX = "fastphoto-ui-"
_LOCK = "alive"
_STARTING = 60  # seconds in which a new server takes its lock


class ServerFolder:
    """A new temporary folder that only this user can read; first removes those that dead servers have left.

    A server holds a lock on a file in its folder as long as it lives, however it ends.

    Args:
        parent: folder to make it in; None: the system's folder for temporary files.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        remove_abandoned(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = open(self.path / _LOCK, "wb")  # noqa: SIM115  it is held until the server ends
        _try_lock(self._lock)

    def new(self) -> Path:
        """Return a new folder inside."""
        return Path(tempfile.mkdtemp(prefix="tab-", dir=self.path))

    def close(self) -> None:
        """Remove the folder with all it holds."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of this user's servers that no longer run."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or not folder.is_dir() or not _is_own(folder):
                continue
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_own(folder: Path) -> bool:
    return os.name == "nt" or folder.stat().st_uid == os.getuid()


def _is_abandoned(folder: Path) -> bool:
    try:
        with open(folder / _LOCK, "rb+") as lock:
            return _try_lock(lock)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _STARTING
    except PermissionError:  # Windows, where another process holds it
        return False


def _try_lock(file: IO[bytes]) -> bool:
    """Lock a file for this process, until it is closed; return whether nobody else has locked it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
