"""The command with hardly any environment variables, kinds 96 and 97 of docs/reliability.md."""

from __future__ import annotations

import os

import pytest
from bad_input import good_call
from command_line import error_line, run_process
from PIL import Image

BARE = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
ENVIRONMENTS = pytest.mark.parametrize(
    "environment",
    [
        pytest.param(BARE, id="96-no HOME and no TMPDIR"),
        pytest.param(BARE | {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}, id="97-LANG=C"),
    ],
)


@ENVIRONMENTS
def test_any_path_is_read(environment, tmp_path):
    call = good_call(tmp_path)
    content = call["content"].rename(tmp_path / "é 写真.png")
    done = run_process("transfer", content, call["style"], "-o", call["output"], "--set", "steps=2", env=environment)
    assert done.returncode == 0, done.stderr
    assert Image.open(call["output"]).size == (48, 40)


@ENVIRONMENTS
def test_any_path_can_be_named_in_an_error(environment, tmp_path):
    call = good_call(tmp_path)
    done = run_process("transfer", tmp_path / "写.png", call["style"], "-o", call["output"], env=environment)
    assert done.returncode == 2 and "no such file" in error_line(done.stderr)
