"""The scaling law: exponents of time and memory along each axis, fitted on logarithms, with confidence intervals.

Imports neither torch nor fastphoto.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure
from benchmarks.scaling.points import UNITS
from benchmarks.sections import Results

QUANTITIES = {"s": ("time", "s"), "peak GB": ("peak memory", "GB")}
# From here on the work on pixels outweighs what every call has to do.
LARGE = {"pixels": 1.0, "photos": 10.0}
# Student's t: 97.5 % of a distribution with so many degrees of freedom lie below.
_T = (math.inf, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


@dataclass(frozen=True)
class Fit:
    """y = factor x^exponent."""

    exponent: float
    factor: float
    half_width: float  # of the exponent's interval that covers 95 %


def fit(pairs: Sequence[tuple[float, float]]) -> Fit | None:
    """Fit a power law to pairs (x, y) by least squares on logarithms; None for fewer than two different x."""
    if len({x for x, _ in pairs}) < 2:
        return None
    logs = [(math.log(x), math.log(y)) for x, y in pairs]
    mean_x, mean_y = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    exponent = sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread
    residuals = sum((y - mean_y - exponent * (x - mean_x)) ** 2 for x, y in logs)
    freedom = len(logs) - 2
    error = math.sqrt(residuals / freedom / spread) if freedom else 0.0
    t = _T[freedom] if freedom < len(_T) else 2.1
    return Fit(exponent, math.exp(mean_y - exponent * mean_x), t * error if freedom else math.inf)


def samples(section: Results, axis: str, quantity: str, least: float = 0.0) -> list[tuple[float, float]]:
    """Return (place, value) of all runs along an axis, from a place on, in their order."""
    rows = [row for row in section["points"].values() if row["axis"] == axis and row["at"] >= least]
    return [(row["at"], run[quantity]) for row in sorted(rows, key=lambda row: row["at"]) for run in row["runs"]]


def fits(section: Results) -> Iterator[tuple[str, str, list[tuple[float, float]], Fit]]:
    """Yield axis, quantity, samples and fit of everything that grows; large places also by themselves."""
    for axis in UNITS:
        for quantity in QUANTITIES:
            for least in (0.0, *([LARGE[axis]] if axis in LARGE else [])):
                pairs = samples(section, axis, quantity, least)
                if (found := fit(pairs)) is not None:
                    yield axis, quantity, pairs, found


def scaling_figures(sections: Results) -> Iterator[Figure]:
    """Yield the fitted exponents."""
    for axis, quantity, pairs, found in fits(sections["scaling"]):
        what = f"exponent of {QUANTITIES[quantity][0]} in {UNITS[axis]}, {pairs[0][0]:g} to {pairs[-1][0]:g}"
        yield Figure(what, "", interval(found), None, value=found.exponent)


def scaling_table(sections: Results) -> list[str]:
    """Return the lines of a table of exponents, with the medians at both ends."""
    lines = [
        "| grows with | from | to | quantity | exponent, 95 % | there | and there |",
        "|---|---|---|---|---|---|---|",
    ]
    for axis, quantity, pairs, found in fits(sections["scaling"]):
        name, unit = QUANTITIES[quantity]
        ends = [f"{median(pairs, place):.3g} {unit}" for place in (pairs[0][0], pairs[-1][0])]
        cells = [UNITS[axis], f"{pairs[0][0]:g}", f"{pairs[-1][0]:g}", name, interval(found), *ends]
        lines.append(f"| {' | '.join(cells)} |")
    if note := sections["scaling"].get("left out"):
        lines += ["", f"Left out: {note}."]
    return lines


def interval(found: Fit) -> str:
    """Return an exponent with its interval."""
    width = "" if math.isinf(found.half_width) else f" ± {found.half_width:.2f}"
    return f"{found.exponent:.2f}{width}"


def median(pairs: Sequence[tuple[float, float]], place: float) -> float:
    """Return the median value at a place."""
    values = sorted(y for x, y in pairs if x == place)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
