"""Times pieces of work on any device: the median over repetitions, with cold caches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


class Clock:
    """Milliseconds of a piece of work. sizes: how often and how long to repeat, what to flush, and the device."""

    def __init__(self, sizes: Any) -> None:
        self.sizes, self.device = sizes, sizes.device
        self.buffer = torch.empty(sizes.flush, dtype=torch.uint8, device=self.device)

    def __call__(self, call: Callable[[], object]) -> float:
        for _ in range(self.sizes.warm_ups):
            call()
        self.synchronise()
        times: list[float] = []
        deadline = time.monotonic() + self.sizes.seconds
        while len(times) < self.sizes.repetitions and (len(times) < 5 or time.monotonic() < deadline):
            times += [self._wall(call)] if self.device.type == "cpu" else self._events(call, 5)
        return statistics.median(times)

    def _wall(self, call: Callable[[], object]) -> float:
        self.buffer.fill_(1)
        begin = time.perf_counter()
        call()
        return (time.perf_counter() - begin) * 1e3

    def _events(self, call: Callable[[], object], count: int) -> list[float]:
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

    def synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], object]) -> float:
        """Of one call, from start to the device's last kernel."""
        self.synchronise()
        begin = time.perf_counter()
        call()
        self.synchronise()
        return time.perf_counter() - begin
