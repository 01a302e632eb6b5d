"""The queue: owners take turns, cancelled work never runs, and a failure concerns its own future alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from fastphoto.ui.worker import Cancelled, Chain, Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


def blocked(worker: Worker) -> threading.Event:
    """Occupy the worker; return the event that sets it free."""
    free, begun = threading.Event(), threading.Event()
    worker.submit("blocker", Chain(), lambda: (begun.set(), free.wait(20)))
    assert begun.wait(20)
    return free


def test_owners_take_turns(worker):
    free, order = blocked(worker), []
    work = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("b", 2)]
    futures = [worker.submit(owner, Chain(), lambda each=(owner, n): order.append(each)) for owner, n in work]
    assert worker.ahead("b") == 2
    free.set()
    for future in futures:
        future.result(20)
    assert order == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2), ("a", 3)]


def test_cancelled_work_never_runs(worker):
    free, chain, ran = blocked(worker), Chain(), []
    future = worker.submit("a", chain, lambda: ran.append(1))
    chain.cancel()
    free.set()
    with pytest.raises(Cancelled):
        future.result(20)
    assert ran == []


def test_futures_that_nobody_awaits_any_more_do_no_harm(worker):
    free = blocked(worker)
    worker.submit("a", Chain(), lambda: 1).cancel()
    free.set()
    assert worker.submit("a", Chain(), lambda: 2).result(20) == 2


def test_a_failure_is_the_futures_own(worker):
    with pytest.raises(ZeroDivisionError):
        worker.submit("a", Chain(), lambda: 1 / 0).result(20)
    assert worker.submit("a", Chain(), lambda: 3).result(20) == 3


def test_closing_cancels_what_runs():
    worker, begun, chain = Worker(), threading.Event(), Chain()

    def work() -> None:
        begun.set()
        while True:
            chain.check()

    future = worker.submit("a", chain, work)
    assert begun.wait(20)
    worker.close()
    with pytest.raises(Cancelled):
        future.result(1)
