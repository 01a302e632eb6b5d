"""The libraries that only moving pictures need, loaded when they are first used: PyAV and OpenCV."""

from __future__ import annotations

import importlib
from typing import Any

from fastphoto.errors import InputError


def load_pyav() -> Any:
    """Return the module `av`, which decodes and encodes; raises InputError if it is not installed."""
    return _load("av", "PyAV")


def load_opencv() -> Any:
    """Return the module `cv2`, which finds motion; raises InputError if it is not installed."""
    return _load("cv2", "OpenCV")


def _load(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"moving pictures need {name}: pip install fastphoto[video]") from error
