"""The roofline of this machine: rates of copying memory and of matrix products, and the least time they allow."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch


@cache
def peak_rates(small: bool = False) -> dict[str, float]:
    """Return bytes and operations a second with the threads that torch uses now; the best of several tries."""
    source = torch.rand(1 << (16 if small else 26))
    target = torch.empty_like(source)
    a, b = (torch.randn(64 if small else 2048, 64 if small else 2048) for _ in range(2))
    return {
        "bytes/s": 2 * 4 * source.numel() / _best_time(lambda: target.copy_(source)),
        "flop/s": 2 * len(a) ** 3 / _best_time(lambda: a @ b),
    }


def _best_time(call: Callable[[], object], tries: int = 6) -> float:
    times = []
    for _ in range(tries):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def least_time(moved: int, flops: int, small: bool = False) -> float:
    """Return the least time of any implementation with so many bytes and operations: the roofline."""
    rates = peak_rates(small)
    return max(moved / rates["bytes/s"], flops / rates["flop/s"])
