"""The one thread that computes, and the queue before it: one photo at a time, and every tab in turn."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from fastphoto.runtime.memory import return_freed_memory

Value = TypeVar("Value")

REST = 30.0
"""Seconds without work after which freed memory goes back to the system; the next work then takes longer."""


class Cancelled(Exception):
    """Raised inside work whose result nobody wants any more."""


class Chain:
    """Pieces of work that end together: once it is cancelled, those that wait never run, and the running one stops."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Make `check` raise from now on."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise Cancelled if the chain has been cancelled."""
        if self._cancelled.is_set():
            raise Cancelled


class Worker:
    """One thread that runs functions, one after the other.

    Owners take turns: an owner with ten functions waiting delays another owner's first by one function only.

    Example:
        >>> worker = Worker()
        >>> worker.submit("tab", Chain(), lambda: 6 * 7).result()
        42
        >>> worker.close()
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, deque[tuple[Chain, Callable[[], Any], Future[Any]]]] = OrderedDict()
        self._changed = threading.Condition()
        self._running: Chain | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="fastphoto ui", daemon=True)
        self._thread.start()

    def submit(self, owner: Hashable, chain: Chain, function: Callable[[], Value]) -> Future[Value]:
        """Let a function run when its owner's turn comes; the future raises Cancelled if the chain is by then."""
        future: Future[Value] = Future()
        with self._changed:
            self._waiting.setdefault(owner, deque()).append((chain, function, future))
            self._changed.notify()
        return future

    def ahead(self, owner: Hashable) -> int:
        """Return how many other owners wait or run."""
        with self._changed:
            return len([each for each in self._waiting if each != owner])

    def close(self) -> None:
        """End the thread; what runs is cancelled, what waits never runs."""
        with self._changed:
            self._closed = True
            if self._running is not None:
                self._running.cancel()
            self._changed.notify()
        self._thread.join(20)

    def _next(self) -> tuple[Chain, Callable[[], Any], Future[Any]] | None:
        with self._changed:
            while not self._waiting and not self._closed:
                if not self._changed.wait(REST):
                    return_freed_memory()
                    self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
            if self._closed:
                return None
            owner, queue = self._waiting.popitem(last=False)
            work = queue.popleft()
            if queue:
                self._waiting[owner] = queue  # behind all others
            self._running = work[0]
            return work

    def _run(self) -> None:
        while (work := self._next()) is not None:
            chain, function, future = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                chain.check()
                value = function()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(value)
                del value
            self._running = None
            del work, chain, function, future  # or they would hold a photo's memory until the next
