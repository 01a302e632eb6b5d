"""The results of the command for a GPU as Markdown: each target beside what was measured, and all that failed."""

from __future__ import annotations

from collections.abc import Iterator

from sections import Found
from targets import (
    UNKNOWN,
    Target,
    compared,
    found_at,
    known,
    least,
    number,
    ratio,
    section_table,
    target_table,
    walk,
)


def report(results: Found) -> str:
    """All of it."""
    machine, sections = results["machine"], results["sections"]
    lines = ["# fastphoto on a GPU", ""]
    if results["dry_run"]:
        lines += ["**A dry run on a CPU with tiny sizes: these numbers mean nothing.**", ""]
    lines += [
        f"GPU: {machine.get('gpu', 'none')}, driver {machine.get('driver', 'none')}, torch {machine.get('torch')}, "
        f"CUDA {machine.get('cuda')}, commit {results['commit'][:12] or 'unknown'}"
        f"{' with changes' if results['dirty'] else ''}, {results['date']}",
        "",
    ]
    lines += [*target_table(targets(sections), results["dry_run"]), "", *section_table(sections)]
    lines += ["", "| measured | ms | GB/s | TFLOP/s | relative error |", "|---|---|---|---|---|"]
    for name, section in sections.items():
        for label, row in walk(name, section):
            cells = [number(row.get(key)) for key in ("ms", "GB/s", "TFLOP/s", "error")]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def targets(sections: Found) -> Iterator[Target]:
    """Everything that was promised."""
    yield from laplacian(sections)
    yield from gram(sections)
    yield from iteration(sections)
    yield from images(sections)
    yield from checks(sections)


def laplacian(sections: Found) -> Iterator[Target]:
    rows = found_at(sections, "laplacian", "12 MP")
    ours = found_at(rows, "stencil_energy", "ms")
    for index, goal in (("int32", 3), ("int64", 4.5)):
        csr = least(*(found_at(rows, f"csr_{index}_{order}_energy", "ms") for order in ("rows", "columns")))
        what = f"matting value and gradient, 12 MP, three channels: CSR float32 {index} / ours"
        yield compared(what, "≥", goal, ratio(csr, ours), "x")
    share = ratio(found_at(rows, "stencil_energy", "GB/s"), found_at(sections, "ceilings", "copy", "GB/s"))
    yield compared("the same as a share of copying (72 B/px)", "≥", 70, None if share is None else 100 * share, " %")


def gram(sections: Found) -> Iterator[Target]:
    def ms(name: str, kind: str, regions: int = 9) -> float | None:
        return found_at(sections, "gram", f"{name}, {kind}, {regions}", "ms")

    for kind in ("bfloat16", "float32"):
        ours = ms("native", kind)
        what = f"masked Gram, five layers, nine regions, forwards and backwards, {kind}"
        yield compared(f"{what}: nine dense / ours", "≥", 20, ratio(ms("dense", kind), ours), "x")
        if kind == "bfloat16":
            yield compared(f"{what}: nine dense in float32 / ours", "≥", 20, ratio(ms("dense", "float32"), ours), "x")
        yield compared(f"{what}: gather per region / ours", "≥", 3, ratio(ms("gather", kind), ours), "x")
        yield compared(f"{what}: nine regions / one", "≤", 1.2, ratio(ours, ms("native", kind, 1)), "x")


def iteration(sections: Found) -> Iterator[Target]:
    def ms(name: str) -> float | None:
        return found_at(sections, "iteration", name, "ms")

    published = ms("ours, vgg19, bfloat16, published losses")
    for name, losses in (("same losses", "baselines' losses"), ("default", "default losses with the projection")):
        what = f"VGG-19 iteration, 700 px, {losses}"
        yield compared(what, "≤", 1.7, ms(f"ours, vgg19, bfloat16, {name}"), " ms")
    for kind in ("float32", "tf32"):
        what = f"VGG-19 iteration with the published losses: B0 in {kind} / ours"
        yield compared(what, "≥", 6, ratio(ms(f"B0, vgg19, {kind}"), published), "x")
    for kind in ("bfloat16", "tf32"):
        value = ratio(ms(f"B1, vgg19, {kind}"), ms(f"ours, vgg19, {kind}, same losses"))
        yield compared(f"VGG-19 iteration: B1 / ours, both in {kind}", "≥", 1.6, value, "x")


def images(sections: Found) -> Iterator[Target]:
    for encoder, normalisation, goal in (
        ("vgg19", "relative", 0.5),
        ("vgg19", "published", 0.5),
        ("embedded", "relative", 0.2),
    ):
        row = found_at(sections, "image", f"{encoder}, {normalisation}") or {}
        ours = row.get("ours", {}).values()
        seconds = least(*(entry.get("s") for entry in ours))
        what = f"whole image, 700 px, {encoder}, {normalisation} losses, to 1.02 L*, warm"
        if seconds is None and ours:
            missed = min(entry["least loss"] for entry in ours) / row["L*"]
            yield Target(what, f"≤ {goal:g} s", f"not reached, least loss {missed:.3f} L*", False)
        else:
            yield compared(what, "≤", goal, seconds, " s")
    for encoder in ("vgg19", "embedded"):
        seconds = found_at(sections, "image", f"default preset, {encoder}", "warm s")
        yield known(f"default preset, 700 px, {encoder}, warm", seconds, " s")
    yield known("command, 700 px, embedded, cold", found_at(sections, "image", "cold, embedded", "s"), " s")
    same = found_at(sections, "image", "same bits twice")
    yield Target("the same run twice, same bits", "yes", {True: "yes", False: "no"}.get(same, UNKNOWN), same)
    large = found_at(sections, "memory", "12 MP, vgg19")
    for kind in ("reserved", "allocated"):
        value = found_at(large, f"peak {kind} GB")
        yield compared(f"12 MP exact, VGG-19, peak memory {kind}", "≤", 16, value, " GB")
    yield known("12 MP exact, VGG-19", found_at(large, "s"), " s")


def checks(sections: Found) -> Iterator[Target]:
    counts = found_at(sections, "tests", "counts") or {}
    passed, failed = counts.get("passed", 0), sum(counts.get(word, 0) for word in ("failed", "error", "errors"))
    text = f"{passed} passed, {failed} failed" if counts else UNKNOWN
    yield Target("tests on the GPU", "all", text, bool(passed) and not failed if counts else None)
    for tool in ("memcheck", "racecheck", "initcheck", "synccheck"):
        clean = found_at(sections, "sanitizer", tool, "clean")
        text = {True: "clean", False: "not clean"}.get(clean, UNKNOWN)
        yield Target(f"compute-sanitizer {tool}", "clean", text, clean)
