"""Image files: opening them safely, their orientation and colour profiles, writing them whole."""

from __future__ import annotations

import os
import warnings


def printable(path: str | os.PathLike) -> str:
    """A path as one printable line, whatever bytes its name holds."""
    text = os.fsdecode(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def error_text(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]


class FastPhotoError(Exception):
    """Base of every error that fastphoto raises on purpose; the message is one line that a user can act on."""


class InputError(FastPhotoError, ValueError):
    """An argument, option, mask or tensor that cannot be used."""


class FileError(FastPhotoError, OSError):
    """A file that cannot be found, read, verified or written."""


class FastPhotoWarning(UserWarning):
    """Input that was accepted with a change the user should know of."""


def warn(message: str) -> None:
    """Warn with a FastPhotoWarning of one line."""
    warnings.warn(message, FastPhotoWarning, stacklevel=3)
