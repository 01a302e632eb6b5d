"""Estimates of the CUDA kernels on paper: every kernel is in them, and occupancy is that of the vendor's rules."""

from __future__ import annotations

import json
import re

import pytest
from locations import ROOT

from benchmarks.gpu.estimates import ESTIMATES, NOT_ESTIMATED, RESOURCES, Estimate, estimate_table, occupancy

SOURCES = sorted((ROOT / "csrc" / "cuda").glob("*.cu*"))
KERNELS = {name for source in SOURCES for name in re.findall(r"__global__[^;{]*?\b(\w+_kernel)\(", source.read_text())}


def test_every_kernel_is_estimated_or_said_to_be_small():
    estimated = {estimate.kernel.partition("<")[0] for estimate in ESTIMATES}
    assert estimated | set(NOT_ESTIMATED) == KERNELS
    assert not estimated & set(NOT_ESTIMATED)


def test_the_compiler_has_reported_every_kernel():
    resources = json.loads(RESOURCES.read_text(encoding="utf-8"))
    assert {name.partition("<")[0] for name in resources} == KERNELS, "run `make cuda-compile ARGS=--resources`"
    assert {estimate.kernel for estimate in ESTIMATES} <= set(resources)


@pytest.mark.parametrize(
    ("registers", "shared", "threads", "share"),
    [
        (32, 0, 256, 1.0),
        (33, 0, 256, 0.75),  # registers are given in units of 256 to a warp: 40 for each thread
        (64, 0, 256, 0.5),
        (122, 8256, 256, 0.25),
        (255, 0, 256, 0.125),
        (32, 100 * 1024, 256, 0.25),  # two blocks in 228 KB
        (16, 0, 32, 0.5),  # at most 32 blocks
    ],
)
def test_occupancy_follows_from_registers_shared_memory_and_blocks(registers, shared, threads, share):
    assert occupancy(registers, shared, threads) == share


def test_the_slowest_resource_bounds_a_kernel():
    estimate = Estimate("some_kernel", "", {"memory": 4.8e9, "float32": 67e9 * 3, "caches": 1.0})
    assert estimate.bound() == "float32"
    assert estimate.milliseconds() == pytest.approx(3)


def test_the_stencil_product_is_bound_by_its_72_bytes_a_pixel():
    estimate = ESTIMATES[0]
    assert estimate.bound() == "memory"
    assert estimate.milliseconds() == pytest.approx(12e6 * 72 / 4.8e12 * 1e3)


def test_table_divides_measured_times_by_the_least_ones():
    sections = {"laplacian": {"12 MP": {"stencil_energy": {"ms": 0.36}}}, "gram": {"native, bfloat16, 9": {"ms": 1.0}}}
    lines = estimate_table(sections)
    assert len(lines) == len(ESTIMATES) + 2
    assert lines[2].endswith("| 0.18 ms | memory | 0.36 ms | 2 |")
    (gram,) = (line for line in lines if line.startswith("| `gram_gradient_kernel<bfloat16>`"))
    both = sum(
        each.milliseconds() for each in ESTIMATES if each.kernel.startswith("gram") and "bfloat16" in each.kernel
    )
    assert gram.endswith(f" | {1 / both:.3g} |")
