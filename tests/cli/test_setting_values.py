"""`--set NAME=VALUE`: every setting can be given, and every mistake is named."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from fastphoto.cli.setting_values import parse_settings
from fastphoto.errors import InputError
from fastphoto.optimisation.settings import Settings

DEFAULTS = asdict(Settings())


def as_text(value: object) -> str:
    return ",".join(map(str, value)) + "," if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items(), ids=DEFAULTS)
def test_a_value_is_read_as_it_was_written(name, value):
    assert parse_settings([f"{name}={as_text(value)}"]) == {name: value}


@pytest.mark.parametrize(
    ("pair", "name", "value"),
    [
        pytest.param("history=30", "history", 30, id="whole number"),
        pytest.param("photorealism-weight=1e2", "photorealism_weight", 100.0, id="number, hyphen"),
        pytest.param("photorealism_weight=2", "photorealism_weight", 2.0, id="whole number for a number"),
        pytest.param(" gamut_weight = 3.5 ", "gamut_weight", 3.5, id="spaces"),
        pytest.param("projection=no", "projection", False, id="no"),
        pytest.param("projection=TRUE", "projection", True, id="true"),
        pytest.param("start=noise", "start", "noise", id="choice"),
        pytest.param("content_layers=relu4_2", "content_layers", "relu4_2", id="one layer"),
        pytest.param("first_change=none", "first_change", None, id="none"),
        pytest.param("first_change=1", "first_change", 1.0, id="number or none"),
        pytest.param("scales=0.25,1", "scales", (0.25, 1.0), id="sequence"),
        pytest.param("steps=(30, 10)", "steps", (30, 10), id="sequence in brackets"),
        pytest.param("steps=30", "steps", 30, id="one value for all"),
    ],
)
def test_values_have_the_type_of_their_setting(pair, name, value):
    read = parse_settings([pair])
    assert read == {name: value} and type(read[name]) is type(value)


def test_the_last_value_counts():
    assert parse_settings(["steps=1", "start=noise", "steps=2"]) == {"steps": 2, "start": "noise"}


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        pytest.param("steps", "write --set NAME=VALUE", id="no value"),
        pytest.param("step=3", "did you mean steps", id="misspelt"),
        pytest.param("zzz=3", "settings are start, noise", id="unknown"),
        pytest.param("history=3.5", "whole number", id="not whole"),
        pytest.param("gamut_weight=heavy", "number", id="no number"),
        pytest.param("projection=maybe", "(?i)true or false", id="neither true nor false"),
        pytest.param("start=middle", "colour, content, noise", id="no choice"),
        pytest.param("first_change=wide", "(?i)none", id="neither number nor none"),
        pytest.param("steps=1,x", "whole number", id="one of a sequence"),
    ],
)
def test_mistakes(pair, said):
    with pytest.raises(InputError, match=said) as error:
        parse_settings([pair])
    assert f"--set {pair}: " in str(error.value)
