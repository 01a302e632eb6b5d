"""The report of a run on a GPU, in Markdown: figures beside their targets, how sections ended, all measurements."""

from __future__ import annotations

from benchmarks.figures import figure_table, section_table, short, timings
from benchmarks.gpu.figures import SUBJECTS, step_table
from benchmarks.machine import described
from benchmarks.sections import Results


def report(results: Results) -> str:
    """Return the report of a run's results."""
    sections = results["sections"]
    lines = ["# fastphoto on a GPU", ""]
    if results["dry_run"]:
        lines += ["**A dry run on a CPU with tiny sizes: these numbers mean nothing.**", ""]
    lines += [described(results), ""]
    for title, figures in SUBJECTS.items():
        lines += [f"## {title}", "", *figure_table(figures(sections), results["dry_run"]), ""]
    lines += ["## All measurements", "", *step_table(sections), "", *section_table(sections), ""]
    lines += ["| measured | ms | GB/s | TFLOP/s | relative error |", "|---|---|---|---|---|"]
    for name, section in sections.items():
        for label, row in timings(name, section):
            cells = [short(row.get(key)) for key in ("ms", "GB/s", "TFLOP/s", "error")]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
