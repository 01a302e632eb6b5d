"""The sections of the suite that time pieces of work: the pytest benchmarks, and growth with size and regions."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO

import ceilings
import pytest
import torch
import workloads
from clock import Clock
from plain_ops import WIDTHS
from sections import ROOT, Recorder
from suite_sizes import Sizes

from fastphoto import ops

CHANNELS, REGION_SOURCES = 16, 3  # of the activations whose Gram matrices are taken of up to 24 megapixels


def operators(found: Recorder, sizes: Sizes) -> None:
    """bench_*.py, by pytest in this process, so that what is measured before the time is over can be kept."""
    arguments = [str(ROOT / "benchmarks" / f"bench_{name}.py") for name in ("ops", "encoder")]
    arguments += ["-q", "--benchmark-columns=median,rounds", "-p", "no:cacheprovider"]
    arguments += [f"--limit={sizes.left() - 5:.0f}"]
    arguments += [*["--short"] * (not sizes.full), *["--dry-run"] * sizes.dry_run]
    with redirect_stdout(StringIO()) as output:
        code = pytest.main(arguments, plugins=[Rows(found)])
    if skipped := re.search(r"(\d+) skipped", output.getvalue()[-200:]):
        found["left out"] = f"{skipped[1]} benchmarks, for want of time or of pymatting"
    if code:
        raise RuntimeError(f"pytest ended with code {code}: {output.getvalue()[-2000:]}")


class Rows:
    """A plugin of pytest that records each benchmark's time in milliseconds and what `timed` said of it."""

    def __init__(self, found: Recorder) -> None:
        self.found, self.rows = found, {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        benchmark = getattr(item, "funcargs", {}).get("benchmark")
        if benchmark is not None and benchmark.stats is not None and "roofline" in benchmark.extra_info:
            times = benchmark.stats.stats
            row = {"group": benchmark.group, "ms": times.median * 1e3, "rounds": times.rounds}
            self.rows[item.name] = row | benchmark.extra_info
            self.found["rows"] = self.rows


def scaling(found: Recorder, sizes: Sizes) -> None:
    """Milliseconds from a twentieth of a megapixel to 24, and from one region to 32."""
    clock = Clock(sizes)
    found["rates"] = ceilings.rates(sizes.dry_run)

    def timed(key: str, at: float, cost: tuple[float, float], prepare: Callable[[], Callable[[], object]]) -> None:
        if sizes.left() < (3 if key.endswith("regions") else 1 + at / 4):
            found["left out"] = f"{found.get('left out', '')} {key} at {at:g};".strip()
            return
        with found.attempt(f"{key} at {at:g}"):
            ms = clock(prepare())
            least = ceilings.floor(*map(int, cost), sizes.dry_run)
            found[key] = found.get(key, {}) | {f"{at:g}": {"ms": ms, "roofline": ms / 1e3 / least}}

    shapes = workloads.style_layers(*sizes.regions_at, WIDTHS[sizes.vgg_shape or "vgg19"])
    for count in sizes.region_counts:
        workload = workloads.masked_gram(shapes, workloads.smooth_partition(count, shapes))
        native = workload.contenders["native"]
        timed("masked Gram of VGG-19's style layers, regions", count, (native.bytes, native.flops), native.prepare)
    for at in sizes.megapixels:
        height, width = round((at * 0.75e6) ** 0.5), round((at * 1e6 / 0.75) ** 0.5)
        n = height * width
        image, x = (workloads.planar(height, width, 3, seed) for seed in (0, 1))
        timed("stencil build, MP", at, (60 * n, 351 * n), lambda i=image: lambda: ops.matting_laplacian_stencil(i))
        stencil = ops.matting_laplacian_stencil(image)
        timed(
            "Laplacian value and gradient, MP",
            at,
            (72 * n, 156 * n),
            lambda s=stencil, x=x: lambda: ops.stencil_energy(s, x),
        )
        del stencil, x
        side = (466, 700) if n > 466 * 700 else (height, width)
        maps = torch.rand(*side, 3, 4)
        timed(
            "local affine apply, MP",
            at,
            (24 * n, 102 * n),
            lambda m=maps, i=image: lambda: ops.local_affine_apply(m, i),
        )
        del image
        timed(
            "masked Gram, value and gradient, MP",
            at,
            (16 * CHANNELS * n, 4 * CHANNELS**2 * n),
            lambda h=height, w=width: gram(h, w),
        )


def gram(height: int, width: int) -> Callable[[], object]:
    """Few channels and horizontal bands as regions, so that 24 megapixels fit the memory."""
    features = torch.empty(height, width, CHANNELS).uniform_().permute(2, 0, 1).requires_grad_()
    bands = torch.arange(height) * REGION_SOURCES // height
    masks = (bands == torch.arange(REGION_SOURCES)[:, None]).float()[:, :, None].expand(-1, -1, width)
    plan = ops.list_pixels(masks)
    direction = torch.ones(REGION_SOURCES, CHANNELS, CHANNELS)
    return lambda: torch.autograd.grad(ops.masked_gram(features, plan), features, direction)
