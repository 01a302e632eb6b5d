"""A clock for pieces of work on any device: the median over repetitions, with cold caches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Protocol

import torch


class Repetitions(Protocol):
    """How a clock measures: on which device, and how often."""

    warm_ups: int
    repetitions: int  # at most
    fewest: int  # repetitions at least
    seconds: float  # time after which no repetition beyond the fewest begins
    flush: int  # bytes to write between repetitions, to empty the caches

    @property
    def device(self) -> torch.device: ...


class Clock:
    """Measures calls on one device; on a GPU by its own events."""

    def __init__(self, sizes: Repetitions) -> None:
        self.sizes, self.device = sizes, sizes.device
        self.buffer = torch.empty(sizes.flush, dtype=torch.uint8, device=self.device)

    def milliseconds(self, call: Callable[[], object]) -> float:
        """Return the median time of a call, with cold caches."""
        for _ in range(self.sizes.warm_ups):
            call()
        self.synchronise()
        times: list[float] = []
        deadline = time.monotonic() + self.sizes.seconds
        while len(times) < self.sizes.repetitions and (len(times) < self.sizes.fewest or time.monotonic() < deadline):
            times += [self._wall_time(call)] if self.device.type == "cpu" else self._event_times(call, 5)
        return statistics.median(times)

    def seconds(self, call: Callable[[], object]) -> float:
        """Return the time of one call, until the device's last kernel has ended."""
        self.synchronise()
        begin = time.perf_counter()
        call()
        self.synchronise()
        return time.perf_counter() - begin

    def synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _wall_time(self, call: Callable[[], object]) -> float:
        self.buffer.fill_(1)
        begin = time.perf_counter()
        call()
        return (time.perf_counter() - begin) * 1e3

    def _event_times(self, call: Callable[[], object], count: int) -> list[float]:
        pairs = []
        for index in range(count):
            self.buffer.fill_(index)
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            pairs.append((begin, end))
        self.synchronise()
        return [begin.elapsed_time(end) for begin, end in pairs]
