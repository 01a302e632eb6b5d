"""What Ctrl-C and `kill` do: the first signal stops the command cleanly, the second ends the process at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(BaseException):
    """Raised when a signal asks the command to end; `status` is the exit status that shells expect, 130 or 143."""

    def __init__(self, number: int) -> None:
        super().__init__(_SIGNALS[signal.Signals(number)])
        self.status = 128 + number


@contextlib.contextmanager
def raise_on_signals() -> Iterator[None]:
    """Raise `Stopped` inside the block as soon as a signal arrives."""

    def stop(number: int) -> None:
        raise Stopped(number)

    with _handle_first_signal(stop):
        yield


@contextlib.contextmanager
def defer_signals() -> Iterator[Callable[[], bool]]:
    """Raise `Stopped` only at the end of the block; yield a function that returns whether a signal has arrived."""
    arrived: list[int] = []
    with _handle_first_signal(arrived.append):
        yield lambda: bool(arrived)
    if arrived:
        raise Stopped(arrived[0])


@contextlib.contextmanager
def _handle_first_signal(handle: Callable[[int], None]) -> Iterator[None]:
    """Call `handle` with the first signal and let the second end the process; signals that are ignored stay ignored."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_DFL)
        handle(number)

    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    previous = {number: handler for number, handler in previous.items() if handler not in (signal.SIG_IGN, None)}
    for number in previous:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
