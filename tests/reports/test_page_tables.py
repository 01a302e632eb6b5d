"""Tables of a page: how numbers are written, which are marked as best, and rows that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from markup import Markup

from fastphoto.errors import InputError
from fastphoto.reports.page_tables import Column, table_html

COLUMNS = ["method", Column("distance", "low", ".2f"), Column("kept", "high"), Column("steps", "low"), "licence"]
ROWS = [
    ["a", 0.5, 0.123456, 70, "MIT"],
    ["b", np.float32(0.25), float("nan"), 9, None],
    ["c", 0.25, None, 1234, "MIT"],
]


def cells(html: str) -> list[list[tuple[str, list[str]]]]:
    """Return text and classes of each cell beside the row headings, row by row."""
    found = [(e.words, e.attributes.get("class", "").split()) for e in Markup(html).all("td")]
    return [found[start : start + 4] for start in range(0, len(found), 4)]


def test_numbers_are_formatted_and_missing_values_are_dashes():
    texts = [[text.removesuffix(" (best)") for text, _ in row] for row in cells(table_html(COLUMNS, ROWS))]
    assert texts == [
        ["0.50", "0.123", "70", "MIT"],
        ["0.25", "–", "9", "–"],
        ["0.25", "–", "1234", "MIT"],
    ]


def test_best_values_are_marked_for_eyes_and_for_screen_readers():
    rows = cells(table_html(COLUMNS, ROWS))
    best = [[False, True, False, False], [True, False, True, False], [True, False, False, False]]
    assert [["best" in classes for _, classes in row] for row in rows] == best
    assert [[text.endswith(" (best)") for text, _ in row] for row in rows] == best


def test_columns_of_numbers_are_aligned():
    rows = cells(table_html(COLUMNS, ROWS))
    assert [["number" in classes for _, classes in row] for row in rows] == 3 * [[True, True, True, False]]


def test_first_column_heads_the_rows():
    assert [e.words for e in Markup(table_html(COLUMNS, ROWS)).all("th", scope="row")] == ["a", "b", "c"]


def test_headings_are_buttons_that_sort():
    markup = Markup(table_html(COLUMNS, ROWS))
    assert len(markup.all("th", **{"aria-sort": "none"})) == len(markup.all("button")) == 5


def test_table_that_is_not_sortable_has_no_buttons():
    assert not Markup(table_html(COLUMNS, ROWS, sortable=False)).all("button")


def test_row_of_another_length_is_refused():
    with pytest.raises(InputError, match="row 2 has 1 cells; give one for each of the 2 columns"):
        table_html(["a", "b"], [[1, 2], [3]])
