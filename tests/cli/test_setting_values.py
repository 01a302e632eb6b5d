"""`--set NAME=VALUE`: every type of field, and every way to get one wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from fastphoto.cli.setting_values import parse_settings
from fastphoto.errors import InputError


@dataclass
class Some:
    """One field of every type that can be set."""

    steps: int = 1
    style_weight: float = 1.0
    smooth: bool = True
    start: Literal["content", "noise"] = "content"
    layer: str = "relu4_1"
    radius: int | None = None
    scales: tuple[float, ...] = (0.5, 1.0)
    pair: tuple[int, float] = (1, 1.0)
    odd: dict = None


def test_settings_are_read_as_their_types():
    given = ["steps=30", "style-weight=1e2", "smooth=no", "start=noise", "layer=relu4_2", "radius=3"]
    values = parse_settings([*given, "scales=0.25,1", "pair=(2, 3)"], Some)
    assert values == {
        "steps": 30,
        "style_weight": 100.0,
        "smooth": False,
        "start": "noise",
        "layer": "relu4_2",
        "radius": 3,
        "scales": (0.25, 1.0),
        "pair": (2, 3.0),
    }
    assert [type(v) for v in values["pair"]] == [int, float] and type(values["style_weight"]) is float
    assert parse_settings(["radius=none"], Some) == {"radius": None}


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("steps", "write --set NAME=VALUE"),
        ("step=3", "did you mean steps"),
        ("zzz=3", "settings are steps, style_weight"),
        ("steps=3.5", "whole number"),
        ("style_weight=heavy", "needs a number"),
        ("smooth=maybe", "true or false"),
        ("start=middle", "content, noise"),
        ("radius=wide", "int, NoneType"),
        ("pair=1", "needs 2 values"),
        ("odd=1", "in Python"),
    ],
)
def test_bad_settings(pair, said):
    with pytest.raises(InputError, match=said) as error:
        parse_settings([pair], Some)
    assert f"--set {pair}" in str(error.value)
