"""Figures: measured numbers beside their targets, as rows of Markdown tables. Imports neither torch nor fastphoto."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.sections import Results

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Figure:
    """One row of a table."""

    what: str
    target: str  # empty: there is none
    measured: str
    met: bool | None  # whether the target is met; None: not measured, or no target
    value: float | None = None
    unit: str = ""
    bound: float | None = None  # the target as a number
    floor: float | None = None  # the least that the device allows, in the same unit
    peers: Mapping[str, float] = field(default_factory=dict)  # what others take in the same run, divided by ours

    def entry(self) -> Results:
        """Return the figure as an entry of a record."""
        entry: Results = {"what": self.what, "measured": self.measured}
        entry |= {} if self.value is None else {"value": self.value, "unit": self.unit.strip()}
        entry |= {"target": self.target, "met": self.met} if self.target else {}
        for name, reference in (("target", self.bound), ("floor", self.floor)):
            if name == "floor" and reference is not None:
                entry["floor"] = reference
            if (share := ratio(self.value, reference)) is not None:
                entry[f"/ {name}"] = share
        return entry | ({"peers / ours": dict(self.peers)} if self.peers else {})

    def cell(self, dry_run: bool = False) -> str:
        """Return the measured number, marked where it missed its target; a dry run neither meets nor misses any."""
        if self.measured == NOT_MEASURED:
            return NOT_MEASURED
        return self.measured + (" (dry run)" if dry_run else " (missed)" if self.met is False else "")


def figure(
    what: str,
    value: float | None,  # None: not measured
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    note: str = "",
    floor: float | None = None,
    peers: Mapping[str, float | None] | None = None,
) -> Figure:
    """Return a number as a figure, with a target if one is given."""
    target, met = "", None
    if at_least is not None:
        target, met = f"≥ {digits(at_least)}{unit}", value is not None and value >= at_least
    elif at_most is not None:
        target, met = f"≤ {digits(at_most)}{unit}", value is not None and value <= at_most
    if value is None:
        return Figure(what, target, NOT_MEASURED, None)
    bound = at_least if at_least is not None else at_most
    known = {name: each for name, each in (peers or {}).items() if each is not None}
    return Figure(what, target, f"{digits(value)}{unit}{note}", met, value, unit, bound, floor, known)


def verdict(what: str, value: bool | None, *, yes: str, no: str) -> Figure:
    """Return a yes or no as a figure whose target is yes."""
    return Figure(what, yes, NOT_MEASURED if value is None else yes if value else no, value)


def figure_table(figures: Iterable[Figure], dry_run: bool = False) -> list[str]:
    """Return the lines of a table."""
    lines = ["| what | target | measured |", "|---|---|---|"]
    return lines + [f"| {row.what} | {row.target} | {row.cell(dry_run)} |" for row in figures]


def entries(subjects: Mapping[str, Iterable[Figure]]) -> Results:
    """Return figures by subject as they stand in a record; those that were not measured are left out."""
    measured = {
        title: [row.entry() for row in rows if row.measured != NOT_MEASURED] for title, rows in subjects.items()
    }
    return {title: rows for title, rows in measured.items() if rows}


def section_table(sections: Results) -> list[str]:
    """Return the lines of a table that says how each section ended."""
    lines = ["| section | seconds | outcome |", "|---|---|---|"]
    for name, section in sections.items():
        problem = section.get("error", "").strip().splitlines()
        outcome = f"ERROR: {'; '.join(problem)}" if problem else "ok"
        lines.append(f"| {name} | {section.get('seconds', '')} | {outcome.replace('|', '/')} |")
    return lines


def timings(label: str, value: object) -> Iterator[tuple[str, Results]]:
    """Yield all entries that hold a time in milliseconds, each with its path as a label."""
    if isinstance(value, dict):
        if "ms" in value:
            yield label, value
        for key, inner in value.items():
            yield from timings(f"{label}: {key}", inner)


def lookup(results: Results | None, *path: str) -> Any:
    """Return the entry at a path of keys, or None."""
    value: Any = results
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def smallest(*values: float | None) -> float | None:
    """Return the smallest of the values that are not None; None if there are none."""
    return min((value for value in values if value is not None), default=None)


def ratio(a: float | None, b: float | None) -> float | None:
    """Return a / b, or None if either is missing."""
    return a / b if a is not None and b else None


def short(value: object) -> str:
    """Return a number with three digits; nothing for None."""
    return digits(value) if isinstance(value, float) else "" if value is None else str(value)


def digits(value: float) -> str:
    """Return a number with three digits that count, without an exponent up to a million."""
    return f"{float(f'{value:.3g}'):g}"
