"""The report of a run on a CPU, in Markdown: figures beside their targets, then all measurements."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.cpu.figures import figures
from benchmarks.figures import figure_table, lookup, section_table, short
from benchmarks.machine import described
from benchmarks.sections import Results

NOTES = """\
Times are medians; those of commands are the least of several runs. `/ ours` divides a peer's time by fastphoto's; both
are measured one after the other in one process. `/ floor` divides a time by max(bytes / rate of copying, operations /
rate of float32 matrix products); both rates are measured in the same process with the same threads. Operations are
counted by a convolution's definition (1.445 MFLOP a pixel for VGG-19 forwards and backwards); Winograd's filtering
takes a quarter of them, so its ratio may be below 1. B0 is the published method in plain PyTorch; its time is that of
one measured L-BFGS evaluation times 2000. B1 is our objective as a good engineer would write it today, "B1 compiled"
the same by torch.compile; B2 is B1 with our schedule and start image. Both are timed until their loss is that of
fastphoto's result; "or more" means that their time was up first. "torch" is an operator's definition in PyTorch."""


def report(results: Results) -> str:
    """Return the report of a run's results."""
    sections = results["sections"]
    lines = ["# fastphoto on a CPU", ""]
    if results["dry_run"]:
        lines += ["**A dry run with tiny sizes: these numbers mean nothing.**", ""]
    lines += [
        f"{described(results)}; {'full' if results['full'] else 'short'} run of {results.get('seconds', 0):.0f} s"
    ]
    for title, rows in figures(results).items():
        lines += ["", f"## {title}", "", *figure_table(rows, results["dry_run"])]
    lines += ["", NOTES, "", *section_table(sections), ""]
    lines += [
        f"Left out of {name}: {section['left out']}" for name, section in sections.items() if "left out" in section
    ]
    lines += [
        "",
        "| whole image | s | note |",
        "|---|---|---|",
        *(f"| {what} | {short(seconds)} | {note} |" for what, seconds, note in whole_images(sections)),
        "",
        *contender_table(lookup(sections, "operators", "rows") or {}),
        "",
        "| growth | at | ms | / floor |",
        "|---|---|---|---|",
    ]
    for key, row in sections.get("growth", {}).items():
        if key.endswith(("MP", "regions")):
            lines += [f"| {key} | {at} | {short(r['ms'])} | {short(r['/ floor'])} |" for at, r in row.items()]
    return "\n".join(lines) + "\n"


def contender_table(rows: Results) -> list[str]:
    """Return the lines of a table of all contenders by row, the fastest first."""
    lines = ["| work | contender | ms | / fastest | / floor | error |", "|---|---|---|---|---|---|"]
    for key, row in rows.items():
        fastest_first = sorted(row["contenders"].items(), key=lambda item: item[1]["ms"])
        for name, entry in fastest_first:
            cells = [entry["ms"], entry["ms"] / fastest_first[0][1]["ms"], entry["/ floor"], entry["error"]]
            lines.append(f"| {key} | {name} | " + " | ".join(map(short, cells)) + " |")
    return lines


def whole_images(sections: Results) -> Iterator[tuple[str, float | None, str]]:
    """Yield everything that was timed as a whole: its name, its seconds, and a note."""
    for encoder in ("embedded", "vgg19"):
        section = sections.get(encoder, {})
        for key, row in section.items():
            if key.startswith("command"):
                note = f"cold; {row['CPU s']:.3g} CPU s, peak {row['peak GB']:.2f} GB"
                yield f"{encoder}, {key}", row["s"], note
        if warm := section.get("warm"):
            yield f"{encoder}, 700 px, warm", warm["s"], f"median of {len(warm['all'])} later calls in one process"
        if row := section.get("same losses"):
            yield f"{encoder}, 700 px, the baselines' losses", row["s"], f"loss {row['loss']:.4f}"
        if row := section.get("extrapolated, 700 px"):
            note = f"warm; extrapolated from {row['evaluations']} of {row['of']} evaluations, {row['measured s']:.1f} s"
            yield f"{encoder}, 700 px", row["s"], note
        if row := section.get("B0"):
            note = f"2000 times one evaluation of {row['s an evaluation']:.3g} s, the mean of {row['evaluations']}"
            yield f"{encoder}, B0", row["s"], note
        for name in ("B1", "B2"):
            if row := section.get(name):
                note = "" if row["reached"] else "or more: stopped before the loss was reached; "
                yield f"{encoder}, {name}", row["s"], f"{note}{row['evaluations']} evaluations, loss {row['loss']:.4f}"
