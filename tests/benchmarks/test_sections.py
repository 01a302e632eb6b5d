"""Sections: a section that fails or takes too long is recorded, and the others run."""

from __future__ import annotations

import json
import os
import sys

import pytest

from benchmarks.sections import argument_parser, run_in_process, run_sections

MODULE = """
import time

def build(results, sizes):
    results["begun"] = True
    raise SystemExit("no compiler")

def tests(results, sizes):
    with results.attempt("first part"):
        raise ValueError("two lines\\nof which the last says why")
    results["passed"] = 3

def endless(results, sizes):
    results["begun"] = True
    time.sleep(60)
"""


@pytest.fixture
def modules(tmp_path, monkeypatch) -> dict[str, str]:
    (tmp_path / "some_sections.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return dict.fromkeys(("build", "tests", "endless"), "some_sections")


def test_a_section_that_fails_is_recorded_and_the_next_one_runs(tmp_path, modules):
    scratch = tmp_path / "scratch.json"
    run_sections(modules, ["build", "tests"], None, scratch, {"gpu": "some"})
    results = json.loads(scratch.read_text())
    assert results["machine"] == {"gpu": "some"}
    assert results["build"]["begun"]
    assert results["build"]["error"] == "SystemExit: no compiler"
    assert results["tests"]["passed"] == 3
    assert results["tests"]["error"] == "first part: ValueError: of which the last says why"


def test_a_section_that_takes_too_long_is_stopped_with_what_it_has(tmp_path, modules):
    scratch = tmp_path / "scratch.json"
    script = (
        "import sys, pathlib; from benchmarks.sections import run_sections;"
        f"run_sections({modules}, ['endless'], None, pathlib.Path(sys.argv[1]), {{}})"
    )
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    results = run_in_process([sys.executable, "-c", script, str(scratch)], ["endless"], 2, scratch, variables)
    assert results["endless"]["begun"]
    assert results["endless"]["error"] == "not complete: the process stopped after 2 s"
    assert not scratch.exists(), "the scratch file is left"


def test_sections_are_run_in_their_own_order():
    parser = argument_parser("", ["build", "tests", "gram"])
    assert parser.parse_args(["--sections", "gram,build"]).sections == ["build", "gram"]
    assert parser.parse_args([]).sections == ["build", "tests", "gram"]


def test_an_unknown_section_is_refused(capsys):
    with pytest.raises(SystemExit):
        argument_parser("", ["build", "tests"]).parse_args(["--sections", "build,test"])
    assert "no section test; there are build, tests" in capsys.readouterr().err
