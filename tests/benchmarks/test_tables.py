"""The documents: their tables and their picture are those of the newest records."""

from __future__ import annotations

import re

import pytest

from benchmarks.record import read_records
from benchmarks.tables import PAGES, all_tables, filled, out_of_date

MAIN = ("tests", "sanitizer", "ceilings", "laplacian", "gram", "local_affine", "iteration", "image", "memory")


def test_documents_show_the_newest_records():
    stale = sorted(path.name for path in out_of_date(read_records()))
    assert not stale, f"out of date: {', '.join(stale)}; run `make tables`"


def test_every_table_is_on_a_page():
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert sorted(re.findall(r"<!-- table: ([\w-]+) -->", pages)) == sorted(all_tables([]))


def test_a_table_is_made_from_the_newest_record_that_has_its_sections():
    machine = {"gpu": "NVIDIA H200"}
    whole = {"date": "2026-11-27", "commit": "old", "machine": machine, "sections": {name: {} for name in MAIN}}
    row = {"photos/s": 2.5, "peak allocated GB each": 0.2}
    other = {"date": "2026-11-28", "commit": "new", "machine": machine}
    other["sections"] = {"memory": {}, "throughput": {"350 px, 1 process": row, "seconds": 40}}
    names = ("source", "memory", "throughput", "fast")
    page = filled("".join(f"<!-- table: {name} -->\n?<!-- end of table -->\n" for name in names), [whole, other])
    assert "?" not in page
    source, memory, throughput, fast = page.split("<!-- end of table -->\n")[:4]
    assert "Measured on: NVIDIA H200, 2026-11-27, commit old.\n" in source
    assert "| VGG-19, peak memory allocated | ≤ 16 GB | not measured |\n" in memory
    assert "| 350 px, 1 process | ≥ 30 photos/s | 2.5 photos/s, peak memory 0.2 GB each (missed) |\n" in throughput
    assert "Measured on: NVIDIA H200, 2026-11-28, commit new.\n" in throughput
    assert "Not measured yet.\n" in fast


def test_a_table_of_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="no-such"):
        filled("<!-- table: no-such -->\n<!-- end of table -->", [])
