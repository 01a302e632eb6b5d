"""Reading the JSON files of a user study: comparisons, keys and answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastphoto.errors import FileError, InputError, error_text, printable

_SIZE_LIMIT = 10_000_000  # bytes: the answers to thousands of results


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises FileError for a file that cannot be read, InputError for one that is too large or holds anything else.
    """
    name = printable(path)
    try:
        with open(path, "rb") as file:
            text = file.read(_SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise FileError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error_text(error)})") from error
    if len(text) > _SIZE_LIMIT:
        raise InputError(f"{name}: larger than {_SIZE_LIMIT // 10**6} MB; files of a study are smaller")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not JSON ({error_text(error)})") from error
    if not isinstance(value, dict):
        raise InputError(f"{name}: must hold a JSON object, got {type(value).__name__}")
    return value
