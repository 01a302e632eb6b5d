"""Settings written as text, NAME=VALUE, read as the types that the fields of a dataclass declare."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any

from fastphoto.errors import InputError


def parse_settings(pairs: Sequence[str], settings: type) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`, each read as the type of that field of the dataclass `settings`.

    Raises InputError for a pair without "=", an unknown name and a value that is not of the field's type.
    """
    hints = typing.get_type_hints(settings)
    names = [field.name for field in dataclasses.fields(settings)]
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair}: no value; write --set NAME=VALUE")
        name = name.strip().replace("-", "_")
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]}?" if close else f"settings are {', '.join(names)}"
            raise InputError(f"--set {pair}: no such setting; {hint}")
        try:
            values[name] = _value(text.strip(), hints[name])
        except ValueError as error:
            raise InputError(f"--set {pair}: {error}") from None
    return values


def _value(text: str, wanted: Any) -> Any:
    """`text` as a value of the type `wanted`: a scalar, a Literal, a union or a tuple of those."""
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        for kind in sorted(inner, key=lambda kind: kind is str):  # every text is a str
            with contextlib.suppress(ValueError):
                return _value(text, kind)
        raise ValueError(f"needs one of {', '.join(getattr(kind, '__name__', str(kind)) for kind in inner)}")
    if origin is typing.Literal:
        if text in map(str, inner):
            return next(choice for choice in inner if str(choice) == text)
        raise ValueError(f"needs one of {', '.join(map(str, inner))}")
    if origin is tuple:
        if inner[1:] == (...,) and not set(text) & set(",()[]"):
            return _value(text, inner[0])  # one for all; `preset_settings` makes it a tuple
        parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
        kinds = [inner[0]] * len(parts) if inner[1:] == (...,) else list(inner)
        if len(kinds) != len(parts):
            raise ValueError(f"needs {len(kinds)} values with commas between them, got {len(parts)}")
        return tuple(_value(part, kind) for part, kind in zip(parts, kinds, strict=True))
    if wanted is bool:
        if (low := text.lower()) in ("1", "true", "yes", "on", "0", "false", "no", "off"):
            return low in ("1", "true", "yes", "on")
        raise ValueError("needs true or false")
    if wanted is type(None):
        if text.lower() == "none":
            return None
        raise ValueError("needs none")
    if wanted in (int, float):
        try:
            return wanted(text)
        except ValueError:
            raise ValueError("needs a whole number" if wanted is int else "needs a number") from None
    if wanted is str:
        return text
    raise ValueError("cannot be set from the command line; use fastphoto.transfer() in Python")
