"""The figures of a run on a CPU, by subject: measured numbers beside their targets, floors and peers.

Imports neither torch nor fastphoto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.figures import Figure, figure, lookup, ratio, short, smallest
from benchmarks.sections import Results

ROOF = 100 / 70  # an operator should take at most so many times its floor
DEMOS = "mountains-as-desert", "lake-at-sunset"


def figures(results: Results) -> dict[str, list[Figure]]:
    """Return all figures of a run's results by subject."""
    sections = results["sections"]
    subjects = {
        "Whole commands": command_figures(sections),
        "Compared with others": comparison_figures(sections),
        "Operators": operator_figures(sections),
        "Batches": batch_figures(sections),
        "This run": [figure("this run", None if results.get("full") else results.get("seconds"), " s", at_most=420)],
    }
    return {title: list(rows) for title, rows in subjects.items()}


def command_figures(sections: Results) -> Iterator[Figure]:
    """Yield seconds and memory of the whole command, from its start to the written file."""
    torch = lookup(sections, "embedded", "import torch", "s")
    yield figure("`import torch` alone", torch, " s")
    for label in ("350 px", "700 px"):
        for demo in DEMOS:
            row = lookup(sections, "embedded", f"command, {label}, {demo}") or {}
            what = f"{label} with masks, `{demo}`"
            yield figure(what, row.get("s"), " s", at_most=3 if label == "700 px" else None, floor=torch)
            if label == "350 px":
                above = None if torch is None or "s" not in row else row["s"] - torch
                yield figure(f"{what}: above the time of `import torch`", above, " s", at_most=0.6)
            else:
                yield figure(f"{what}, peak memory", row.get("peak GB"), " GB", at_most=1.5)
    large = lookup(sections, "embedded", "command, 12 MP") or {}
    yield figure("12 megapixels with masks", large.get("s"), " s", at_most=8, floor=torch)
    yield figure("12 megapixels with masks, peak memory", large.get("peak GB"), " GB", at_most=2.5)
    yield figure("700 px with masks, a later call in one process", lookup(sections, "embedded", "warm", "s"), " s")
    yield figure("700 px with masks, VGG-19", lookup(sections, "vgg19", "command, 700 px", "s"), " s")
    row = lookup(sections, "vgg19", "extrapolated, 700 px") or {}
    note = f" (extrapolated from {row.get('evaluations')} of {row.get('of')} evaluations)"
    yield figure("700 px with masks, VGG-19, a later call in one process", row.get("s"), " s", note=note)


def comparison_figures(sections: Results) -> Iterator[Figure]:
    """Yield what others take, divided by what fastphoto takes."""
    command = lookup(sections, "embedded", f"command, 700 px, {DEMOS[0]}", "s")
    for encoder, name, target in (
        ("vgg19", "with VGG-19", 300),
        ("embedded", "with the narrow `embedded` encoder", None),
    ):
        published = lookup(sections, encoder, "B0") or {}
        note = f" (2000 x one evaluation, mean of {published.get('evaluations')})"
        what = f"the published method {name}, 2000 steps / the command, 700 px"
        yield figure(what, ratio(published.get("s"), command), "x", at_least=target, note=note)
    for encoder in ("embedded", "vgg19"):
        same = lookup(sections, encoder, "same losses", "s")
        for name, title in (("B1", "a well-made rewrite"), ("B2", "the same with our schedule and start image")):
            if (row := lookup(sections, encoder, name)) or encoder == "embedded":
                note = "" if (row or {}).get("reached", True) else " or more (stopped)"
                what = f"{title}, to the loss of `painterly`'s result without projection, {encoder}, 700 px / ours"
                yield figure(what, ratio((row or {}).get("s"), same), "x", note=note)
    for side in (700, 350):
        ours = _ms(sections, f"evaluation embedded, {side} px", "native")
        titles = {"B0": "the published method", "B1": "a well-made rewrite", "B1 compiled": "the same by torch.compile"}
        for name, title in titles.items():
            value = ratio(_ms(sections, f"evaluation embedded, {side} px", name), ours)
            yield figure(f"one evaluation of `painterly`'s losses, {side} px: {title} / ours", value, "x")
    laplacian = "matting Laplacian, 1155x866"
    csr = smallest(*(_ms(sections, laplacian, f"csr_int32_{order}_energy") for order in ("rows", "columns")))
    ours = _ms(sections, laplacian, "stencil_energy")
    what = "matting Laplacian, value and gradient, 1 megapixel: `torch.sparse` CSR float32 / ours"
    yield figure(what, ratio(csr, ours), "x", at_least=3)
    product = _ms(sections, laplacian, "stencil")
    for peer, name in (("scipy_csr", "SciPy's CSR"), ("pymatting_csr", "pymatting's matrix")):
        yield figure(f"matting Laplacian, product: {name} / ours", ratio(_ms(sections, laplacian, peer), product), "x")
    for peer, name in (("pymatting", "pymatting"), ("numpy", "NumPy and SciPy")):
        value = ratio(*(_ms(sections, "stencil, 700x466", each) for each in (peer, "native")))
        yield figure(f"building the Laplacian: {name} / ours", value, "x", at_least=20)
    for size in ("350x233", "700x466"):
        for peer, target, name in (("dense", 6, "nine dense products"), ("gather", 1, "a gather for each region")):
            value = ratio(*(_ms(sections, f"masked Gram, {size}, 9 regions", each) for each in (peer, "native")))
            if value is not None or size == "350x233":
                what = f"masked Gram matrices, nine regions, VGG-19's five style layers, {size}: {name} / ours"
                yield figure(what, value, "x", at_least=target)
    one = _ms(sections, "masked Gram, 700x466, 1 region", "native")
    for kind, target, name in (("hard", 1.25, "of the same total area"), ("", None, "with soft borders")):
        nine = _ms(sections, f"masked Gram, 700x466, 9 {kind + ' ' * bool(kind)}regions", "native")
        yield figure(f"masked Gram matrices, 700x466: nine regions {name} / one", ratio(nine, one), "x", at_most=target)


def operator_figures(sections: Results) -> Iterator[Figure]:
    """Yield the milliseconds of each of fastphoto's contenders, with its floor and its peers."""
    for key, row in (lookup(sections, "operators", "rows") or {}).items():
        for name, operator in row["ours"].items():
            if (entry := row["contenders"].get(name)) is None:
                continue
            peers = {peer: ratio(other["ms"], entry["ms"]) for peer, other in row["contenders"].items()}
            # Of an energy the peers are energies, of a product products.
            peers = {
                peer: value
                for peer, value in peers.items()
                if peer not in row["ours"] and peer.endswith("_energy") == name.endswith("_energy")
            }
            what = f"{key}: `{operator}`" if operator else key
            floor = entry["floor ms"]
            target = floor * ROOF if operator else None
            yield figure(what, entry["ms"], " ms", at_most=target, floor=floor, peers=peers)


def operator_table(sections: Results) -> list[str]:
    """Return the lines of a table of all operators: milliseconds, times the floor, and each peer's time / ours."""
    lines = ["| work | ms | times its floor | others, times ours |", "|---|---|---|---|"]
    for row in operator_figures(sections):
        peers = ", ".join(f"{name} {short(value)}" for name, value in row.peers.items())
        lines.append(f"| {row.what} | {short(row.value)} | {short(ratio(row.value, row.floor))} | {peers} |")
    return lines


def batch_figures(sections: Results) -> Iterator[Figure]:
    """Yield the rates of batches, with the ideal pool's rate as the ceiling."""
    for key, row in (sections.get("batch") or {}).items():
        if isinstance(row, Mapping):
            yield figure(f"{key}: batch", row["batch photos/s"], " photos/s")
            yield figure(f"{key}: batch / ideal pool", row["batch / ideal"], "x", at_least=0.9)


def batch_table(sections: Results) -> list[str]:
    """Return the lines of a table of batches."""
    lines = ["| long side | photos | batch, photos a second | ideal pool | batch / ideal | peak of a worker | model |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in sections["batch"].values():
        if isinstance(row, Mapping):
            rates = [f"{row[key]:.2f}" for key in ("batch photos/s", "ideal photos/s", "batch / ideal")]
            memory = [f"{row[f'{key} of a worker, GB']:.2f} GB" for key in ("peak", "model")]
            lines.append(f"| {' | '.join([str(row['side']), str(row['photos']), *rates, *memory])} |")
    return lines


def _ms(sections: Results, row: str, contender: str) -> float | None:
    return lookup(sections, "operators", "rows", row, "contenders", contender, "ms")
