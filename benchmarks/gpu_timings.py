"""The sections that time pieces of work: the device's ceilings, each operator, one step of the optimisation."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
import transfers
import workloads
from baselines import Engineered, Problem, Published
from clock import Clock
from gpu_section import Sizes, scratch_folder
from plain_ops import WIDTHS
from sections import Found, Recorder
from torch_modes import in_graph, matrix_products
from workloads import Workload


def ceilings(found: Recorder, sizes: Sizes) -> None:
    """What this device reaches at best: copying memory, and products of large random matrices."""
    clock = Clock(sizes)
    source = torch.rand(1 << (18 if sizes.dry_run else 30), device=clock.device)
    copy = torch.empty_like(source)
    milliseconds = clock(lambda a=copy, b=source: a.copy_(b))
    found["copy"] = {"bytes": 8 * source.numel(), "ms": milliseconds, "GB/s": 8e-6 * source.numel() / milliseconds}
    del source, copy
    side = 128 if sizes.dry_run else 8192
    for name, dtype, tf32 in (
        ("bfloat16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("float32", torch.float32, False),
    ):
        a, b = (torch.randn(side, side, device=clock.device).to(dtype) for _ in range(2))
        with matrix_products(tf32):
            milliseconds = clock(lambda a=a, b=b: a @ b)
        found[name] = {"side": side, "ms": milliseconds, "TFLOP/s": 2e-9 * side**3 / milliseconds}


def measure(
    found: Recorder, rows: Found, key: str, clock: Clock, workload: Workload, name: str, graph: bool = False
) -> None:
    """Into rows[key]: a contender's error, time and rates, where `graph` is set the better of with and without one."""
    with found.attempt(f"{workload.title}, {key}"):
        contender = workload.contenders[name]
        call = contender.prepare()
        row: Found = {"error": workload.error(call()), "ms": clock(call)}
        if graph and clock.device.type == "cuda":
            row["eager ms"] = row["ms"]
            with found.attempt(f"{workload.title}, {key}, in a graph"):
                row["graph ms"] = clock(in_graph(call))
                row["ms"] = min(row["eager ms"], row["graph ms"])
        row |= {"bytes": contender.bytes, "GB/s": contender.bytes / row["ms"] / 1e6}
        row |= {"flops": contender.flops, "TFLOP/s": contender.flops / row["ms"] / 1e9}
        rows[key] = row
        if not row["error"] <= workload.tolerance:
            raise ArithmeticError(f"wrong by {row['error']:.1e}, more than {workload.tolerance:.0e}")


def laplacian(found: Recorder, sizes: Sizes) -> None:
    """Energy and L x (half its gradient) for three channels: our two forms and torch's CSR, 0.4 to 24 megapixels."""
    clock = Clock(sizes)
    shapes = {"0.4 MP": (525, 700), "1 MP": (866, 1155), "12 MP": (3000, 4000), "24 MP": (4000, 6000)}
    if sizes.dry_run:
        shapes = {"0.4 MP": (40, 53), "12 MP": (50, 67)}
    for label, (height, width) in shapes.items():
        rows: Found = {}
        workload = workloads.building_the_stencil(height, width, clock.device)
        measure(found, rows, "build", clock, workload, "native")
        workload = workloads.matting_laplacian(height, width, clock.device)
        for name in workload.contenders:
            if name.endswith("_energy"):
                measure(found, rows, name, clock, workload, name)
        found[label] = rows
        del workload
        if clock.device.type == "cuda":
            torch.cuda.empty_cache()


def gram(found: Recorder, sizes: Sizes) -> None:
    """Masked Gram matrices of VGG-19's five style layers, value and gradient together, at 700 x 525."""
    clock = Clock(sizes)
    size, widths = ((30, 40), WIDTHS["vgg19-16x"]) if sizes.dry_run else ((525, 700), WIDTHS["vgg19"])
    shapes = workloads.style_layers(*size, widths)
    for kind in ("float32", "bfloat16"):
        # Our operator takes bfloat16 on a GPU only.
        dtype = getattr(torch, sizes.precision(kind))
        for regions in (1, 9):
            masks = workloads.smooth_partition(regions, shapes, clock.device)
            workload = workloads.masked_gram(shapes, masks, dtype=dtype)
            names = ["native", "gather", "dense"] + ["gather_tf32", "dense_tf32"] * (kind == "float32")
            for name in names:
                measure(found, found, f"{name}, {kind}, {regions}", clock, workload, name, graph=True)


def local_affine(found: Recorder, sizes: Sizes) -> None:
    """Fitting, smoothing and applying local affine maps."""
    clock = Clock(sizes)
    shapes = {"0.4 MP": (525, 700), "12 MP": (3000, 4000)}
    if sizes.dry_run:
        shapes = {"0.4 MP": (30, 40)}
    for label, (height, width) in shapes.items():
        rows: Found = {}
        names = ["fit_radius_1", "smooth_box_radius_1", "apply"]
        names += ["smooth_bilateral_radius_15"] * (label == "0.4 MP")
        for name, workload in workloads.local_affine(height, width, clock.device).items():
            if name in names:
                measure(found, rows, name, clock, workload, "native")
        found[label] = rows


def iteration(found: Recorder, sizes: Sizes) -> None:
    """Milliseconds of one step at the finest scale, of ours and of the baselines."""
    clock, pair = Clock(sizes), transfers.photos(sizes.long_side)
    for encoder in ("vgg19", "embedded"):
        file = transfers.weights_file(encoder, scratch_folder(), sizes.vgg_shape)
        variants: dict[str, Found] = {"same losses": {"projection": False}, "default": {}}
        if encoder == "vgg19":
            variants["published losses"] = transfers.settings_of("published")
        for precision, (name, changes) in product(sizes.precisions, variants.items()):
            key = f"ours, {encoder}, {precision}, {name}"
            with found.attempt(key):
                changes = changes | {"precision": sizes.precision(precision)}
                found[key] = step_of_a_transfer(clock, pair, encoder, file, changes)
        problem = transfers.problem_of(pair, "relative", transfers.encoder_weights(encoder, file), clock.device)
        for precision in ("bfloat16", "tf32"):
            with found.attempt(f"B1, {encoder}, {precision}"):
                baseline = Engineered(problem, sizes.precision(precision))
                _, step = baseline.stepper(problem.start, sizes.iterations, 0.02)
                row = {"ms": clock(step)}
                if clock.device.type == "cuda":
                    row["eager value and gradient ms"] = clock(partial(baseline.value_and_gradient, problem.start))
                found[f"B1, {encoder}, {precision}"] = row
                del baseline, step
        if encoder == "vgg19":
            published = transfers.problem_of(pair, "published", problem.weights, clock.device)
            for tf32 in (False, True):
                key = f"B0, {encoder}, {'tf32' if tf32 else 'float32'}"
                with found.attempt(key):
                    found[key] = step_as_published(clock, published, tf32)


def step_of_a_transfer(clock: Clock, pair: Found, encoder: str, file: Path | None, changes: Found) -> Found:
    """A step's time as the difference of transfers with N and 2 N steps, for all else is done once."""
    count, differences = clock.sizes.iterations, []
    for _ in range(clock.sizes.runs):
        short, long = (
            clock.seconds(
                lambda n=n: transfers.transferred(
                    pair, encoder, file, clock.device, scales=(1.0,), steps=(n,), **changes
                )
            )
            for n in (count, 2 * count)
        )
        differences.append((long - short) / count * 1e3)
    # The first pair warms up.
    return {"ms": statistics.median(differences[1:] or differences), "all": differences}


def step_as_published(clock: Clock, problem: Problem, tf32: bool) -> Found:
    """A step of B0 with its solver, whose history must be full to cost what it costs."""
    # The published program goes through nine colours, present or not.
    nine = [F.pad(masks, (0, 0, 0, 0, 0, 9 - len(masks))) for masks in (problem.content_masks, problem.style_masks)]
    baseline = Published(replace(problem, content_masks=nine[0], style_masks=nine[1]), tf32)
    alone = clock(lambda: baseline.value_and_gradient(problem.start))
    short, long = clock.sizes.solver_steps
    spent = [clock.seconds(lambda n=n: baseline.descend(problem.start, n)) for n in (short, long)]
    return {"ms": (spent[1] - spent[0]) / (long - short) * 1e3, "value and gradient ms": alone}
