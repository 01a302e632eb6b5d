"""The sections of the run on a CPU that time pieces of work: the catalogue, and growth with size and regions."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import workloads
from benchmarks.baselines.network import WIDTHS
from benchmarks.catalogue import PEERLESS, ROWS, Row
from benchmarks.clock import Clock
from benchmarks.cpu.roofline import least_time, peak_rates
from benchmarks.cpu.sizes import Sizes
from benchmarks.sections import Results, SectionResults
from benchmarks.workloads import Workload
from fastphoto import ops

GRAM_CHANNELS, GRAM_REGIONS = 16, 3  # for masked Gram matrices of up to 24 megapixels


def operators(results: SectionResults, sizes: Sizes) -> None:
    """Time every row of the catalogue: its contenders one after the other, each compared with float64 before.

    Contenders follow one another because the speed of a shared machine changes within minutes. torch.compile's come
    after all others, as compiling takes longer than measuring.
    """
    warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
    clock = Clock(sizes)
    results["rates"] = peak_rates(sizes.dry_run)
    rows: Results = {}
    left_out: list[str] = []
    for compiled in (False, True):
        # A whole evaluation first, as that is what a rewrite by torch.compile is about.
        for key, row in sorted(ROWS.items(), key=lambda item: compiled and not item[0].startswith("evaluation")):
            names = [name for name in contenders(row, sizes.full) if ("compiled" in name) == compiled]
            if not names:
                continue
            with results.attempt(key):
                work, small = row.workload(sizes.dry_run), row.small_workload(sizes.dry_run)
                entry = rows.setdefault(key, {"work": work.title, "ours": dict(row.ours), "contenders": {}})
                for name in names:
                    if sizes.left() < seconds_needed(key, compiled) and not sizes.dry_run:
                        left_out.append(f"{key}: {name}")
                        continue
                    with results.attempt(f"{key}: {name}"):
                        entry["contenders"][name] = timed(work, small, name, clock, sizes.dry_run)
                        results["rows"] = rows
    if left_out:
        results["left out"] = "; ".join(left_out)


def seconds_needed(key: str, compiled: bool) -> float:
    """Return how many seconds must be left for a contender to begin."""
    if not compiled:
        return 8.0
    return 60.0 if key.startswith("evaluation") else 20.0


def contenders(row: Row, full: bool) -> list[str]:
    """Return the contenders of a row that a run times: in the short run those of `Row.short`, and installed ones."""
    missing = () if importlib.util.find_spec("pymatting") else PEERLESS
    names = row.workload(dry_run=True).contenders
    chosen = names if full or row.short is None else row.short
    return [name for name in names if name in chosen and name not in (*row.leave_out, *missing)]


def timed(work: Workload, small: Workload | None, name: str, clock: Clock, tiny: bool) -> Results:
    """Compare a contender with float64, at a small size if one is given, and return its time beside its floor."""
    contender = work.contenders[name]
    call = contender.prepare()
    error = work.error(call()) if small is None else small.error(small.contenders[name].prepare()())
    tolerance = (small or work).tolerance
    if not error <= tolerance:
        raise ArithmeticError(f"wrong by {error:.1e}, more than {tolerance:.0e}")
    ms = clock.milliseconds(call)
    floor = 1e3 * least_time(contender.bytes, contender.flops, tiny)
    costs = {"bytes": contender.bytes, "flops": contender.flops}
    return {"ms": ms, "floor ms": floor, "/ floor": ms / floor, "error": error, **costs}


def growth(results: SectionResults, sizes: Sizes) -> None:
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
            results[key] = results.get(key, {}) | {f"{at:g}": {"ms": ms, "/ floor": ms / 1e3 / floor}}

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
