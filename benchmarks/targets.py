"""What was promised beside what was measured, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sections import Found

UNKNOWN = "not measured"


@dataclass(frozen=True)
class Target:
    """Something that was promised, or is only to be known, and what became of it."""

    what: str
    wanted: str
    measured: str
    met: bool | None
    """None where it was not measured."""


def compared(what: str, sign: str, goal: float, value: float | None, unit: str, note: str = "") -> Target:
    met = None if value is None else value >= goal if sign == "≥" else value <= goal
    return Target(what, f"{sign} {goal:g}{unit}", UNKNOWN if value is None else f"{value:.3g}{unit}{note}", met)


def known(what: str, value: float | None, unit: str, note: str = "") -> Target:
    """A figure without a target."""
    text = UNKNOWN if value is None else f"{value:.3g}{unit}{note}"
    return Target(what, "", text, None if value is None else True)


def target_table(targets: Iterable[Target], dry_run: bool) -> list[str]:
    """Lines; in a dry run every figure beside a target is marked as one, for it tells nothing of the target."""
    lines = ["| what | target | measured |", "|---|---|---|"]
    for target in targets:
        verdict = "" if target.met is None else " (dry run)" if dry_run else "" if target.met else " (missed)"
        lines.append(f"| {target.what} | {target.wanted} | {target.measured}{verdict} |")
    return lines


def section_table(sections: Found) -> list[str]:
    """Lines that say how each section ended."""
    lines = ["| section | seconds | outcome |", "|---|---|---|"]
    for name, section in sections.items():
        problem = section.get("error", "").strip().splitlines()
        outcome = f"ERROR: {problem[-1]}" if problem else "ok"
        lines.append(f"| {name} | {section.get('seconds', '')} | {outcome.replace('|', '/')} |")
    return lines


def walk(label: str, value: object) -> Iterator[tuple[str, Found]]:
    """Everything that has a time, with the way to it."""
    if isinstance(value, dict):
        if "ms" in value:
            yield label, value
        for key, inner in value.items():
            yield from walk(f"{label}: {key}", inner)


def number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def found_at(sections: Found, *path: str) -> Any:
    value: Any = sections
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)


def ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None
