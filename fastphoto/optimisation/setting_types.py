"""The types that settings are annotated with: checked, described in words, and read from text."""

from __future__ import annotations

import contextlib
import types
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a value is of the annotated type. A whole number is also a float; NaN is of no type.

    Example:
        >>> fits(3, float), fits(True, int), fits("b", Literal["a", "b"])
        (True, False, True)
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(v, inner[0]) for v in value)
    if inner:
        return any(fits(value, kind) for kind in inner)
    if annotation is float:
        return isinstance(value, Real) and not isinstance(value, bool) and value == value
    if annotation is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    return isinstance(value, annotation)


def described(annotation: Any) -> str:
    """Return a type in words.

    Example:
        >>> described(tuple[float, ...])
        'a sequence, each a number'
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(inner)
    if origin is tuple:
        return f"a sequence, each {described(inner[0])}"
    if inner:
        return " or ".join(map(described, inner))
    return _WORDS[annotation]


_WORDS: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "True or False",
    str: "a text",
    type(None): "None",
}


def parsed(text: str, annotation: Any) -> Any:
    """Return text as a value of the annotated type: a scalar, a Literal, a union or a tuple of those.

    A tuple type accepts one value without commas, which stands for all.

    Raises:
        ValueError: text that is no such value; the message says what is needed.

    Example:
        >>> parsed("30, 20", tuple[int, ...]), parsed("none", float | None)
        ((30, 20), None)
    """
    try:
        return _parsed(text, annotation)
    except ValueError:
        raise ValueError(f"needs {described(annotation)}") from None


def _parsed(text: str, annotation: Any) -> Any:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _parsed_union(text, inner)
    if origin is tuple:
        if not set(text) & set(",()[]"):
            return _parsed(text, inner[0])  # one for all; `preset_settings` makes it a tuple
        parts = (part.strip() for part in text.strip("()[]").split(","))
        return tuple(_parsed(part, inner[0]) for part in parts if part)
    if annotation in (int, float, str):
        return annotation(text)
    choices = dict(zip(inner, inner, strict=True)) if origin is Literal else _CHOICES[annotation]
    word = text if origin is Literal else text.lower()
    if word not in choices:
        raise ValueError
    return choices[word]


def _parsed_union(text: str, kinds: tuple[Any, ...]) -> Any:
    for kind in sorted(kinds, key=lambda kind: kind is str):  # every text is a str
        with contextlib.suppress(ValueError):
            return _parsed(text, kind)
    raise ValueError


_CHOICES: dict[Any, dict[str, bool | None]] = {
    bool: {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False},
    type(None): {"none": None},
}
