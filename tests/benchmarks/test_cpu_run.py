"""The dry run and the report of benchmarks/cpu/run.py."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.catalogue import ROWS
from benchmarks.cpu.figures import figures
from benchmarks.cpu.report import report
from benchmarks.cpu.run import SECTIONS
from benchmarks.figures import NOT_MEASURED

# What only the full run, or a package that need not be installed, yields.
ONLY_IN_FULL = (
    "700 px with masks, VGG-19",
    "one evaluation of `painterly`'s losses, 700 px: the same by torch.compile",
)
NEEDS_PYMATTING = ("matting Laplacian, product: pymatting's", "building the Laplacian: pymatting")


@pytest.fixture(scope="module")
def run(dry_run):
    return dry_run("cpu/run.py")


def all_figures(results) -> list:
    return [row for rows in figures(results).values() for row in rows]


def test_dry_run_goes_through_every_section(run):
    sections = run.results["sections"]
    assert list(sections) == list(SECTIONS)
    assert not {name: section["error"] for name, section in sections.items() if "error" in section}
    assert run.report in run.printed


def test_dry_run_has_a_figure_for_every_claim_and_says_that_it_means_nothing(run):
    rows = all_figures(run.results)
    missing = [row.what for row in rows if row.measured == NOT_MEASURED]
    optional = ONLY_IN_FULL if importlib.util.find_spec("pymatting") else (*ONLY_IN_FULL, *NEEDS_PYMATTING)
    assert all(what.startswith(optional) for what in missing), missing
    assert "A dry run" in run.report
    assert "missed" not in run.report
    lines = {f"| {row.what} | {row.target} | {row.cell(dry_run=True)} |" for row in rows}
    assert lines <= set(run.report.splitlines())
    assert run.results["figures"] == {}


def test_every_contender_has_its_ratio_to_the_floor(run):
    section = run.results["sections"]["operators"]
    rates = section["rates"]
    assert set(section["rows"]) == {name for name, row in ROWS.items() if row.short != ()}
    for row in section["rows"].values():
        for entry in row["contenders"].values():
            floor = 1e3 * max(entry["bytes"] / rates["bytes/s"], entry["flops"] / rates["flop/s"])
            assert entry["floor ms"] == pytest.approx(floor)
            assert entry["/ floor"] == pytest.approx(entry["ms"] / floor)


def test_operators_are_compared_with_their_peers_of_the_same_run(run):
    (row,) = (row for row in all_figures(run.results) if row.what == "sRGB to L*a*b*, 192x128: `srgb_to_lab`")
    entry = row.entry()
    contenders = run.results["sections"]["operators"]["rows"]["sRGB to L*a*b*, 192x128"]["contenders"]
    assert set(entry["peers / ours"]) == {"torch", "compiled"}
    assert entry["peers / ours"]["torch"] == pytest.approx(contenders["torch"]["ms"] / contenders["native"]["ms"])
    assert entry["/ floor"] == pytest.approx(contenders["native"]["/ floor"])
    assert entry["/ target"] == pytest.approx(0.7 * entry["/ floor"])


def test_growth_has_two_sizes_of_everything(run):
    section = run.results["sections"]["growth"]
    curves = {key: row for key, row in section.items() if key.endswith(("MP", "regions"))}
    assert {key: len(row) for key, row in curves.items()} == dict.fromkeys(curves, 2)
    assert len(curves) == 5
    assert all(point["/ floor"] > 0 for row in curves.values() for point in row.values())


def test_a_batch_is_compared_with_an_ideal_pool(run):
    (row,) = (row for row in run.results["sections"]["batch"].values() if isinstance(row, dict))
    assert row["batch / ideal"] == pytest.approx(row["batch photos/s"] / row["ideal photos/s"])


@pytest.mark.parametrize(
    "name",
    [
        "embedded, command, 700 px, lake-at-sunset",
        "embedded, command, 12 MP",
        "embedded, 700 px, warm",
        "embedded, B1",
        "embedded, B2",
        "vgg19, B0",
    ],
)
def test_report_has_every_whole_image(run, name):
    assert f"| {name} | " in run.report


def test_report_says_what_was_missed_extrapolated_and_cut_off():
    command, warm = {"s": 20.0, "CPU s": 39.0, "peak GB": 1.2}, {"s": 18.0, "all": [18.0]}
    sections = {
        "embedded": {
            "import torch": {"s": 2.0},
            "command, 700 px, lake-at-sunset": command,
            "command, 350 px, lake-at-sunset": command | {"s": 2.5},
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
    assert "| 700 px with masks, `lake-at-sunset` | ≤ 3 s | 20 s (missed) |" in table
    assert "| 350 px with masks, `lake-at-sunset`: above the time of `import torch` | ≤ 0.6 s | 0.5 s |" in table
    assert "VGG-19, a later call in one process |  | 60 s (extrapolated from 9 of 90 evaluations) |" in table
    assert "a well-made rewrite, to the loss" in table and "|  | 3x or more (stopped) |" in table
    assert "| embedded |  | ERROR: RuntimeError: no memory |" in table
    assert "Left out of embedded: 24 MP" in table
    assert "building the Laplacian: pymatting / ours | ≥ 20x | not measured |" in table
