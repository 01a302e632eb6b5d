"""Memo: each value is made once, whichever thread asks first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastphoto.runtime.memo import Memo


def test_threads_that_ask_at_once_get_one_value():
    memo, made, asking = Memo(), [], threading.Barrier(4, timeout=60)

    def make() -> object:
        made.append(threading.get_ident())
        return object()

    def ask(_: int) -> object:
        asking.wait()
        return memo.get("key", make)

    with ThreadPoolExecutor(4) as threads:
        values = list(threads.map(ask, range(4)))
    assert len(made) == 1 and all(value is values[0] for value in values)


def test_other_keys_do_not_wait():
    """A maker may ask for another key, as the regions of a photo ask for its pixels."""
    memo = Memo()
    assert memo.get("sum", lambda: memo.get("one", lambda: 1) + memo.get("two", lambda: 2)) == 3


def test_none_is_a_value():
    memo, made = Memo(), []
    for _ in range(2):
        assert memo.get("key", lambda: made.append(1)) is None
    assert made == [1]


def test_what_could_not_be_made_is_made_again():
    memo = Memo()

    def fail() -> int:
        raise KeyError("once")

    with pytest.raises(KeyError):
        memo.get("key", fail)
    assert memo.get("key", lambda: 5) == 5


def test_what_was_not_asked_for_the_longest_is_dropped():
    memo, made = Memo(most=2), []
    for key in ("a", "b", "a", "c", "a", "b"):
        memo.get(key, lambda key=key: made.append(key))
    assert made == ["a", "b", "c", "b"]
