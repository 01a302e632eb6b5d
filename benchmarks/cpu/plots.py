"""Plots of a run on a CPU as SVG: times by size and by number of regions, and seconds of whole images."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from benchmarks.cpu.report import whole_images
from benchmarks.sections import Results

matplotlib.use("Agg")
from matplotlib import pyplot


def draw_plots(results: Results, record: Path) -> list[Path]:
    """Draw the plots of a run beside its record, and return their files."""
    return [
        *_draw_scaling(results, record.with_suffix(".scaling.svg")),
        *_draw_images(results, record.with_suffix(".images.svg")),
    ]


def _draw_scaling(results: Results, path: Path) -> list[Path]:
    curves = {
        key: row for key, row in results["sections"].get("scaling", {}).items() if key.endswith(("MP", "regions"))
    }
    if not curves:
        return []
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, unit, label in zip(axes, ("MP", "regions"), ("megapixels", "regions"), strict=True):
        for key, row in curves.items():
            if key.endswith(unit):
                axis.plot([float(x) for x in row], [each["ms"] for each in row.values()], "o-", label=key)
        axis.set(xlabel=label, ylabel="ms", xscale="log", yscale="log" if unit == "MP" else "linear")
        if axis.lines:
            axis.legend(fontsize="small")
    axes[1].set_ylim(bottom=0)
    return _save(figure, path)


def _draw_images(results: Results, path: Path) -> list[Path]:
    rows = [(what, seconds) for what, seconds, _ in whole_images(results["sections"]) if seconds]
    if not rows:
        return []
    figure, axis = pyplot.subplots(figsize=(8, 0.4 * len(rows) + 1), layout="constrained")
    axis.barh([what for what, _ in rows], [seconds for _, seconds in rows])
    axis.set(xlabel="seconds", xscale="log")
    axis.invert_yaxis()
    return _save(figure, path)


def _save(figure: pyplot.Figure, path: Path) -> list[Path]:
    figure.savefig(path)
    pyplot.close(figure)
    return [path]
