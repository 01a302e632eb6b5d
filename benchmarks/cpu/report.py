"""The report of a run on a CPU, in Markdown: figures beside their targets, then all measurements."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from benchmarks.figures import Figure, figure, figure_table, lookup, ratio, section_table, short, smallest
from benchmarks.sections import Results

NOTES = """\
Times are medians. `/ ours` divides a peer's time by fastphoto's; both are measured one after the other in one process.
`/ floor` divides a time by max(bytes / rate of copying, operations / rate of float32 matrix products); both rates are
measured in the same process with the same threads. Operations are counted by a convolution's definition (1.445 MFLOP a
pixel for VGG-19 forwards and backwards); Winograd's filtering takes a quarter of them, so its ratio may be below 1.
B0 is the published method in plain PyTorch; its time is that of one measured L-BFGS evaluation times 2000. B1 is our
objective as a good engineer would write it today; B2 is B1 with our schedule and start image. Both are timed until
their loss is that of fastphoto's result; "or more" means that their time was up first. Cold is a whole process."""


def report(results: Results) -> str:
    """Return the report of a run's results."""
    machine, sections = results["machine"], results["sections"]
    lines = ["# fastphoto on a CPU", ""]
    if results["dry_run"]:
        lines += ["**A dry run with tiny sizes: these numbers mean nothing.**", ""]
    lines += [
        f"{machine.get('cpu')}, {machine.get('cores')} cores ({' '.join(machine.get('instructions', []))}), "
        f"{machine.get('memory GB')} GB, {machine.get('threads')} threads; torch {machine.get('torch')}, "
        f"Python {machine.get('python')}; commit {results['commit'][:12] or 'unknown'}"
        f"{' with changes' if results['dirty'] else ''}, {results['date']}; "
        f"{'full' if results['full'] else 'short'} run of {results.get('seconds', 0):.0f} s, "
        f"load average before it {results['load before']:.1f}",
        "",
        *figure_table(figures(results), results["dry_run"]),
        "",
        NOTES,
        "",
        *section_table(sections),
        "",
        *(f"Left out of {name}: {section['left out']}" for name, section in sections.items() if "left out" in section),
        "",
        "| whole image | s | note |",
        "|---|---|---|",
        *(f"| {what} | {short(seconds)} | {note} |" for what, seconds, note in whole_images(sections)),
        "",
        *operator_table(lookup(sections, "operators", "rows") or {}),
        "",
        "| scaling | at | ms | / floor |",
        "|---|---|---|---|",
    ]
    for key, row in sections.get("scaling", {}).items():
        if key.endswith(("MP", "regions")):
            lines += [f"| {key} | {at} | {short(r['ms'])} | {short(r['roofline'])} |" for at, r in row.items()]
    return "\n".join(lines) + "\n"


def operator_table(rows: Results) -> list[str]:
    """Return the lines of a table of all benchmarks by group, each beside the fastest contender of its group."""
    lines = ["| work | contender | ms | rounds | / fastest | / floor | error |", "|---|---|---|---|---|---|---|"]
    for group, members in groupby(sorted(rows.items(), key=lambda item: item[1]["group"]), lambda i: i[1]["group"]):
        fastest_first = sorted(members, key=lambda item: item[1]["ms"])
        for name, row in fastest_first:
            label = name[name.index("[") + 1 : -1] if "[" in name else row["contender"]
            cells = [row["ms"], row["rounds"], row["ms"] / fastest_first[0][1]["ms"], row["roofline"], row["error"]]
            lines.append(f"| {group} | {label} | " + " | ".join(map(short, cells)) + " |")
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


def figures(results: Results) -> Iterator[Figure]:
    """Yield all figures with a target, and some without."""
    yield from image_figures(results["sections"], results["full"])
    yield from operator_figures(lookup(results["sections"], "operators", "rows") or {}, results["full"])
    yield figure("this run", None if results["full"] else results.get("seconds"), " s", at_most=360)


def image_figures(sections: Results, full: bool) -> Iterator[Figure]:
    """Yield the figures of whole images."""
    ours = lookup(sections, "embedded", "command, 700 px") or {}
    warm = lookup(sections, "embedded", "warm", "s")
    yield figure("command, 700 px with masks, embedded", ours.get("s"), " s", at_most=15)
    yield figure("command, 700 px with masks, embedded, peak memory", ours.get("peak GB"), " GB", at_most=1.5)
    yield figure("transfer(), 700 px with masks, embedded, warm", warm, " s")
    vgg, note = vgg_command_seconds(sections, ours.get("s"), warm)
    yield figure("command, 700 px with masks, VGG-19", vgg, " s", at_most=90, note=note)
    published = lookup(sections, "vgg19", "B0") or {}  # as published, with VGG-19
    steps = f" (2000 x one evaluation, mean of {published.get('evaluations')})"
    for encoder, seconds, target in (("embedded", ours.get("s"), 300), ("vgg19", vgg, 50)):
        what = f"whole image, 700 px: B0 / command, {encoder}"
        yield figure(what, ratio(published.get("s"), seconds), "x", at_least=target, note=steps)
    narrow = lookup(sections, "embedded", "B0", "s")
    yield figure("whole image, 700 px: B0 / command, both with embedded", ratio(narrow, ours.get("s")), "x")
    for encoder in ("embedded", "vgg19") if full else ("embedded",):
        same = lookup(sections, encoder, "same losses", "s")
        for name in ("B1", "B2"):
            row = lookup(sections, encoder, name) or {}
            note = "" if row.get("reached") else " or more (stopped)"
            what = f"whole image, 700 px, {encoder}, to the loss of fastphoto's result: {name} / transfer()"
            yield figure(what, ratio(row.get("s"), same), "x", note=note)
    large = lookup(sections, "embedded", "command, 12 MP") or {}
    yield figure("command, 12 megapixels, embedded", large.get("s"), " s", at_most=25)
    yield figure("command, 12 megapixels, embedded, peak memory", large.get("peak GB"), " GB", at_most=4)


def vgg_command_seconds(sections: Results, command: float | None, warm: float | None) -> tuple[float | None, str]:
    """Return the seconds of the command with VGG-19, measured or extrapolated, and a note that says so.

    Args:
        command: seconds of the command with the embedded encoder.
        warm: seconds of a warm call with the embedded encoder.
    """
    measured = lookup(sections, "vgg19", "command, 700 px", "s")
    row = lookup(sections, "vgg19", "extrapolated, 700 px")
    if measured is not None or not row or command is None or warm is None:
        return measured, ""
    # A process adds as much to a call (start, imports, files) with one encoder as with the other.
    note = f" (extrapolated from {row['evaluations']} of {row['of']} evaluations)"
    return row["s"] + command - warm, note


def operator_figures(rows: Results, full: bool) -> Iterator[Figure]:
    """Yield the figures of operators and evaluations, from the rows of the benchmarks."""

    def ms(test: str, case: str) -> float | None:
        return lookup(rows, f"test_{test}[{case}]", "ms")

    csr = smallest(*(ms("matting_laplacian", f"1155x866-csr_int32_{order}_energy") for order in ("rows", "columns")))
    what = "matting Laplacian, value and gradient, 1 MP: torch.sparse CSR float32 / ours"
    yield figure(what, ratio(csr, ms("matting_laplacian", "1155x866-stencil_energy")), "x", at_least=3)
    size = "1155x866" if full else "700x466"
    for peer, name in (("pymatting", "pymatting"), ("numpy", "NumPy and SciPy")):
        value = ratio(ms("stencil_build", f"{size}-{peer}"), ms("stencil_build", f"{size}-native"))
        yield figure(f"stencil build, {size}: {name} / ours", value, "x", at_least=20)
    size = "700x466" if full else "350x233"
    nine = ms("masked_gram_of_five_layers", f"{size}-native-9")
    what = f"masked Gram of VGG-19's five style layers, {size}, nine regions, value and gradient"
    for peer, target, name in (("dense", 6, "nine dense products"), ("gather", 1, "B1's gather")):
        value = ratio(ms("masked_gram_of_five_layers", f"{size}-{peer}-9"), nine)
        yield figure(f"{what}: {name} / ours", value, "x", at_least=target)
    one, nine = (ms("masked_gram_of_five_layers", f"700x466-native-{regions}") for regions in (1, 9))
    hard = ms("masked_gram_of_hard_regions", "700x466")
    what = "masked Gram of VGG-19's five style layers, 700x466: nine regions"
    yield figure(f"{what} / one, of the same total area", ratio(hard, one), "x", at_most=1.25)
    yield figure(f"{what} with soft borders, so that pixels belong to several / one", ratio(nine, one), "x")
    floor = lookup(rows, "test_encoder[vgg19-512x384-native]", "roofline")
    what = "encoder, VGG-19, forwards and backwards, 512x384: time / the floor of its matrix products"
    yield figure(what, floor, "x", at_most=1.3)
    for side in (700, 350):
        for name in ("B0", "B1"):
            cases = (f"embedded-{side}-{contender}" for contender in (name, "native"))
            value = ratio(*(ms("evaluation", case) for case in cases))
            yield figure(f"one evaluation, embedded, {side} px: {name} / ours", value, "x")
