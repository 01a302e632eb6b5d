"""What Ctrl-C and `kill` do: the command stops and leaves nothing half done; the second time it ends at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(BaseException):
    """A signal asks the command to end; `status` is what it then exits with, as shells have it: 130 or 143."""

    def __init__(self, number: int) -> None:
        super().__init__(_SIGNALS[signal.Signals(number)])
        self.status = 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Signals raise `Stopped` inside."""

    def stop(number: int) -> None:
        raise Stopped(number)

    with _handled(stop):
        yield


@contextlib.contextmanager
def stoppable_later() -> Iterator[Callable[[], bool]]:
    """Signals raise `Stopped` only at the end; what is yielded says whether one has come."""
    came: list[int] = []
    with _handled(came.append):
        yield lambda: bool(came)
    if came:
        raise Stopped(came[0])


@contextlib.contextmanager
def _handled(handle: Callable[[int], None]) -> Iterator[None]:
    """The first signal goes to `handle`, the second ends the process; none that the caller ignores is caught."""
    if threading.current_thread() is not threading.main_thread():  # no other may set handlers
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        handle(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
