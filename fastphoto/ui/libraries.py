"""The libraries that only the page needs: Starlette and uvicorn."""

from __future__ import annotations

from importlib.util import find_spec

from fastphoto.errors import InputError


def check_libraries() -> None:
    """Raise InputError unless the libraries of the server are installed."""
    libraries = {"Starlette": "starlette", "uvicorn": "uvicorn"}
    missing = [name for name, module in libraries.items() if find_spec(module) is None]
    if missing:
        raise InputError(f"the page needs {' and '.join(missing)}: pip install fastphoto[ui]")
