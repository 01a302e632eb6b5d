"""The scaling law: its dry run, going on after a stop, fits, and the picture."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from locations import ROOT

from benchmarks.scaling.fits import fit, scaling_table
from benchmarks.scaling.picture import picture
from benchmarks.scaling.points import AXES, points
from benchmarks.scaling.run import expected_gigabytes


@pytest.fixture(scope="module")
def run(dry_run):
    return dry_run("scaling/run.py")


def test_dry_run_measures_every_axis_in_processes_of_their_own(run):
    section = run.results["sections"]["scaling"]
    assert "error" not in section
    assert {row["axis"] for row in section["points"].values()} == set(AXES)
    for row in section["points"].values():
        (measured,) = row["runs"]
        assert 0 < measured["s"] < measured["process s"]
        assert measured["peak GB"] > 0.05
    assert "| megapixels | 0.002 | 0.008 | time |" in run.report


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "scaling" / "run.py", "--dry-run", "-o", tmp_path]
    subprocess.run([*command, "--axes", "threads"], check=True, capture_output=True)
    (record,) = tmp_path.glob("*-scaling.json")
    before = json.loads(record.read_text())["sections"]["scaling"]["points"]
    done = subprocess.run([*command, "--axes", "threads,regions"], check=True, capture_output=True, text=True)
    after = json.loads(record.read_text())["sections"]["scaling"]["points"]
    assert {name: after[name] for name in before} == before
    assert [line.split()[0] for line in done.stdout.splitlines() if "import s" in line] == ["regions", "regions"]


def test_a_power_law_is_found_and_noise_widens_its_interval():
    exact = fit([(x, 3 * x**0.7) for x in (1.0, 2.0, 5.0, 10.0)])
    assert exact.exponent == pytest.approx(0.7)
    assert exact.factor == pytest.approx(3)
    assert exact.half_width == pytest.approx(0, abs=1e-12)
    noisy = fit([(1.0, 1.0), (2.0, 2.2), (4.0, 3.8), (8.0, 8.4)])
    # By hand: residuals of log2 y are s^2 = 0.01123 in all, the spread of log2 x is 5, t(2) is 4.30.
    logs = [math.log2(y) for y in (1.0, 2.2, 3.8, 8.4)]
    slope = sum(x * y for x, y in zip((-1.5, -0.5, 0.5, 1.5), logs, strict=True)) / 5
    rest = sum((y - sum(logs) / 4 - slope * x) ** 2 for x, y in zip((-1.5, -0.5, 0.5, 1.5), logs, strict=True))
    assert noisy.exponent == pytest.approx(slope)
    assert noisy.half_width == pytest.approx(4.30 * math.sqrt(rest / 2 / 5))


def test_one_place_has_no_exponent():
    assert fit([(1.0, 2.0), (1.0, 3.0)]) is None
    assert math.isinf(fit([(1.0, 2.0), (2.0, 3.0)]).half_width)


def some_section() -> dict:
    sizes = (0.1, 1.0, 10.0, 100.0)
    runs = {f"pixels: {x}": {"axis": "pixels", "at": x, "runs": [{"s": 2 * x, "peak GB": 0.1 + x}]} for x in sizes}
    return {"points": runs, "left out": "1000 megapixels"}


def test_table_has_the_exponents_over_all_sizes_and_over_large_ones():
    lines = scaling_table({"scaling": some_section()})
    assert "| megapixels | 0.1 | 100 | time | 1.00 ± 0.00 | 0.2 s | 200 s |" in lines
    assert any(line.startswith("| megapixels | 1 | 100 | peak memory | 0.9") for line in lines)
    assert lines[-1] == "Left out: 1000 megapixels."


def test_picture_is_plain_svg_with_two_panels_for_each_axis():
    root = ElementTree.fromstring(picture(some_section()))
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert set(names) <= {"svg", "rect", "g", "line", "text", "polyline", "circle"}
    assert names.count("g") == 2
    assert names.count("circle") == 8
    coordinates = [float(circle.get("cx")) for circle in root.iter() if circle.tag.endswith("circle")]
    assert min(coordinates) > 0


def test_memory_of_a_larger_photo_is_foreseen():
    rows = some_section()["points"]
    large = next(point for point in points(full=True, dry_run=False) if point.megapixels == 100)
    del rows["pixels: 100.0"]
    assert expected_gigabytes(large, rows) == pytest.approx(101)


def test_runs_go_from_small_to_large():
    for full in (True, False):
        chosen = list(points(full, dry_run=False))
        assert {point.axis for point in chosen} == set(AXES)
        for axis in AXES:
            places = [point.at for point in chosen if point.axis == axis]
            assert places == sorted(set(places))
