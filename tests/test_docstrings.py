"""The docstrings of the names that users may rely on: an argument line for each parameter, and an example."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

PACKAGES = (
    "fastphoto",
    "fastphoto.ops",
    "fastphoto.photos",
    "fastphoto.colour",
    "fastphoto.encoders",
    "fastphoto.regions",
    "fastphoto.optimisation",
    "fastphoto.methods",
    "fastphoto.evaluation",
    "fastphoto.video",
)


def exported(kind) -> list:
    """Return pytest parameters for all exported objects that `kind` accepts, each once."""
    objects = {}
    for package in map(importlib.import_module, PACKAGES):
        for name in package.__all__:
            value = getattr(package, name)
            if kind(value):
                objects[f"{value.__module__}.{name}"] = value
    return [pytest.param(value, id=name) for name, value in objects.items()]


@pytest.mark.parametrize("function", exported(inspect.isfunction))
def test_each_parameter_has_a_line(function):
    text = inspect.getdoc(function) or ""
    described = set(re.findall(r"^ {4}(\w+): ", text, re.MULTILINE))
    missing = [name for name in inspect.signature(function).parameters if name not in described]
    assert not missing, f"{function.__name__} does not say what these parameters are"


@pytest.mark.parametrize("function", exported(inspect.isfunction))
def test_functions_have_an_example(function):
    assert "Example:\n    >>> " in (inspect.getdoc(function) or ""), f"{function.__name__} has no example"


@pytest.mark.parametrize("type_", exported(inspect.isclass))
def test_types_have_a_docstring(type_):
    own = type_.__dict__.get("__doc__") or ""
    assert own and not own.startswith(f"{type_.__name__}("), f"{type_.__name__} has no docstring of its own"
