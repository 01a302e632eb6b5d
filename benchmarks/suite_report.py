"""The results of the suite for the CPU as Markdown: each claim beside what was measured, then every figure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from sections import Found
from targets import (
    Target,
    compared,
    found_at,
    known,
    least,
    number,
    ratio,
    section_table,
    target_table,
)

NOTES = """\
Times are medians; `/ ours` divides a peer's time by fastphoto's, both measured one after the other in one process.
`/ floor` divides a time by max(bytes / rate of copying, operations / rate of float32 matrix products), both rates
measured in the same process with the same threads. Operations are those of a convolution's definition (1.445 MFLOP a
pixel for VGG-19 forwards and backwards): Winograd's filtering takes a quarter of them, so it may go below 1.
B0 is the published method in plain PyTorch, its time that of one measured L-BFGS evaluation times 2000. B1 is the same
objective as ours as a good engineer would write it today; B2 is B1 with our schedule and start image. Both are timed
until their loss is that of fastphoto's result, or as "more than" the time that they had. Cold is a whole process."""


def report(results: Found) -> str:
    """All of it."""
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
        *target_table(targets(results), results["dry_run"]),
        "",
        NOTES,
        "",
        *section_table(sections),
        "",
        *(f"Left out of {name}: {section['left out']}" for name, section in sections.items() if "left out" in section),
        "",
        "| whole image | s | more |",
        "|---|---|---|",
        *(f"| {what} | {number(seconds)} | {more} |" for what, seconds, more in whole_images(sections)),
        "",
        *operator_table(found_at(sections, "operators", "rows") or {}),
        "",
        "| scaling | " + "at | ms | / floor |",
        "|---|---|---|---|",
    ]
    for key, row in sections.get("scaling", {}).items():
        if key.endswith(("MP", "regions")):
            lines += [f"| {key} | {at} | {number(r['ms'])} | {number(r['roofline'])} |" for at, r in row.items()]
    return "\n".join(lines) + "\n"


def operator_table(rows: Found) -> list[str]:
    """Lines: the benchmarks in their groups, each beside the fastest contender of its group."""
    lines = ["| work | contender | ms | rounds | / fastest | / floor | error |", "|---|---|---|---|---|---|---|"]
    for group, members in groupby(sorted(rows.items(), key=lambda item: item[1]["group"]), lambda i: i[1]["group"]):
        found = sorted(members, key=lambda item: item[1]["ms"])
        for name, row in found:
            label = name[name.index("[") + 1 : -1] if "[" in name else row["contender"]
            cells = [row["ms"], row["rounds"], row["ms"] / found[0][1]["ms"], row["roofline"], row["error"]]
            lines.append(f"| {group} | {label} | " + " | ".join(map(number, cells)) + " |")
    return lines


def whole_images(sections: Found) -> Iterator[tuple[str, float | None, str]]:
    """What was timed as a whole, its seconds, and what else is known of it."""
    for encoder in ("embedded", "vgg19"):
        section = sections.get(encoder, {})
        for key, row in section.items():
            if key.startswith("command"):
                more = f"cold; {row['CPU s']:.3g} CPU s, peak {row['peak GB']:.2f} GB"
                yield f"{encoder}, {key}", row["s"], more
        if warm := section.get("warm"):
            yield f"{encoder}, 700 px, warm", warm["s"], f"median of {len(warm['all'])} later calls in one process"
        if row := section.get("same losses"):
            yield f"{encoder}, 700 px, the baselines' losses", row["s"], f"loss {row['loss']:.4f}"
        if row := section.get("extrapolated, 700 px"):
            more = (
                f"from {row['evaluations']} of {row['of']} evaluations, {row['measured s']:.1f} s; in a process at hand"
            )
            yield f"{encoder}, 700 px", row["s"], more
        if row := section.get("B0"):
            more = f"{row['s an evaluation']:.3g} s an evaluation, of {row['evaluations']}, times 2000"
            yield f"{encoder}, B0", row["s"], more
        for name in ("B1", "B2"):
            if row := section.get(name):
                more = "" if row["reached"] else "more than this, which is where it was stopped; "
                yield f"{encoder}, {name}", row["s"], f"{more}{row['evaluations']} evaluations, loss {row['loss']:.4f}"


def targets(results: Found) -> Iterator[Target]:
    """Everything that was promised."""
    yield from images(results["sections"], results["full"])
    yield from operators(found_at(results["sections"], "operators", "rows") or {}, results["full"])
    yield compared("this suite", "≤", 360, None if results["full"] else results.get("seconds"), " s")


def images(sections: Found, full: bool) -> Iterator[Target]:
    ours = found_at(sections, "embedded", "command, 700 px") or {}
    yield compared("command, 700 px with masks, embedded", "≤", 15, ours.get("s"), " s")
    yield compared("command, 700 px with masks, embedded, peak memory", "≤", 1.5, ours.get("peak GB"), " GB")
    yield known("the same in a process that has done it before", found_at(sections, "embedded", "warm", "s"), " s")
    vgg = found_at(sections, "vgg19", "command, 700 px", "s")
    inner, warm = found_at(sections, "vgg19", "extrapolated, 700 px", "s"), found_at(sections, "embedded", "warm", "s")
    note = ""
    if vgg is None and inner and warm and ours:
        # What a process adds to a call (start, imports, files) is what it adds with the other encoder.
        row = sections["vgg19"]["extrapolated, 700 px"]
        note = f" (extrapolated from {row['evaluations']} of {row['of']} evaluations)"
        vgg = inner + ours["s"] - warm
    yield compared("command, 700 px with masks, VGG-19", "≤", 90, vgg, " s", note)
    published = found_at(sections, "vgg19", "B0") or {}  # as published, with VGG-19
    steps = f" (2000 x one evaluation, mean of {published.get('evaluations')})"
    for encoder, seconds, goal in (("embedded", ours.get("s"), 300), ("vgg19", vgg, 50)):
        what = f"whole image, 700 px: B0 / command, {encoder}"
        yield compared(what, "≥", goal, ratio(published.get("s"), seconds), "x", steps)
    narrow = found_at(sections, "embedded", "B0", "s")
    yield known("the same, both with the embedded encoder", ratio(narrow, ours.get("s")), "x")
    for encoder in ("embedded", "vgg19") if full else ("embedded",):
        same = found_at(sections, encoder, "same losses", "s")
        for name in ("B1", "B2"):
            row = found_at(sections, encoder, name) or {}
            note = "" if row.get("reached") else " or more (stopped)"
            what = f"whole image, 700 px, {encoder}, to the loss of fastphoto's result: {name} / transfer()"
            yield known(what, ratio(row.get("s"), same), "x", note)
    large = found_at(sections, "embedded", "command, 12 MP") or {}
    yield compared("command, 12 megapixels, embedded", "≤", 25, large.get("s"), " s")
    yield compared("command, 12 megapixels, embedded, peak memory", "≤", 4, large.get("peak GB"), " GB")


def operators(rows: Found, full: bool) -> Iterator[Target]:
    def ms(test: str, case: str) -> float | None:
        return found_at(rows, f"test_{test}[{case}]", "ms")

    csr = least(*(ms("matting_laplacian", f"1155x866-csr_int32_{order}_energy") for order in ("rows", "columns")))
    what = "matting Laplacian, value and gradient, 1 MP: torch.sparse CSR float32 / ours"
    yield compared(what, "≥", 3, ratio(csr, ms("matting_laplacian", "1155x866-stencil_energy")), "x")
    size = "1155x866" if full else "700x466"
    for peer, name in (("pymatting", "pymatting's"), ("numpy", "NumPy's and SciPy's")):
        value = ratio(ms("building_the_stencil", f"{size}-{peer}"), ms("building_the_stencil", f"{size}-native"))
        yield compared(f"stencil build, {size}: {name} / ours", "≥", 20, value, "x")
    size = "700x466" if full else "350x233"
    nine = ms("masked_gram_of_five_layers", f"{size}-native-9")
    what = f"masked Gram of VGG-19's five style layers, {size}, nine regions, value and gradient"
    for peer, goal, name in (("dense", 6, "nine dense products"), ("gather", 1, "B1's gather")):
        value = ratio(ms("masked_gram_of_five_layers", f"{size}-{peer}-9"), nine)
        yield compared(f"{what}: {name} / ours", "≥", goal, value, "x")
    one, nine = (ms("masked_gram_of_five_layers", f"700x466-native-{regions}") for regions in (1, 9))
    hard = ms("masked_gram_of_hard_regions", "700x466")
    yield compared("the same, 700x466: nine regions / one, of the same total area", "≤", 1.25, ratio(hard, one), "x")
    yield known("nine with soft borders, where pixels belong to several / one", ratio(nine, one), "x")
    floor = found_at(rows, "test_encoder[vgg19-512x384-native]", "roofline")
    what = "encoder, VGG-19, forwards and backwards, 512x384: time / the floor of its matrix products"
    yield compared(what, "≤", 1.3, floor, "x")
    for side in (700, 350):
        for name in ("B0", "B1"):
            cases = (f"embedded-{side}-{who}" for who in (name, "native"))
            value = ratio(*(ms("evaluation", case) for case in cases))
            yield known(f"one evaluation, embedded, {side} px: {name} / ours", value, "x")
