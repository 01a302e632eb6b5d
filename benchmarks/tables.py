"""Write the tables and the picture of the documents from the newest records in benchmarks/records.

    python benchmarks/tables.py      (or: make tables)

Replaces what is between `<!-- table: NAME -->` and `<!-- end of table -->` in the pages below; the text around it is
written by hand. Imports neither torch nor fastphoto.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.cpu import figures as cpu
from benchmarks.figures import NOT_MEASURED, Figure, figure_table
from benchmarks.gpu import figures as gpu
from benchmarks.gpu.estimates import estimate_table
from benchmarks.machine import described
from benchmarks.record import newest, read_records
from benchmarks.scaling.fits import scaling_table
from benchmarks.scaling.picture import picture
from benchmarks.sections import ROOT, Results

PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("batch", "gpu", "performance"))]
SCALING_PICTURE = ROOT / "docs" / "figures" / "scaling.svg"
Lines = list[str]

# Sections that a record of a GPU needs for the tables of docs/gpu.md that have no sections of their own below.
MAIN = ("tests", "sanitizer", "ceilings", "laplacian", "gram", "local_affine", "iteration", "image", "memory")

_TABLE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def filled(text: str, records: Sequence[Results]) -> str:
    """Return a page with its tables written anew.

    Args:
        text: the page, in Markdown.
        records: all records, the oldest first. A table is made from the newest one that has the sections for it.

    Raises:
        KeyError: the page has a table of an unknown name.
    """
    tables = all_tables(records)
    return _TABLE.sub(lambda match: match[1] + "\n".join(["", *tables[match[2]], ""]) + "\n" + match[3], text)


def all_tables(records: Sequence[Results]) -> dict[str, Lines]:
    """Return the lines of each table by name."""

    def of(sections: Sequence[str], make: Callable[[Results], Lines], on_gpu: bool, source: bool = True) -> Lines:
        record = newest(records, sections, on_gpu)
        if record is None:
            return ["Not measured yet."]
        return [*make(record["sections"]), *(["", f"Measured on: {described(record)}."] if source else [])]

    def on_cpu(*sections: str, figures: Callable[[Results], Iterable[Figure]]) -> Lines:
        return of(sections, lambda found: figure_table(measured(figures(found))), on_gpu=False)

    def main(figures: Callable[[Results], Iterable[Figure]]) -> Lines:
        return of(MAIN, lambda found: figure_table(figures(found)), on_gpu=True, source=False)

    def steps(found: Results) -> Lines:
        return [*gpu.step_table(found), "", *figure_table(gpu.step_figures(found))]

    source = newest(records, MAIN, gpu=True)
    return {
        # README.md
        "commands": on_cpu("embedded", figures=cpu.command_figures),
        "comparisons": on_cpu("operators", "embedded", figures=cpu.comparison_figures),
        "gpu-summary": of(MAIN, lambda found: figure_table(summary(found)), on_gpu=True),
        # docs/batch.md
        "batch": of(["batch"], cpu.batch_table, on_gpu=False),
        # docs/gpu.md
        "source": [f"Measured on: {described(source)}." if source else "Not measured yet."],
        "checks": main(gpu.check_figures),
        "fast": of(["fast"], lambda found: figure_table(gpu.fast_figures(found)), on_gpu=True),
        "images": main(gpu.image_figures),
        "steps": of(MAIN, steps, on_gpu=True, source=False),
        "memory": main(gpu.memory_figures),
        "operators": main(gpu.operator_figures),
        "throughput": of(["throughput"], lambda found: figure_table(gpu.throughput_figures(found)), on_gpu=True),
        "estimates": estimate_table((source or {}).get("sections", {})),
        # docs/performance.md
        "cpu-operators": of(["operators"], cpu.operator_table, on_gpu=False),
        "scaling": of(["scaling"], scaling_table, on_gpu=False),
    }


def measured(figures: Iterable[Figure]) -> Iterator[Figure]:
    """Yield the figures that were measured: a short run leaves some out."""
    return (row for row in figures if row.measured != NOT_MEASURED)


def summary(sections: Results) -> Iterator[Figure]:
    """Yield the figures of a GPU that README.md shows."""
    for title, figures in (
        ("700 px", list(gpu.image_figures(sections))[:3]),
        ("700 px, one step", list(gpu.step_figures(sections))[:1]),
        ("12 megapixels at full size", [row for row in gpu.memory_figures(sections) if "reserved" not in row.what]),
    ):
        yield from (replace(row, what=f"{title}, {row.what}") for row in figures)


def generated(records: Sequence[Results]) -> dict[Path, str]:
    """Return the text of every page, and of the picture if there is a record for it."""
    texts = {page: filled(page.read_text(encoding="utf-8"), records) for page in PAGES}
    if (record := newest(records, ["scaling"], gpu=False)) is not None:
        texts[SCALING_PICTURE] = picture(record["sections"]["scaling"])
    return texts


def out_of_date(records: Sequence[Results]) -> dict[Path, str]:
    """Return the new text of each file that differs from what the records make."""
    texts = generated(records)
    return {path: text for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text}


if __name__ == "__main__":
    for path, text in out_of_date(read_records()).items():
        path.write_text(text, encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")
