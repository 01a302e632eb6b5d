"""The picture of the scaling law: time and memory along each axis, as plain SVG on logarithmic scales.

Imports neither torch nor fastphoto.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmarks.scaling.fits import QUANTITIES, fit, interval, median, samples
from benchmarks.scaling.points import UNITS
from benchmarks.sections import Results

WIDTH, HEIGHT, LEFT, TOP, GAP = 190, 150, 50, 30, 60
COLOURS = {"s": "#1f6fb2", "peak GB": "#c4572b"}
Pairs = Sequence[tuple[float, float]]


def picture(section: Results) -> str:
    """Return an SVG with a panel for each axis (columns) and quantity (rows): medians, runs, and the fitted line."""
    axes = [axis for axis in UNITS if len({x for x, _ in samples(section, axis, "s")}) > 1]
    width = LEFT + len(axes) * (WIDTH + GAP)
    height = TOP + len(QUANTITIES) * (HEIGHT + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for column, axis in enumerate(axes):
        for row, quantity in enumerate(QUANTITIES):
            x, y = LEFT + column * (WIDTH + GAP), TOP + row * (HEIGHT + GAP)
            lines.append(f'<g transform="translate({x} {y})">')
            lines += _panel(samples(section, axis, quantity), axis, quantity)
            lines.append("</g>")
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(pairs: Pairs, axis: str, quantity: str) -> Iterator[str]:
    across, up = _Scale([x for x, _ in pairs], WIDTH), _Scale([y for _, y in pairs], HEIGHT)
    colour, (name, unit) = COLOURS[quantity], QUANTITIES[quantity]
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>'
    for value in across.ticks():
        x = across(value)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT + 14}" text-anchor="middle">{value:g}</text>'
    for value in up.ticks():
        y = HEIGHT - up(value)
        yield f'<line x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="-5" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    yield f'<text x="{WIDTH / 2}" y="{HEIGHT + 30}" text-anchor="middle">{UNITS[axis]}</text>'
    found = fit(pairs)
    title = f"{name}, {unit}" + ("" if found is None else f"; exponent {interval(found)}")
    yield f'<text x="0" y="-8" fill="{colour}">{title}</text>'
    places = sorted({x for x, _ in pairs})
    if found is not None:
        ends = [(place, found.factor * place**found.exponent) for place in (places[0], places[-1])]
        yield f'<polyline points="{_points(ends, across, up)}" fill="none" stroke="{colour}" stroke-dasharray="4 3"/>'
    medians = [(place, median(pairs, place)) for place in places]
    yield f'<polyline points="{_points(medians, across, up)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    for x, y in pairs:
        yield f'<circle cx="{across(x):.1f}" cy="{HEIGHT - up(y):.1f}" r="2.5" fill="{colour}"/>'


def _points(pairs: Pairs, across: _Scale, up: _Scale) -> str:
    return " ".join(f"{across(x):.1f},{HEIGHT - up(y):.1f}" for x, y in pairs)


class _Scale:
    """A logarithmic scale over some values, with room at both ends, and wide enough that noise looks small."""

    def __init__(self, values: Sequence[float], length: float) -> None:
        least, most = min(values), max(values)
        room = max(1.25, math.sqrt(6 * least / most))
        self.low, self.high, self.length = least / room, most * room, length

    def __call__(self, value: float) -> float:
        return self.length * math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """Return powers of ten, with 2 and 5 times these where the scale spans few of them."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1.0,) if self.high / self.low > 100 else (1.0, 2.0, 5.0)
        values = [step * 10.0**power for power in powers for step in steps]
        return [value for value in values if self.low <= value <= self.high]
