"""Write the tables of docs/gpu.md from the newest records in benchmarks/records.

    python benchmarks/gpu/page.py      (or: make gpu-page)

Replaces what is between `<!-- table: NAME -->` and `<!-- end of table -->`; the prose around it is written by hand.
Imports neither torch nor fastphoto.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.figures import figure_table
from benchmarks.gpu import figures
from benchmarks.gpu.report import described
from benchmarks.record import read_records
from benchmarks.sections import ROOT, Results

PAGE = ROOT / "docs" / "gpu.md"

# Sections that a record needs for all tables but that of the throughput.
MAIN_SECTIONS = ("tests", "sanitizer", "ceilings", "laplacian", "gram", "local_affine", "iteration", "image", "memory")

_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def filled(text: str, records: Sequence[Results]) -> str:
    """Return a page with its tables written anew.

    Args:
        text: the page, in Markdown.
        records: all records, the oldest first. Tables are made from the newest one that has all sections for them.

    Raises:
        LookupError: the page has a table of an unknown name, or there is no record for it.
    """
    tables = all_tables(records)
    return _TABLE.sub(lambda match: match[1] + "\n".join(["", *tables[match[2]], ""]) + "\n" + match[3], text)


def all_tables(records: Sequence[Results]) -> dict[str, list[str]]:
    """Return the lines of each table by name."""
    main, throughput = newest(records, MAIN_SECTIONS), newest(records, ["throughput"])
    sections = main["sections"]
    return {
        "source": [f"Measured on: {described(main)}."],
        "checks": figure_table(figures.check_figures(sections)),
        "images": figure_table(figures.image_figures(sections)),
        "steps": [*figures.step_table(sections), "", *figure_table(figures.step_figures(sections))],
        "memory": figure_table(figures.memory_figures(sections)),
        "operators": figure_table(figures.operator_figures(sections)),
        "throughput": [
            *figure_table(figures.throughput_figures(throughput["sections"])),
            *([] if throughput is main else ["", f"Measured on: {described(throughput)}."]),
        ],
    }


def newest(records: Sequence[Results], sections: Sequence[str]) -> Results:
    """Return the newest record that has all these sections."""
    for record in reversed(records):
        if set(sections) <= set(record["sections"]):
            return record
    raise LookupError(f"no record has the sections {', '.join(sections)}")


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), read_records()), encoding="utf-8")
