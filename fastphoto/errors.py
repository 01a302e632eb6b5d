"""The errors and the warning of fastphoto, and the text of their messages.

    Exception
    └── FastPhotoError      every error that fastphoto raises on purpose
        ├── InputError      an argument, mask, array or tensor that cannot be used; also a ValueError
        ├── FileError       a file that cannot be found, read, verified or written; also an OSError
        └── DeadlineError   a result that was not ready at its deadline; also a TimeoutError

    UserWarning
    └── FastPhotoWarning    input that was accepted with a change

Every message is one line that names the input at fault, then the cause, then the remedy.
"""

from __future__ import annotations

import os
import warnings


class FastPhotoError(Exception):
    """Base of every error that fastphoto raises on purpose; the message is one line that a user can act on."""


class InputError(FastPhotoError, ValueError):
    """An argument, option, mask or tensor that cannot be used."""


class FileError(FastPhotoError, OSError):
    """A file that cannot be found, read, verified or written."""


class DeadlineError(FastPhotoError, TimeoutError):
    """A result that was not ready at its deadline."""


class FastPhotoWarning(UserWarning):
    """A warning about input that was accepted with a change."""


def warn(message: str) -> None:
    """Warn with a FastPhotoWarning of one line."""
    warnings.warn(message, FastPhotoWarning, stacklevel=3)


def printable(path: str | os.PathLike[str]) -> str:
    r"""Return a path as one printable line, whatever bytes the file name holds.

    Example:
        >>> printable("holiday\nphoto.jpg")
        'holiday\\nphoto.jpg'
    """
    text = os.fsdecode(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def error_text(error: Exception) -> str:
    """Return the message of another library's error as one line of at most 120 characters."""
    return (" ".join(str(error).split()) or type(error).__name__)[:120]
