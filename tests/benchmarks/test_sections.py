"""Sections: a section that fails or takes too long is recorded, and the others run."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import pytest
from locations import ROOT

from benchmarks.record import new_results
from benchmarks.run import Run
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
    for part in ("first", "second"):
        with results.attempt(part):
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


def test_a_section_over_its_own_limit_is_interrupted_and_ends_the_process(tmp_path, modules):
    scratch = tmp_path / "scratch.json"
    limits = {"endless": 0.2, "tests": 10.0}
    begin = time.monotonic()
    run_sections(modules, ["endless", "tests"], None, scratch, {}, limits)
    assert time.monotonic() - begin < 30
    results = json.loads(scratch.read_text())
    assert results["endless"]["error"] == "OutOfTime: stopped after 0.2 s"
    assert "tests" not in results, "the next section belongs into a process whose device works"


SCRIPT = """
import sys
from pathlib import Path
sys.path += {paths!r}
from benchmarks.sections import argument_parser, run_sections
arguments = argument_parser("", {names!r}).parse_args()
modules = dict.fromkeys({names!r}, "some_sections")
run_sections(modules, arguments.sections, None, arguments.worker, {{"gpu": "some"}}, dict.fromkeys({names!r}, 10.0))
"""


def test_sections_after_one_that_fails_run_in_another_process_and_all_get_into_the_record(tmp_path, modules, capfd):
    names = ["build", "tests"]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(paths=[str(ROOT), str(tmp_path)], names=names))
    run = Run(script, dict.fromkeys(names, 60.0), [], lambda: os.environ, lambda _: "report", lambda _: {})
    arguments = argparse.Namespace(output=tmp_path / "out", dry_run=False)
    assert run.measure(arguments, new_results(dry_run=False), [[names]]) == 1
    (record,) = (tmp_path / "out").glob("*-some.json")
    sections = json.loads(record.read_text())["sections"]
    assert sections["build"]["error"] == "SystemExit: no compiler"
    assert sections["tests"]["passed"] == 3
    printed = capfd.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in printed if line.startswith("==")] == ["== build, tests", "== tests"]


def test_stages_without_time_are_not_run(tmp_path, modules):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(paths=[str(ROOT), str(tmp_path)], names=["tests", "build"]))
    run = Run(script, {"tests": 60.0, "build": 60.0}, [], lambda: os.environ, lambda _: "report", lambda _: {})
    arguments = argparse.Namespace(output=tmp_path / "out", dry_run=False)
    assert run.measure(arguments, new_results(dry_run=False), [[["tests"]], [["build"]]], total=1.0) == 1
    (record,) = (tmp_path / "out").glob("*.json")
    sections = json.loads(record.read_text())["sections"]
    assert {section["error"] for section in sections.values()} == {"not run: no time left"}


def test_sections_are_run_in_their_own_order():
    parser = argument_parser("", ["build", "tests", "gram"])
    assert parser.parse_args(["--sections", "gram,build"]).sections == ["build", "gram"]
    assert parser.parse_args([]).sections == ["build", "tests", "gram"]


def test_an_unknown_section_is_refused(capsys):
    with pytest.raises(SystemExit):
        argument_parser("", ["build", "tests"]).parse_args(["--sections", "build,test"])
    assert "no section test; there are build, tests" in capsys.readouterr().err
