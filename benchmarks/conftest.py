"""The fixture with which the suite for the CPU times a contender of a workload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from workloads import Workload


@pytest.fixture
def timed(benchmark: Any) -> Callable[..., None]:
    """Compares a contender with float64, then times it; its bytes and operations go into the results."""

    def time(workload: Workload, name: str, small: Workload | None = None) -> None:
        """small: the same work to compare on, where that of the timed size would take too long in float64."""
        compared = small or workload
        error = compared.error(compared.contenders[name].prepare()())
        assert error <= compared.tolerance, f"{name} is wrong by {error:.1e}"
        contender = workload.contenders[name]
        benchmark.group = benchmark.group or workload.title
        benchmark.extra_info |= {"bytes": contender.bytes, "flops": contender.flops, "error": error}
        benchmark(contender.prepare())

    return time
