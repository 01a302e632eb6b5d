"""Options and fixtures of bench_*.py: a contender is checked first, then timed.

--short       leave out benchmarks that are marked `full`
--limit S     begin no benchmark after S seconds
--dry-run     tiny sizes, once; the numbers mean nothing
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.cpu.roofline import least_time, peak_rates
from benchmarks.workloads import Workload

BEGIN = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fastphoto")
    group.addoption("--short", action="store_true", help="leave out benchmarks that are marked `full`")
    group.addoption("--limit", type=float, default=float("inf"), help="begin no benchmark after so many seconds")
    group.addoption("--dry-run", action="store_true", help="tiny sizes, once")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: left out of the short run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--short"):
        left_out = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


@pytest.fixture(autouse=True)
def limit(request: pytest.FixtureRequest) -> None:
    if time.monotonic() - BEGIN > request.config.getoption("--limit"):
        pytest.skip("no time left")


@pytest.fixture
def scaled(request: pytest.FixtureRequest) -> Callable[[int, int], tuple[int, int]]:
    """Return a function from a size (height, width) to itself, or to a tiny one in a dry run."""
    tiny = request.config.getoption("--dry-run")
    return lambda height, width: (36, 48) if tiny else (height, width)


@pytest.fixture
def shape_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Return a function from an encoder to the one whose widths to use: itself, or a narrow one in a dry run."""
    tiny = request.config.getoption("--dry-run")
    return lambda name: "vgg19-16x" if tiny and name == "vgg19" else name


@pytest.fixture
def timed(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that compares a contender with float64, then times it.

    Bytes, operations and "roofline" go into the results: the measured time over the time that memory or arithmetic
    alone would take at this machine's best.
    """
    tiny, short = request.config.getoption("--dry-run"), request.config.getoption("--short")

    def measure(workload: Workload, name: str, small: Workload | None = None) -> None:
        """Compare and time a contender; `small` is the same work at a size at which float64 does not take too long."""
        contender = workload.contenders[name]
        call = contender.prepare()
        begin = time.perf_counter()
        outputs = call()
        seconds = time.perf_counter() - begin
        error = workload.error(outputs) if small is None else small.error(small.contenders[name].prepare()())
        tolerance = (small or workload).tolerance
        assert error <= tolerance, f"{name} is wrong by {error:.1e}, more than {tolerance:.0e}"
        benchmark.group = benchmark.group or workload.title
        # Time for a second but at least five calls; in the short run for half a second but at least two calls, or one
        # if a call takes a second. The call above was the warm-up.
        fewest = 5 if not short else 2 if seconds < 1 else 1
        rounds = 1 if tiny else int(min(200, max(fewest, (0.5 if short else 1.0) / seconds)))
        benchmark.pedantic(call, rounds=rounds)
        floor = least_time(contender.bytes, contender.flops, tiny)
        benchmark.extra_info |= {"bytes": contender.bytes, "flops": contender.flops, "error": error}
        benchmark.extra_info |= {"contender": name, "work": workload.title, "floor": floor, **peak_rates(tiny)}
        benchmark.extra_info["roofline"] = benchmark.stats.stats.median / floor

    return measure
