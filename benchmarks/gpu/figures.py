"""The figures of a run on a GPU, by subject: measured numbers beside their targets.

The targets were derived from bytes and operations before anything was measured. The report of a run and docs/gpu.md
show the same figures. Imports neither torch nor fastphoto.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.figures import NOT_MEASURED, Figure, figure, lookup, ratio, short, smallest, verdict
from benchmarks.sections import Results

ENCODERS = {"embedded": "`embedded`", "vgg19": "VGG-19"}  # names in results, names to print
PRECISIONS = {"bfloat16": "bfloat16", "tf32": "TF32", "float32": "float32"}


def check_figures(sections: Results) -> Iterator[Figure]:
    """Yield the outcome of the tests, of compute-sanitizer, and of running the same transfer twice."""
    counts = lookup(sections, "tests", "counts") or {}
    passed, failed = counts.get("passed", 0), sum(counts.get(word, 0) for word in ("failed", "error", "errors"))
    text = f"{passed} passed, {failed} failed" if counts else NOT_MEASURED
    yield Figure("tests that need CUDA", "all pass", text, bool(passed) and not failed if counts else None)
    for tool in ("memcheck", "racecheck", "initcheck", "synccheck"):
        clean = lookup(sections, "sanitizer", tool, "clean")
        yield verdict(f"compute-sanitizer {tool}", clean, yes="clean", no="not clean")
    same = lookup(sections, "image", "same bits twice")
    yield verdict("the same transfer twice", same, yes="the same bits", no="other bits")


def image_figures(sections: Results) -> Iterator[Figure]:
    """Yield the seconds of whole images of `painterly`."""
    for encoder, name in ENCODERS.items():
        seconds = lookup(sections, "image", f"default preset, {encoder}", "warm s")
        yield figure(f"{name}, warm", seconds, " s")
    seconds = lookup(sections, "image", "cold, embedded", "s")
    yield figure("default settings, `embedded`, the whole command, cold", seconds, " s")
    for encoder, normalisation, target in (
        ("embedded", "relative", 0.2),
        ("vgg19", "relative", 0.5),
        ("vgg19", "published", 0.5),
    ):
        key = f"{encoder}, {normalisation}"  # older records have these in another section
        row = lookup(sections, "race", key) or lookup(sections, "image", key) or {}
        entries = row.get("ours", {}).values()
        seconds = smallest(*(entry.get("s") for entry in entries))
        what = f"{ENCODERS[encoder]}, {normalisation} losses, warm, until 1.02 of the least loss"
        if seconds is None and entries:
            reached = min(entry["least loss"] for entry in entries) / row["L*"]
            yield Figure(what, f"≤ {target:g} s", f"not reached: stops at {reached:.3f}", False)
        else:
            yield figure(what, seconds, " s", at_most=target)


def step_figures(sections: Results) -> Iterator[Figure]:
    """Yield the figures of one step with VGG-19."""
    ms = _step_times(sections)
    for losses, name in (
        ("default", "losses of `painterly`"),
        ("same losses", "losses of `painterly` without projection"),
    ):
        yield figure(f"VGG-19, {name}, bfloat16", ms(f"ours, vgg19, bfloat16, {losses}"), " ms", at_most=1.7)
    for precision in ("bfloat16", "tf32"):
        times = ms(f"B1, vgg19, {precision}"), ms(f"ours, vgg19, {precision}, same losses")
        what = f"VGG-19, losses of `painterly` without projection, {PRECISIONS[precision]}: well-made rewrite / ours"
        yield figure(what, ratio(*times), "x", at_least=1.6)
    for precision in ("tf32", "float32"):
        times = ms(f"B0, vgg19, {precision}"), ms("ours, vgg19, bfloat16, published losses")
        what = f"VGG-19, published losses: published method in {PRECISIONS[precision]} / ours in bfloat16"
        yield figure(what, ratio(*times), "x", at_least=6)


def step_table(sections: Results) -> list[str]:
    """Return the lines of a table: milliseconds of one step, by precision."""
    ms = _step_times(sections)
    rows = {}
    for encoder, name in ENCODERS.items():
        rows[f"{name}, losses of `painterly`"] = f"ours, {encoder}, {{}}, default"
        rows[f"{name}, losses of `painterly` without projection"] = f"ours, {encoder}, {{}}, same losses"
        rewrite = f"{name}, losses of `painterly` without projection, well-made rewrite"
        rows |= {rewrite: f"B1, {encoder}, {{}}", f"{rewrite} by torch.compile": f"B1 compiled, {encoder}, {{}}"}
    rows["VGG-19, published losses"] = "ours, vgg19, {}, published losses"
    rows["VGG-19, published losses, published method"] = "B0, vgg19, {}"
    lines = [f"| one step | {' | '.join(PRECISIONS.values())} |", "|---|---|---|---|"]
    for name, key in rows.items():
        times = [ms(key.format(precision)) for precision in PRECISIONS]
        if "compiled" in key and not any(times):
            continue  # only the full run has it
        lines.append(f"| {name} | " + " | ".join(f"{short(value)} ms" if value else "" for value in times) + " |")
    return lines


def _step_times(sections: Results) -> Callable[[str], float | None]:
    return lambda name: lookup(sections, "iteration", name, "ms")


def memory_figures(sections: Results) -> Iterator[Figure]:
    """Yield seconds and peak memory at 12 megapixels."""
    for encoder, name in ENCODERS.items():
        row = lookup(sections, "memory", f"12 MP, {encoder}") or {}
        target = 16 if encoder == "vgg19" else None
        yield figure(f"{name}, time", row.get("s"), " s")
        yield figure(f"{name}, peak memory allocated", row.get("peak allocated GB"), " GB", at_most=target)
        yield figure(f"{name}, peak memory reserved", row.get("peak reserved GB"), " GB", at_most=target)


def operator_figures(sections: Results) -> Iterator[Figure]:
    """Yield the figures of the operators."""
    yield from _laplacian_figures(sections)
    yield from _gram_figures(sections)
    copy = lookup(sections, "ceilings", "copy", "GB/s")
    for key, name in (("fit_radius_1", "fit"), ("smooth_box_radius_1", "smooth"), ("apply", "apply")):
        row = lookup(sections, "local_affine", "12 MP", key) or {}
        floor = ratio(row.get("bytes"), None if copy is None else 1e6 * copy)
        yield figure(f"local affine maps, {name}", row.get("ms"), " ms", floor=floor)
    for key, row in (sections.get("operators") or {}).items():
        if isinstance(row, dict) and "native" in row:
            floor = ratio(row["native"]["bytes"], None if copy is None else 1e6 * copy)
            peers = {name: ratio(other["ms"], row["native"]["ms"]) for name, other in row.items() if name != "native"}
            yield figure(key, row["native"]["ms"], " ms", floor=floor, peers=peers)


def _laplacian_figures(sections: Results) -> Iterator[Figure]:
    rows = lookup(sections, "laplacian", "12 MP")
    ours = lookup(rows, "stencil_energy", "ms")
    yield figure("matting Laplacian from its stencil", ours, " ms")
    share = ratio(lookup(rows, "stencil_energy", "GB/s"), lookup(sections, "ceilings", "copy", "GB/s"))
    percent = None if share is None else 100 * share
    yield figure("matting Laplacian from its stencil: memory rate / that of a copy", percent, " %", at_least=70)
    for index, target in (("int32", 3), ("int64", 4.5)):
        csr = smallest(*(lookup(rows, f"csr_{index}_{order}_energy", "ms") for order in ("rows", "columns")))
        what = f"matting Laplacian: `torch.sparse` CSR, float32 and {index} / ours"
        yield figure(what, ratio(csr, ours), "x", at_least=target)
    yield figure("matting Laplacian on the fly", lookup(rows, "on_the_fly_energy", "ms"), " ms")
    yield figure("building the stencil", lookup(rows, "build", "ms"), " ms")


def _gram_figures(sections: Results) -> Iterator[Figure]:
    def ms(name: str, precision: str, regions: int = 9) -> float | None:
        return lookup(sections, "gram", f"{name}, {precision}, {regions}", "ms")

    for precision in ("bfloat16", "float32"):
        ours = ms("native", precision)
        what = f"masked Gram matrices, {precision}"
        yield figure(what, ours, " ms")
        yield figure(f"{what}: nine dense products / ours", ratio(ms("dense", precision), ours), "x", at_least=20)
        if precision == "bfloat16":
            value = ratio(ms("dense", "float32"), ours)
            yield figure(f"{what}: nine dense products in float32 / ours", value, "x", at_least=20)
        yield figure(f"{what}: a gather for each region / ours", ratio(ms("gather", precision), ours), "x", at_least=3)
        yield figure(f"{what}: nine regions / one", ratio(ours, ms("native", precision, 1)), "x", at_most=1.2)


def fast_figures(sections: Results) -> Iterator[Figure]:
    """Yield seconds of whole calls at default settings, and the host's share of them."""
    for key, row in (sections.get("fast") or {}).items():
        if isinstance(row, dict):
            note = f", peak memory {short(row['peak allocated GB'])} GB"
            floor = ratio(row.get("device ms"), 1e3)
            yield figure(f"transfer(), {key}, warm", row["s"], " s", note=note, floor=floor)
            target = 15 if key in ("350 px", "700 px") else None
            yield figure(
                f"transfer(), {key}: the host's work that no kernel hides", row.get("host ms"), " ms", at_most=target
            )
    for key, row in (sections.get("regions") or {}).items():
        if isinstance(row, dict):
            yield figure(f"find_regions(), {key}, warm", row["s"], " s", floor=ratio(row.get("device ms"), 1e3))
    if clip := lookup(sections, "video", "clip"):
        height, width = clip["size"]
        note = f", {clip['frames']} frames, {clip['keyframes']} of them keyframes"
        yield figure(f"a clip of {width} x {height}", clip["frames/s"], " frames/s", note=note)


def throughput_figures(sections: Results) -> Iterator[Figure]:
    """Yield photos per second, by size and number of processes, of one session, and of batches."""
    rows = {key: row for key, row in (sections.get("throughput") or {}).items() if isinstance(row, dict)}
    for key, row in rows.items():
        side = key.partition(" px")[0]
        target = {"350": 30, "700": 10}.get(side) if key.endswith("1 process") else None
        note = f", peak memory {short(row['peak allocated GB each'])} GB each"
        yield figure(key, row["photos/s"], " photos/s", note=note, at_least=target)
        if not key.endswith("1 process"):
            value = ratio(row["photos/s"], lookup(rows, f"{side} px, 1 process", "photos/s"))
            yield figure(f"{key} / 1 process", value, "x", at_least=1)
    for key, row in (sections.get("sessions") or {}).items():
        if isinstance(row, dict):
            yield figure(f"{key}, a session", row["photos/s"], " photos/s")
    for key, row in (sections.get("batch") or {}).items():
        if isinstance(row, dict):
            note = f", {row['workers']} workers"
            yield figure(f"{key}, files to files: `fastphoto batch`", row["batch photos/s"], " photos/s", note=note)
            yield figure(f"{key}: batch / an ideal pool of as many processes", row["batch / ideal"], "x", at_least=0.9)


SUBJECTS: dict[str, Callable[[Results], Iterator[Figure]]] = {
    "Checks": check_figures,
    "Default settings": fast_figures,
    "Photos per second at default settings": throughput_figures,
    "Whole images of `painterly` at 700 pixels": image_figures,
    "One step at 700 pixels": step_figures,
    "12 megapixels optimised at full size": memory_figures,
    "Operators, at 12 megapixels; masked Gram matrices at 700 pixels with nine regions": operator_figures,
}
