"""Tables of a page: formatted numbers, marked best values and headings that sort."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, TypeGuard

from fastphoto.errors import InputError
from fastphoto.reports.document import escaped

Cell = str | float | None


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, which of its numbers are best, and how they are formatted."""

    name: str
    best: Literal["low", "high"] | None = None
    """Mark the lowest or the highest number; None: mark nothing."""
    format: str = ""
    """Format specification of the numbers, such as ".2f"; empty: integers whole, others with three digits."""


def table_html(
    columns: Sequence[str | Column], rows: Sequence[Sequence[Cell]], sortable: bool = True, caption: str = ""
) -> str:
    """Return the HTML of a table, see `Page.table`."""
    described = [column if isinstance(column, Column) else Column(column) for column in columns]
    for number, row in enumerate(rows, 1):
        if len(row) != len(described):
            raise InputError(
                f"table: row {number} has {len(row)} cells; give one for each of the {len(described)} columns"
            )
    by_column = [[_missing_as_none(row[number]) for row in rows] for number in range(len(described))]
    headings = [_heading(column, values, sortable) for column, values in zip(described, by_column, strict=True)]
    cells = [
        _cells(column, values, heads_rows=number == 0)
        for number, (column, values) in enumerate(zip(described, by_column, strict=True))
    ]
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in zip(*cells, strict=True))
    title = f"<caption><span>{escaped(caption)}</span></caption>" if caption else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(caption or "Table")}">'
        f"<table>{title}<thead><tr>{''.join(headings)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _heading(column: Column, values: Sequence[Cell], sortable: bool) -> str:
    kind = ' class="number"' if _holds_numbers(values) else ""
    if not sortable:
        return f'<th scope="col"{kind}>{escaped(column.name)}</th>'
    first = "descending" if column.best == "high" else "ascending"
    return (
        f'<th scope="col"{kind} aria-sort="none" data-first="{first}">'
        f'<button type="button">{escaped(column.name)}</button></th>'
    )


def _cells(column: Column, values: Sequence[Cell], heads_rows: bool) -> list[str]:
    """Return the HTML of a column's cells, from top to bottom."""
    numeric = _holds_numbers(values)
    best = _best(column, values) if numeric else None
    return [_cell(column, value, numeric, best, heads_rows) for value in values]


def _cell(column: Column, value: Cell, numeric: bool, best: float | None, heads_row: bool) -> str:
    tag, scope = ("th", ' scope="row"') if heads_row else ("td", "")
    kinds = ["number"] if numeric else []
    text = escaped(_formatted(column, value))
    if best is not None and value is not None and float(value) == best:
        kinds.append("best")
        text += '<span class="visually-hidden"> (best)</span>'
    classes = f' class="{" ".join(kinds)}"' if kinds else ""
    exact = f' data-value="{float(value)!r}"' if numeric and value is not None else ""
    return f"<{tag}{scope}{classes}{exact}>{text}</{tag}>"


def _formatted(column: Column, value: Cell) -> str:
    if value is None:
        return "–"
    if _is_number(value):
        return format(value, column.format or ("d" if isinstance(value, Integral) else ".3g"))
    return str(value)


def _best(column: Column, values: Sequence[Cell]) -> float | None:
    numbers = [float(value) for value in values if value is not None]
    if column.best is None:
        return None
    return min(numbers) if column.best == "low" else max(numbers)


def _holds_numbers(values: Sequence[Cell]) -> bool:
    """Return whether a column holds at least one number and, apart from missing values, nothing else."""
    present = [value for value in values if value is not None]
    return bool(present) and all(_is_number(value) for value in present)


def _is_number(value: Cell) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _missing_as_none(value: Cell) -> Cell:
    return None if isinstance(value, Real) and math.isnan(value) else value
