"""What the benchmarks of the CPU share: how a contender is checked and timed, and how little of it will do.

--short       leaves out what is marked `full`
--limit S     leaves out what has not begun after S seconds
--dry-run     tiny sizes, once; the numbers mean nothing
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ceilings
import pytest
from workloads import Workload

BEGIN = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fastphoto")
    group.addoption("--short", action="store_true", help="leave out what is marked `full`")
    group.addoption("--limit", type=float, default=float("inf"), help="seconds after which nothing new begins")
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
    """The size (height, width) to use for one that is meant."""
    tiny = request.config.getoption("--dry-run")
    return lambda height, width: (36, 48) if tiny else (height, width)


@pytest.fixture
def shape_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The encoder whose widths stand for those of the one that is meant."""
    tiny = request.config.getoption("--dry-run")
    return lambda name: "vgg19-16x" if tiny and name == "vgg19" else name


@pytest.fixture
def timed(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compares a contender with float64, then times it.

    Bytes, operations and the share of the roofline go into the results: measured time / the time that memory or
    arithmetic alone would take at this machine's best.
    """
    tiny, short = request.config.getoption("--dry-run"), request.config.getoption("--short")

    def measure(workload: Workload, name: str, small: Workload | None = None) -> None:
        """small: the same work to compare on, where that of the timed size would take too long in float64."""
        contender = workload.contenders[name]
        call = contender.prepare()
        begin = time.perf_counter()
        outputs = call()
        spent = time.perf_counter() - begin
        error = workload.error(outputs) if small is None else small.error(small.contenders[name].prepare()())
        tolerance = (small or workload).tolerance
        assert error <= tolerance, f"{name} is wrong by {error:.1e}, more than {tolerance:.0e}"
        benchmark.group = benchmark.group or workload.title
        # For half a second, but at least twice, besides the call that warmed up; in the short run once if that is long.
        least = 5 if not short else 2 if spent < 1 else 1
        rounds = 1 if tiny else int(min(200, max(least, (0.5 if short else 1.0) / spent)))
        benchmark.pedantic(call, rounds=rounds)
        floor = ceilings.floor(contender.bytes, contender.flops, tiny)
        benchmark.extra_info |= {"bytes": contender.bytes, "flops": contender.flops, "error": error}
        benchmark.extra_info |= {"contender": name, "work": workload.title, "floor": floor, **ceilings.rates(tiny)}
        benchmark.extra_info["roofline"] = benchmark.stats.stats.median / floor

    return measure
