"""The sections of the run on a CPU that time pieces of work: bench_*.py, and growth with size and regions."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import workloads
from benchmarks.baselines.network import WIDTHS
from benchmarks.clock import Clock
from benchmarks.cpu.roofline import least_time, peak_rates
from benchmarks.cpu.sizes import Sizes
from benchmarks.sections import SectionResults
from fastphoto import ops

GRAM_CHANNELS, GRAM_REGIONS = 16, 3  # for masked Gram matrices of up to 24 megapixels


def operators(results: SectionResults, sizes: Sizes) -> None:
    """Run bench_*.py by pytest in this process, so that each time is recorded before the time limit ends the run."""
    arguments = [str(path) for path in sorted(Path(__file__).parent.glob("bench_*.py"))]
    arguments += ["-q", "--benchmark-columns=median,rounds", "-p", "no:cacheprovider"]
    arguments += [f"--limit={sizes.left() - 5:.0f}"]
    arguments += [*["--short"] * (not sizes.full), *["--dry-run"] * sizes.dry_run]
    with redirect_stdout(StringIO()) as output:
        code = pytest.main(arguments, plugins=[RowRecorder(results)])
    if skipped := re.search(r"(\d+) skipped", output.getvalue()[-200:]):
        results["left out"] = f"{skipped[1]} benchmarks, for lack of time or of pymatting"
    if code:
        print(output.getvalue()[-4000:])
        raise RuntimeError(f"pytest ended with code {code}")


class RowRecorder:
    """A plugin of pytest that records each benchmark's time in milliseconds with its `extra_info`."""

    def __init__(self, results: SectionResults) -> None:
        self.results, self.rows = results, {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        benchmark = getattr(item, "funcargs", {}).get("benchmark")
        if benchmark is not None and benchmark.stats is not None and "roofline" in benchmark.extra_info:
            times = benchmark.stats.stats
            row = {"group": benchmark.group, "ms": times.median * 1e3, "rounds": times.rounds}
            self.rows[item.name] = row | benchmark.extra_info
            self.results["rows"] = self.rows


def scaling(results: SectionResults, sizes: Sizes) -> None:
    """Record milliseconds from a twentieth of a megapixel to 24, and from one region to 32."""
    clock = Clock(sizes)
    results["rates"] = peak_rates(sizes.dry_run)

    def record(key: str, at: float, cost: tuple[float, float], prepare: Callable[[], Callable[[], object]]) -> None:
        if sizes.left() < (3 if key.endswith("regions") else 1 + at / 4):
            results["left out"] = f"{results.get('left out', '')} {key} at {at:g};".strip()
            return
        with results.attempt(f"{key} at {at:g}"):
            ms = clock.milliseconds(prepare())
            floor = least_time(*map(int, cost), sizes.dry_run)
            results[key] = results.get(key, {}) | {f"{at:g}": {"ms": ms, "roofline": ms / 1e3 / floor}}

    shapes = workloads.style_layers(*sizes.regions_at, WIDTHS[sizes.vgg_shape or "vgg19"])
    for count in sizes.region_counts:
        workload = workloads.masked_gram(shapes, workloads.smooth_partition(count, shapes))
        native = workload.contenders["native"]
        record("masked Gram of VGG-19's style layers, regions", count, (native.bytes, native.flops), native.prepare)
    # Bytes and operations a pixel as in workloads.py.
    for at in sizes.megapixels:
        height, width = round((at * 0.75e6) ** 0.5), round((at * 1e6 / 0.75) ** 0.5)
        n = height * width
        image, x = (workloads.planar(height, width, 3, seed) for seed in (0, 1))
        record("stencil build, MP", at, (60 * n, 351 * n), lambda i=image: lambda: ops.matting_laplacian_stencil(i))
        stencil = ops.matting_laplacian_stencil(image)
        record(
            "Laplacian value and gradient, MP",
            at,
            (72 * n, 156 * n),
            lambda s=stencil, x=x: lambda: ops.stencil_energy(s, x),
        )
        del stencil, x
        size = (466, 700) if n > 466 * 700 else (height, width)
        maps = torch.rand(*size, 3, 4)
        record(
            "local affine apply, MP",
            at,
            (24 * n, 102 * n),
            lambda m=maps, i=image: lambda: ops.local_affine_apply(m, i),
        )
        del image
        record(
            "masked Gram, value and gradient, MP",
            at,
            (16 * GRAM_CHANNELS * n, 4 * GRAM_CHANNELS**2 * n),
            lambda h=height, w=width: masked_gram_of_bands(h, w),
        )


def masked_gram_of_bands(height: int, width: int) -> Callable[[], tuple[Tensor, ...]]:
    """Return a call that computes masked Gram matrices and their gradient.

    The channels are few, and the regions are horizontal bands, so that 24 megapixels fit in memory.
    """
    features = torch.empty(height, width, GRAM_CHANNELS).uniform_().permute(2, 0, 1).requires_grad_()
    bands = torch.arange(height) * GRAM_REGIONS // height
    masks = (bands == torch.arange(GRAM_REGIONS)[:, None]).float()[:, :, None].expand(-1, -1, width)
    lists = ops.list_pixels(masks)
    direction = torch.ones(GRAM_REGIONS, GRAM_CHANNELS, GRAM_CHANNELS)
    return lambda: torch.autograd.grad(ops.masked_gram(features, lists), features, direction)
