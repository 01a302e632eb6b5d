"""Records: what they may say, how they are named, and which sections a later run takes over."""

from __future__ import annotations

import json

import pytest

from benchmarks.figures import entries, figure
from benchmarks.record import RECORDS, earlier_sections, newest, publishable, record_name, write_record


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
        ({"cpu": "AMD EPYC", "cores": 2}, {"dry_run": True}, "2026-11-27-amd-epyc-2-cores-dry-run"),
        ({"cpu": "AMD EPYC", "cores": 2}, {"dry_run": False, "full": True}, "2026-11-27-amd-epyc-2-cores-full"),
        (
            {"cpu": "Intel(R) Xeon(R) Platinum 8480C", "cores": 16},
            {"dry_run": False},
            "2026-11-27-intel-xeon-platinum-8480c-16-cores",
        ),
    ],
    ids=["h200", "h100", "dry-run", "full", "xeon"],
)
def test_a_record_is_named_by_date_and_device(machine, options, name):
    assert record_name({"date": "2026-11-27T18:56:26", "machine": machine, **options}) == name


@pytest.mark.parametrize("path", sorted(RECORDS.glob("*.json")), ids=lambda path: path.stem)
def test_every_record_is_publishable(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record == publishable(record), "has logs or folders of the machine that made it"
    assert path.stem.startswith(record_name(record))
    assert not record["dry_run"]


def some_results(**changes) -> dict:
    about = {"date": "2026-11-27", "code": "a", "dirty": False, "dry_run": False, "quick": True}
    return about | {"machine": {"cpu": "x", "clock MHz": 2000}, "sections": {}} | changes


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"machine": {"cpu": "x", "clock MHz": 2100}}, True),
        ({"machine": {"cpu": "y", "clock MHz": 2000}}, False),
        ({"code": "b"}, False),
        ({"commit": "b"}, True),
        ({"dirty": True}, False),
        ({"quick": False}, False),
    ],
    ids=["same", "clock", "machine", "code", "commit", "dirty", "quick"],
)
def test_a_run_keeps_sections_of_the_same_commit_machine_and_kind(tmp_path, changes, kept):
    path = tmp_path / "record.json"
    assert earlier_sections(path, some_results()) == {}
    write_record(
        some_results(sections={"gram": {"ms": 1}}), path, tmp_path / "record.md", lambda _: "report", lambda _: {}
    )
    assert (earlier_sections(path, some_results(**changes)) == {"gram": {"ms": 1}}) is kept
    assert (tmp_path / "record.md").read_text() == "report"


def test_a_record_has_each_figure_with_its_floor_its_target_and_its_ratios(tmp_path):
    row = figure("product", 3.0, " ms", at_most=2, floor=1.5, peers={"torch": 4.0, "absent": None})
    rows = entries({"Operators": [row, figure("other", None, " ms")], "Nothing": [figure("none", None, "")]})
    path = tmp_path / "record.json"
    write_record(some_results(), path, tmp_path / "record.md", lambda _: "", lambda _: rows)
    (entry,) = json.loads(path.read_text())["figures"]["Operators"]
    assert entry == {
        "what": "product",
        "measured": "3 ms",
        "value": 3.0,
        "unit": "ms",
        "target": "≤ 2 ms",
        "met": False,
        "/ target": 1.5,
        "floor": 1.5,
        "/ floor": 2.0,
        "peers / ours": {"torch": 4.0},
    }
    assert set(rows) == {"Operators"}


def test_the_newest_record_has_all_sections_and_is_of_the_right_device():
    old = some_results(sections={"batch": {}, "gram": {}})
    new = some_results(date="2026-11-28", sections={"batch": {}})
    gpu = some_results(date="2026-11-29", machine={"gpu": "NVIDIA H200"}, sections={"batch": {}})
    records = [old, new, gpu]
    assert newest(records, ["batch"], gpu=False) is new
    assert newest(records, ["batch", "gram"], gpu=False) is old
    assert newest(records, ["batch"], gpu=True) is gpu
    assert newest(records, ["gram"], gpu=True) is None
