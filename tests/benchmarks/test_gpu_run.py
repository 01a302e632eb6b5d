"""The dry run on a CPU and the report of benchmarks/gpu/run.py."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from benchmarks.figures import NOT_MEASURED
from benchmarks.gpu.figures import SUBJECTS
from benchmarks.gpu.plan import SECTIONS, STAGES, TOTAL_LIMIT, chosen_stages, expected_seconds, total_seconds
from benchmarks.gpu.report import report
from benchmarks.gpu.sizes import Sizes
from benchmarks.record import publishable, read_records


@pytest.fixture(scope="module")
def run(dry_run):
    return dry_run("gpu/run.py")


def all_figures(sections) -> list:
    return list(itertools.chain.from_iterable(figures(sections) for figures in SUBJECTS.values()))


def test_dry_run_goes_through_every_section(run):
    sections = run.results["sections"]
    assert list(sections) == list(SECTIONS)
    assert not {name: section["error"] for name, section in sections.items() if "error" in section}
    assert run.report in run.printed
    assert "ERROR" not in run.report
    assert sections["image"]["same bits twice"] is True


@pytest.mark.parametrize("program", ["setup.py", "-m pytest"])
def test_dry_run_prints_the_commands_of_build_and_tests(run, program):
    assert f"would run: {sys.executable} {program} " in run.printed


def test_dry_run_leaves_a_record_that_can_be_published(run):
    assert run.results == publishable(run.results)


def test_dry_run_has_a_figure_for_every_target_and_says_that_it_means_nothing(run):
    figures = all_figures(run.results["sections"])
    missing = [row.what for row in figures if row.measured == NOT_MEASURED]
    assert all(what.startswith(("tests that need CUDA", "compute-sanitizer")) for what in missing), missing
    assert "A dry run on a CPU" in run.report
    assert "missed" not in run.report
    lines = {f"| {row.what} | {row.target} | {row.cell(dry_run=True)} |" for row in figures}
    assert lines <= set(run.report.splitlines())
    measured = [row for row in figures if row.measured != NOT_MEASURED]
    assert all(row.cell(dry_run=True).endswith(" (dry run)") for row in measured)


def test_dry_run_counts_photos_of_one_process_and_of_several(run):
    rows = {key: row for key, row in run.results["sections"]["throughput"].items() if "px" in key}
    assert list(rows) == [f"{side} px, {count}" for side in (48, 64) for count in ("1 process", "2 processes")]
    assert all(row["photos/s"] > 0 and row["peak allocated GB each"] > 0 for row in rows.values())


def test_dry_run_times_default_settings_sessions_regions_and_a_clip(run):
    sections = run.results["sections"]
    whole = {key: row for key, row in sections["fast"].items() if key != "seconds"}
    names = ["350 px", "700 px", "2000 px", "12 MP", "700 px, automatic regions", "700 px, VGG-19"]
    assert list(whole) == names
    for row in [*whole.values(), sections["regions"]["12 MP"]]:
        assert row["device ms"] == 0, "a CPU has no kernels of a GPU"
        assert row["host ms"] == pytest.approx(1e3 * row["s"])
    assert sections["sessions"]["48 px"]["photos/s"] > 0
    (batch,) = (row for row in sections["batch"].values() if isinstance(row, dict))
    assert batch["batch photos/s"] > 0
    if "left out" not in sections["video"]:
        assert sections["video"]["clip"]["frames"] == 5


def test_targets_of_throughput_are_for_one_process():
    row = {"photos/s": 20.0, "peak allocated GB each": 0.5}
    sections = {"throughput": {"350 px, 1 process": row, "350 px, 4 processes": row | {"photos/s": 10.0}}}
    one, four, share = (figure.entry() for figure in all_figures(sections) if figure.what.startswith("350 px"))
    assert (one["target"], one["met"], one["/ target"]) == ("≥ 30 photos/s", False, pytest.approx(2 / 3))
    assert "target" not in four
    assert (share["value"], share["met"]) == (0.5, False)


def test_a_quick_run_should_take_less_than_six_minutes():
    records = [record for record in read_records() if record["machine"].get("gpu")]
    expected = expected_seconds(records, Sizes(dry_run=False, quick=True))
    assert set(SECTIONS) - set(expected) == {"race"}, "only the last section takes what is left"
    assert total_seconds(expected, STAGES) < TOTAL_LIMIT[True] - 15
    assert TOTAL_LIMIT[True] < 360
    limits = {name: limit for name, (_, limit) in SECTIONS.items()}
    assert all(seconds < limits[name] for name, seconds in expected.items())


def test_the_plan_follows_from_the_records():
    records = [record for record in read_records() if record["machine"].get("gpu")]
    quick, full = (expected_seconds(records, Sizes(False, quick)) for quick in (True, False))
    slowest = max(record["sections"]["build"]["seconds"] for record in records if "build" in record["sections"])
    assert quick["build"] == full["build"] == slowest
    assert full["iteration"] > 2 * quick["iteration"]
    assert total_seconds(full, STAGES) < TOTAL_LIMIT[False]


def test_stages_run_every_section_once_and_build_first():
    names = [name for stage in STAGES for process in stage for name in process]
    assert sorted(names) == sorted(SECTIONS)
    assert chosen_stages(["race", "build", "gram"]) == [[["build"]], [["gram"]], [["race"]]]


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_is_a_function_of_its_module(name):
    module = Path(__file__).parents[2].joinpath(*SECTIONS[name][0].split(".")).with_suffix(".py")
    assert f"def {name}(results: SectionResults, sizes: " in module.read_text(encoding="utf-8")


def test_report_says_what_was_missed_and_what_failed():
    laplacian = {
        "stencil_energy": {"ms": 1.0, "GB/s": 80.0},
        "csr_int32_rows_energy": {"ms": 4.0},
        "csr_int32_columns_energy": {"ms": 2.0},
    }
    sections = {
        "ceilings": {"copy": {"ms": 1.0, "GB/s": 100.0}},
        "laplacian": {"12 MP": laplacian, "error": "24 MP: RuntimeError: no memory"},
        "sanitizer": {"memcheck": {"clean": False}},
        "image": {"vgg19, relative": {"L*": 2.0, "ours": {"(30, 40, 500)": {"least loss": 2.1}}}},
    }
    about = {"machine": {}, "commit": "", "dirty": False, "date": "", "dry_run": False}
    lines = report(about | {"sections": sections}).splitlines()
    assert "| matting Laplacian: `torch.sparse` CSR, float32 and int32 / ours | ≥ 3x | 2x (missed) |" in lines
    assert "| matting Laplacian: `torch.sparse` CSR, float32 and int64 / ours | ≥ 4.5x | not measured |" in lines
    assert "| matting Laplacian from its stencil: memory rate / that of a copy | ≥ 70 % | 80 % |" in lines
    assert "| compute-sanitizer memcheck | clean | not clean (missed) |" in lines
    what = "VGG-19, relative losses, warm, until 1.02 of the least loss"
    assert f"| {what} | ≤ 0.5 s | not reached: stops at 1.050 (missed) |" in lines
    assert "| laplacian |  | ERROR: 24 MP: RuntimeError: no memory |" in lines
