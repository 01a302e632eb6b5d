"""The sections that time pieces of work on a GPU: its peak rates, each operator, one step of the optimisation."""

from __future__ import annotations

import statistics
from functools import partial
from itertools import product

import torch

from benchmarks import transfers, workloads
from benchmarks.baselines.engineered import Engineered
from benchmarks.baselines.network import WIDTHS
from benchmarks.baselines.problem import Problem
from benchmarks.baselines.published import Published
from benchmarks.catalogue import ROWS
from benchmarks.clock import Clock
from benchmarks.gpu.sizes import Sizes, scratch_folder
from benchmarks.sections import Results, SectionResults
from benchmarks.torch_modes import captured, product_precision
from benchmarks.workloads import Workload


def ceilings(results: SectionResults, sizes: Sizes) -> None:
    """Record the device's peak rates: copying memory, and products of large random matrices."""
    clock = Clock(sizes)
    source = torch.rand(1 << (18 if sizes.dry_run else 30), device=clock.device)
    copy = torch.empty_like(source)
    ms = clock.milliseconds(lambda a=copy, b=source: a.copy_(b))
    results["copy"] = {"bytes": 8 * source.numel(), "ms": ms, "GB/s": 8e-6 * source.numel() / ms}
    del source, copy
    side = 128 if sizes.dry_run else 8192
    for name, dtype, tf32 in (
        ("bfloat16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("float32", torch.float32, False),
    ):
        a, b = (torch.randn(side, side, device=clock.device).to(dtype) for _ in range(2))
        with product_precision(tf32):
            ms = clock.milliseconds(lambda a=a, b=b: a @ b)
        results[name] = {"side": side, "ms": ms, "TFLOP/s": 2e-9 * side**3 / ms}


def measure(
    results: SectionResults, rows: Results, key: str, clock: Clock, workload: Workload, name: str, graph: bool = False
) -> None:
    """Put a contender's error, time and rates into rows[key].

    With `graph`, it is timed with and without a CUDA graph, and the better time counts.
    """
    with results.attempt(f"{workload.title}, {key}"):
        contender = workload.contenders[name]
        call = contender.prepare()
        row: Results = {"error": workload.error(call()), "ms": clock.milliseconds(call)}
        if graph and clock.device.type == "cuda":
            row["eager ms"] = row["ms"]
            with results.attempt(f"{workload.title}, {key}, in a graph"):
                row["graph ms"] = clock.milliseconds(captured(call))
                row["ms"] = min(row["eager ms"], row["graph ms"])
        row |= {"bytes": contender.bytes, "GB/s": contender.bytes / row["ms"] / 1e6}
        row |= {"flops": contender.flops, "TFLOP/s": contender.flops / row["ms"] / 1e9}
        rows[key] = row
        if not row["error"] <= workload.tolerance:
            raise ArithmeticError(f"wrong by {row['error']:.1e}, more than {workload.tolerance:.0e}")


def laplacian(results: SectionResults, sizes: Sizes) -> None:
    """Time the matting energy with L x, half its gradient: our two forms and torch's CSR, 0.4 to 24 megapixels."""
    clock = Clock(sizes)
    shapes = {"0.4 MP": (525, 700), "1 MP": (866, 1155), "12 MP": (3000, 4000), "24 MP": (4000, 6000)}
    if sizes.dry_run:
        shapes = {"0.4 MP": (40, 53), "12 MP": (50, 67)}
    for label, (height, width) in shapes.items():
        rows: Results = {}
        workload = workloads.stencil_build(height, width, clock.device)
        measure(results, rows, "build", clock, workload, "native")
        workload = workloads.matting_laplacian(height, width, clock.device)
        for name in workload.contenders:
            if name.endswith("_energy"):
                measure(results, rows, name, clock, workload, name)
        results[label] = rows
        del workload
        if clock.device.type == "cuda":
            torch.cuda.empty_cache()


def gram(results: SectionResults, sizes: Sizes) -> None:
    """Time masked Gram matrices of VGG-19's five style layers, value and gradient together, at 700 x 525."""
    clock = Clock(sizes)
    size, widths = ((30, 40), WIDTHS["vgg19-16x"]) if sizes.dry_run else ((525, 700), WIDTHS["vgg19"])
    shapes = workloads.style_layers(*size, widths)
    for kind in ("float32", "bfloat16"):
        # A dry run has no bfloat16, as our operator takes it on a GPU only.
        dtype = getattr(torch, sizes.precision(kind))
        for regions in (1, 9):
            masks = workloads.smooth_partition(regions, shapes, clock.device)
            workload = workloads.masked_gram(shapes, masks, dtype=dtype)
            names = ["native", "gather", "dense"] + ["gather_tf32", "dense_tf32"] * (kind == "float32")
            for name in names:
                measure(results, results, f"{name}, {kind}, {regions}", clock, workload, name, graph=True)


def local_affine(results: SectionResults, sizes: Sizes) -> None:
    """Time fitting, smoothing and applying local affine maps."""
    clock = Clock(sizes)
    shapes = {"0.4 MP": (525, 700), "12 MP": (3000, 4000)}
    if sizes.dry_run:
        shapes = {"0.4 MP": (30, 40), "12 MP": (36, 48)}
    for label, (height, width) in shapes.items():
        rows: Results = {}
        names = ["fit_radius_1", "smooth_box_radius_1", "apply"]
        names += ["smooth_bilateral_radius_15"] * (label == "0.4 MP")
        for name, workload in workloads.local_affine(height, width, clock.device).items():
            if name in names:
                measure(results, rows, name, clock, workload, "native")
        results[label] = rows


def operators(results: SectionResults, sizes: Sizes) -> None:
    """Time the operators of the catalogue that no other section times, beside their definitions in PyTorch."""
    clock = Clock(sizes)
    for key, row in ROWS.items():
        if row.gpu:
            rows: Results = {}
            with results.attempt(key):
                work = row.workload(sizes.dry_run, clock.device)
                for name in work.contenders:
                    if name not in ("compiled", *row.leave_out):
                        measure(results, rows, name, clock, work, name)
                results[key] = rows


def iteration(results: SectionResults, sizes: Sizes) -> None:
    """Time one step at the finest scale: ours, B1's and B0's."""
    clock, photos = Clock(sizes), transfers.demo_photos(sizes.long_side)
    for encoder in ("vgg19", "embedded"):
        file = transfers.weights_file(encoder, scratch_folder(), sizes.vgg_shape)
        variants: dict[str, Results] = {"same losses": transfers.comparable_settings("relative")}
        variants["default"] = {"preset": "painterly"}
        if encoder == "vgg19":
            variants["published losses"] = transfers.comparable_settings("published")
        for precision, (name, settings) in product(sizes.precisions, variants.items()):
            if not sizes.times_step(precision, name):
                continue
            key = f"ours, {encoder}, {precision}, {name}"
            with results.attempt(key):
                count = sizes.float32_iterations if precision == "float32" else sizes.iterations
                settings = settings | {"encoder": encoder, "weights": file, "precision": sizes.precision(precision)}
                results[key] = time_our_step(clock, photos, count, sizes.runs, settings)
        weights = transfers.encoder_weights(encoder, file)
        problem = transfers.baseline_problem(photos, "relative", weights, clock.device)
        for precision, compiled in product(("bfloat16", "tf32"), (False,) if sizes.quick else (False, True)):
            key = f"B1{' compiled' if compiled else ''}, {encoder}, {precision}"
            with results.attempt(key):
                rewrite = Engineered(problem, sizes.precision(precision), compiled)
                results[key] = time_engineered_step(clock, rewrite, sizes.iterations)
        if encoder == "vgg19":
            published = transfers.baseline_problem(photos, "published", weights, clock.device)
            for tf32 in (True,) if sizes.quick else (False, True):
                key = f"B0, {encoder}, {'tf32' if tf32 else 'float32'}"
                with results.attempt(key):
                    results[key] = time_published_step(clock, published, sizes.solver_steps, tf32)


def time_our_step(clock: Clock, photos: Results, count: int, runs: int, settings: Results) -> Results:
    """Return a step's time, from the difference of transfers with `count` and 2 `count` steps."""

    def transfer_seconds(steps: int) -> float:
        changes = settings | {"scales": (1.0,), "steps": (steps,)}
        return clock.seconds(lambda: transfers.run_transfer(photos, device=clock.device, **changes))

    differences = []
    for _ in range(runs):
        short, long = transfer_seconds(count), transfer_seconds(2 * count)
        differences.append((long - short) / count * 1e3)
    # The first pair warms up.
    return {"ms": statistics.median(differences[1:] or differences), "all": differences}


def time_engineered_step(clock: Clock, baseline: Engineered, count: int) -> Results:
    """Return the time of a step of B1, and on a GPU of its value and gradient without a CUDA graph."""
    start = baseline.problem.start
    _, step = baseline.stepper(start, count, 0.02)
    row = {"ms": clock.milliseconds(step)}
    if clock.device.type == "cuda":
        row["eager value and gradient ms"] = clock.milliseconds(partial(baseline.value_and_gradient, start))
    return row


def time_published_step(clock: Clock, problem: Problem, steps: tuple[int, int], tf32: bool) -> Results:
    """Return the time of a step of B0, from runs of two lengths; nine regions as published, and a full history."""
    baseline = Published(problem.with_regions(transfers.NINE), tf32)
    alone = clock.milliseconds(lambda: baseline.value_and_gradient(problem.start))
    short, long = (clock.seconds(lambda n=n: baseline.descend(problem.start, n)) for n in steps)
    return {"ms": (long - short) / (steps[1] - steps[0]) * 1e3, "value and gradient ms": alone}
