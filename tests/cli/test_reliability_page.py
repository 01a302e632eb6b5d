"""docs/reliability.md: each kind of input has one row. The files test_bad_*.py check what the rows say."""

from __future__ import annotations

from bad_input import documented_outcomes


def test_every_kind_has_one_row():
    assert list(documented_outcomes()) == list(range(1, 117))
