"""Records: what they may say, how they are named, and the page that is made from them."""

from __future__ import annotations

import json

import pytest

from benchmarks.gpu.page import PAGE, filled
from benchmarks.record import RECORDS, publishable, read_records, record_name


def test_logs_and_folders_do_not_get_into_a_record():
    results = {
        "sections": {
            "build": {"command": "python /home/me/setup.py", "rc": 1, "tail": ["g++ -I/usr/include", "failed"]},
            "tests": {"error": "FileError: /home/me/photos/a.png: no such file", "GB/s": 3.5, "size": [3, 4]},
        }
    }
    assert publishable(results) == {
        "sections": {
            "build": {"rc": 1},
            "tests": {"error": "FileError: a.png: no such file", "GB/s": 3.5, "size": [3, 4]},
        }
    }


@pytest.mark.parametrize(
    ("machine", "options", "name"),
    [
        ({"gpu": "NVIDIA H200"}, {"dry_run": False}, "2026-11-27-h200"),
        ({"gpu": "NVIDIA H100 80GB HBM3"}, {"dry_run": False}, "2026-11-27-h100-80gb-hbm3"),
        ({}, {"dry_run": True}, "2026-11-27-cpu-dry-run"),
        ({"cpu": "AMD EPYC"}, {"dry_run": False, "full": True}, "2026-11-27-cpu-full"),
    ],
    ids=["h200", "h100", "dry-run", "full"],
)
def test_a_record_is_named_by_date_and_device(machine, options, name):
    assert record_name({"date": "2026-11-27T18:56:26", "machine": machine, **options}) == name


@pytest.mark.parametrize("path", sorted(RECORDS.glob("*.json")), ids=lambda path: path.stem)
def test_every_record_is_publishable(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record == publishable(record), "has logs or folders of the machine that made it"
    assert path.stem.startswith(record_name(record))
    assert not record["dry_run"]


def test_gpu_page_shows_the_newest_records():
    page = PAGE.read_text(encoding="utf-8")
    assert page == filled(page, read_records()), "docs/gpu.md is out of date: run `make gpu-page`"


def test_page_takes_each_table_from_the_newest_record_that_has_its_sections():
    names = ("tests", "sanitizer", "ceilings", "laplacian", "gram", "local_affine", "iteration", "image", "memory")
    machine = {"gpu": "NVIDIA H200"}
    whole = {"date": "2026-11-27", "commit": "old", "machine": machine, "sections": {name: {} for name in names}}
    row = {"photos/s": 2.5, "peak allocated GB each": 0.2}
    other = {"date": "2026-11-28", "commit": "new", "machine": machine}
    other["sections"] = {"memory": {}, "throughput": {"350 px, 1 process": row, "seconds": 40}}
    text = "".join(f"<!-- table: {name} -->\n?<!-- end of table -->\n" for name in ("source", "memory", "throughput"))
    page = filled(text, [whole, other])
    assert "?" not in page
    source, memory, throughput = page.split("<!-- end of table -->\n")[:3]
    assert "Measured on: NVIDIA H200, 2026-11-27, commit old.\n" in source
    assert "| VGG-19, peak memory allocated | ≤ 16 GB | not measured |\n" in memory
    assert "| 350 px, 1 process |  | 2.5 photos/s, peak memory 0.2 GB each |\n" in throughput
    assert "Measured on: NVIDIA H200, 2026-11-28, commit new.\n" in throughput


def test_page_without_a_record_for_a_table_is_refused():
    with pytest.raises(LookupError, match="no record has the sections"):
        filled("", [])
