"""The exceptions and the warning that fastphoto raises for input it cannot use, or uses with a remark."""

from __future__ import annotations

import warnings


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
