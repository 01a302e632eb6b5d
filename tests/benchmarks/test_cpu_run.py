"""The dry run and the report of benchmarks/cpu/run.py."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.cpu.report import figures, report
from benchmarks.figures import NOT_MEASURED


@pytest.fixture(scope="module")
def run(dry_run):
    return dry_run("cpu/run.py")


def test_dry_run_goes_through_every_section(run):
    sections = run.results["sections"]
    assert list(sections) == ["operators", "embedded", "vgg19", "scaling"]
    assert not {name: section["error"] for name, section in sections.items() if "error" in section}
    assert run.report in run.printed


def test_dry_run_has_a_figure_for_every_claim_and_says_that_it_means_nothing(run):
    rows = list(figures(run.results))
    # pymatting is needed for one figure only.
    optional = [] if importlib.util.find_spec("pymatting") else ["stencil build, 700x466: pymatting / ours"]
    assert [row.what for row in rows if row.measured == NOT_MEASURED] == optional
    assert "A dry run" in run.report
    assert "missed" not in run.report
    lines = {f"| {row.what} | {row.target} | {row.cell(dry_run=True)} |" for row in rows}
    assert lines <= set(run.report.splitlines())


def test_every_operator_has_its_ratio_to_the_roofline(run):
    rows = run.results["sections"]["operators"]["rows"].values()
    assert len({(row["work"].split(",")[0], row["contender"]) for row in rows}) > 15
    for row in rows:
        floor = max(row["bytes"] / row["bytes/s"], row["flops"] / row["flop/s"])
        assert row["roofline"] == pytest.approx(row["ms"] / 1e3 / floor)


def test_scaling_has_two_sizes_of_everything(run):
    section = run.results["sections"]["scaling"]
    curves = {key: row for key, row in section.items() if key.endswith(("MP", "regions"))}
    assert {key: len(row) for key, row in curves.items()} == dict.fromkeys(curves, 2)
    assert len(curves) == 5
    assert all(point["roofline"] > 0 for row in curves.values() for point in row.values())


@pytest.mark.parametrize(
    "name", ["embedded, command, 700 px", "embedded, 700 px, warm", "embedded, B1", "embedded, B2", "vgg19, B0"]
)
def test_report_has_every_whole_image(run, name):
    assert f"| {name} | " in run.report


def test_report_says_what_was_missed_extrapolated_and_cut_off():
    command, warm = {"s": 20.0, "CPU s": 39.0, "peak GB": 1.2}, {"s": 18.0, "all": [18.0]}
    sections = {
        "embedded": {
            "command, 700 px": command,
            "warm": warm,
            "same losses": {"s": 10.0, "loss": 0.1},
            "B1": {"s": 30.0, "reached": False, "evaluations": 9, "loss": 0.2},
            "B2": {"s": 15.0, "reached": True, "evaluations": 9, "loss": 0.1},
            "left out": "24 MP",
            "error": "RuntimeError: no memory",
        },
        "vgg19": {"extrapolated, 700 px": {"s": 60.0, "measured s": 6.0, "evaluations": 9, "of": 90}},
    }
    about = {"machine": {}, "commit": "", "dirty": True, "date": "", "dry_run": False, "full": False, "seconds": 9}
    table = report(about | {"load before": 0.0, "sections": sections})
    assert "| command, 700 px with masks, embedded | ≤ 15 s | 20 s (missed) |" in table
    assert "VGG-19 | ≤ 90 s | 62 s (extrapolated from 9 of 90 evaluations) |" in table
    assert "B1 / transfer() |  | 3x or more (stopped) |" in table
    assert "B2 / transfer() |  | 1.5x |" in table
    assert "| embedded |  | ERROR: RuntimeError: no memory |" in table
    assert "Left out of embedded: 24 MP" in table
    assert "stencil build, 700x466: pymatting / ours | ≥ 20x | not measured |" in table
