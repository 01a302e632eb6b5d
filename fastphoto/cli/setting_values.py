"""`--set NAME=VALUE`: settings read from text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_type_hints

from fastphoto.errors import InputError
from fastphoto.optimisation.presets import setting_hint
from fastphoto.optimisation.setting_types import parsed
from fastphoto.optimisation.settings import Settings


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Read settings from text.

    Args:
        pairs: texts of the form NAME=VALUE. A hyphen in a name stands for an underscore. A value is a number, a word or
            "none"; a sequence has commas between its values, and a single value stands for the whole sequence.

    Returns:
        {name: value of the type that `Settings` declares}; the last value of a name counts.

    Raises:
        InputError: a pair without "=", an unknown name, or a value of another type.

    Example:
        >>> parse_settings(["photorealism-weight=1e2", "steps=30,10", "projection=no"])
        {'photorealism_weight': 100.0, 'steps': (30, 10), 'projection': False}
    """
    annotations = get_type_hints(Settings)
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair}: no value; write --set NAME=VALUE")
        name = name.strip().replace("-", "_")
        if name not in annotations:
            raise InputError(f"--set {pair}: no such setting; {setting_hint(name)}")
        try:
            values[name] = parsed(text.strip(), annotations[name])
        except ValueError as error:
            raise InputError(f"--set {pair}: {error}") from None
    return values
