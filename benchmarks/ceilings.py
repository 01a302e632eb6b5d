"""What this machine reaches at best, measured where it is used: copying memory, and products of large matrices."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch


@cache
def rates(small: bool = False) -> dict[str, float]:
    """Bytes and operations a second with the threads that torch has now; the best of some tries, so a ceiling."""
    source = torch.rand(1 << (16 if small else 26))
    target = torch.empty_like(source)
    a, b = (torch.randn(64 if small else 2048, 64 if small else 2048) for _ in range(2))
    return {
        "bytes/s": 2 * 4 * source.numel() / best(lambda: target.copy_(source)),
        "flop/s": 2 * len(a) ** 3 / best(lambda: a @ b),
    }


def best(call: Callable[[], object], tries: int = 6) -> float:
    """The least seconds of a few calls."""
    spent = []
    for _ in range(tries):
        begin = time.perf_counter()
        call()
        spent.append(time.perf_counter() - begin)
    return min(spent)


def floor(moved: int, flops: int, small: bool = False) -> float:
    """Seconds that no implementation with these bytes and operations can go below: the roofline."""
    found = rates(small)
    return max(moved / found["bytes/s"], flops / found["flop/s"])
