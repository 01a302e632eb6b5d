"""The sections of the run on a CPU that time whole images: the command, calls in one process, and the baselines."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

import fastphoto
from benchmarks.baselines.engineered import Engineered, coarse_to_fine
from benchmarks.baselines.problem import Problem
from benchmarks.baselines.published import Published, lbfgs
from benchmarks.cpu.sizes import Sizes, environment, scratch_folder
from benchmarks.sections import Results, SectionResults
from benchmarks.transfers import (
    NINE,
    baseline_problem,
    comparable_settings,
    demo_photos,
    encoder_weights,
    run_transfer,
    transfer_command,
    weights_file,
    write_demo_pair,
)
from fastphoto import Progress
from fastphoto.optimisation.settings import Settings
from fastphoto.photos.demo import demo_pairs
from fastphoto.runtime.memory import keep_freed_memory

PUBLISHED_STEPS = 2000  # evaluations of the published program
# Learning rates of Adam, each the best of a sweep at 350 px: of 0.005, 0.01, 0.02, 0.05 for B1; of 0.01, 0.02, 0.05 for
# B2's small scales, and of 0.01, 0.03 for its last one. (L-BFGS with line search does not leave the content within 75
# evaluations.)
B1_RATE, COARSE_RATE, B2_RATE = 0.05, 0.02, 0.01
B1_STEPS, B2_STEPS = 200, 60  # steps over which the rate falls to a tenth; more than are needed to reach the loss


def embedded(results: SectionResults, sizes: Sizes) -> None:
    """Time whole images with the encoder in the package."""
    keep_freed_memory()  # as the command does, for all that is timed in this process
    results["import torch"] = least_usage([sys.executable, "-c", "import torch"], 1 if sizes.dry_run else 5)
    for label, side in sizes.command_sides.items():
        for of in demo_pairs():
            with results.attempt(f"{of.name}, {label}"):
                command = command_for(write_demo_pair(side, scratch_folder(), of), command_options(sizes, side))
                results[f"command, {label}, {of.name}"] = least_usage(command, sizes.command_runs)
    for name, side in sizes.large_sides.items():
        with results.attempt(name):
            large = write_demo_pair(side, scratch_folder())
            command = command_for(large, command_options(sizes, sizes.long_side))
            results[f"command, {name}"] = least_usage(command, 1 if sizes.dry_run else 2)
    race(results, sizes, "embedded", None)


def vgg19(results: SectionResults, sizes: Sizes) -> None:
    """Time whole images with VGG-19, or with random weights, which cost the same, if no file is given."""
    keep_freed_memory()
    file = weights_file("vgg19", scratch_folder(), sizes.vgg_shape)
    if sizes.full:
        pair = write_demo_pair(sizes.long_side, scratch_folder())
        options = [*command_options(sizes, sizes.long_side), "--encoder", "vgg19", "--weights", str(file)]
        results["command, 700 px"] = usage(command_for(pair, options))
        race(results, sizes, "vgg19", file)
        return
    photos = demo_photos(sizes.long_side)
    results["extrapolated, 700 px"] = extrapolate_transfer(photos, file)
    problem = baseline_problem(photos, "published", encoder_weights("vgg19", file))
    time_published_step(results, problem, sizes)


def command_options(sizes: Sizes, side: int) -> list[str]:
    """Return options of the command: the size, and in a dry run few steps."""
    options = ["--size", str(side), "--device", "cpu", "--quiet"]
    for name, values in sizes.default_steps.items():
        options += ["--set", f"{name}={','.join(map(str, values))}"]
    return options


def command_for(pair: Path, options: list[str]) -> list[str]:
    """Return the command `fastphoto transfer` of a pair."""
    return transfer_command(pair, scratch_folder() / "result.jpg", *options)


def least_usage(command: list[str], runs: int) -> Results:
    """Return the usage of the fastest of some runs of a command, and the seconds of all."""
    rows = [usage(command) for _ in range(runs)]
    return min(rows, key=lambda row: row["s"]) | {"all": [row["s"] for row in rows]}


def usage(command: list[str]) -> Results:
    """Return wall and CPU seconds and peak memory of a command, from its start to its end."""
    log = scratch_folder() / "command.log"
    begin = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the command ended with code {process.returncode}: {log.read_text()[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {"s": seconds, "CPU s": used.ru_utime + used.ru_stime, "peak GB": used.ru_maxrss * unit / 1e9}


def race(results: SectionResults, sizes: Sizes, encoder: str, file: Path | None) -> None:
    """Time warm transfers, and the baselines until they reach the loss of fastphoto's result, in one process.

    The transfer that sets this loss has no projection, because no baseline has one. Its loss is taken after the final
    smoothing, which raises it a little, in favour of the baselines.
    """
    photos = demo_photos(sizes.long_side)
    problem = baseline_problem(photos, "relative", encoder_weights(encoder, file))
    begin = time.perf_counter()
    result = run_transfer(photos, encoder, file, "cpu", **comparable_settings("relative"), **sizes.default_steps)
    seconds = time.perf_counter() - begin
    goal = Engineered(problem).value(result.clamp(0, 1))
    results["same losses"] = {"s": seconds, "loss": goal}
    results["warm"] = time_warm_transfers(sizes, encoder, file)
    with results.attempt("B0"):
        time_published_step(results, baseline_problem(photos, "published", problem.weights), sizes)
    Engineered(problem.scaled(0.5)).run(1)  # torch.optim imports a compiler at the first step
    # B2 is the faster one; B1 gets the time that it leaves.
    for name, start, rate, steps in (("B2", start_of_b2, B2_RATE, B2_STEPS), ("B1", start_of_b1, B1_RATE, B1_STEPS)):
        limit = min(sizes.baseline_seconds, sizes.left() - 5)
        if limit < 5 and not sizes.dry_run:
            results["left out"] = f"{results.get('left out', '')} {name}, no time left;".strip()
            continue
        with results.attempt(name):
            time_to_loss(results, name, goal, problem, start, rate, steps, limit)


def time_warm_transfers(sizes: Sizes, encoder: str, file: Path | None) -> Results:
    """Return seconds of transfers from files, in a process that has done one before."""
    folder = write_demo_pair(sizes.long_side, scratch_folder())
    files = [folder / name for name in ("content.jpg", "style.jpg", "content_mask.png", "style_mask.png")]
    times = []
    for _ in range(sizes.warm_runs):
        begin = time.perf_counter()
        fastphoto.transfer(
            *files, encoder=encoder, weights=file, size=sizes.long_side, device="cpu", **sizes.default_steps
        )
        times.append(time.perf_counter() - begin)
    return {"s": statistics.median(times), "all": times}


def start_of_b1(problem: Problem, settings: Settings) -> Tensor:
    """Return B1's start image, the content."""
    return problem.content


def start_of_b2(problem: Problem, settings: Settings) -> Tensor:
    """Return B2's start image at full size: its result at the smaller scales, in as many steps as fastphoto takes."""
    return coarse_to_fine(problem, settings.scales, (*settings.steps[:-1], 0), COARSE_RATE)


class _Stop(Exception):
    """The goal is reached or time is up."""


def time_to_loss(
    results: SectionResults,
    name: str,
    goal: float,
    problem: Problem,
    start: Callable[[Problem, Settings], Tensor],
    rate: float,
    steps: int,
    limit: float,
) -> None:
    """Record the seconds that Adam takes to reach a loss of at most `goal`, including targets and start image."""
    begin, least, count = time.perf_counter(), float("inf"), 0
    baseline = Engineered(problem)
    evaluate = baseline.value_and_gradient

    def evaluate_and_record(image: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal least, count
        value, gradient = evaluate(image)
        least, count, seconds = min(least, float(value)), count + 1, time.perf_counter() - begin
        results[name] = {"s": seconds, "loss": least, "reached": least <= goal, "evaluations": count}
        if least <= goal or seconds > limit:
            raise _Stop
        return value, gradient

    baseline.value_and_gradient = evaluate_and_record  # type: ignore[method-assign]
    with suppress(_Stop):
        baseline.run(steps, rate, start(problem, problem.settings))


def time_published_step(results: SectionResults, problem: Problem, sizes: Sizes) -> None:
    """Record the seconds of one step of B0 with nine regions, as published, and of all its 2000 steps."""
    # The style is small because a step does not depend on it: its targets are computed before.
    style = F.interpolate(problem.style[None], (96, 96), mode="area")[0]
    baseline = Published(replace(problem.with_regions(NINE), style=style))
    marks: list[float] = []

    def mark() -> None:
        marks.append(time.perf_counter())
        # The first evaluation warms up, if there is a second.
        times = [later - earlier for earlier, later in pairwise(marks)]
        if times := times[1:] or times:
            each = statistics.mean(times)
            results["B0"] = {"s an evaluation": each, "evaluations": len(times), "s": each * PUBLISHED_STEPS}

    def evaluate(image: Tensor) -> tuple[Tensor, Tensor]:
        mark()
        if marks[-1] - marks[0] > sizes.published_seconds:
            raise _Stop
        return baseline.value_and_gradient(image)

    with suppress(_Stop):
        lbfgs(evaluate, problem.content, sizes.published_steps + 1, None)
        mark()


def extrapolate_transfer(photos: Mapping[str, Any], file: Path | None) -> Results:
    """Return the seconds of a warm transfer with VGG-19, extrapolated from two evaluations at each scale."""
    steps = Settings().steps
    few = tuple(min(2, count) for count in steps)
    marks: dict[tuple[int, int], list[float]] = {}

    def mark(progress: Progress) -> None:
        if progress.is_step:
            marks.setdefault(progress.scale, []).append(time.perf_counter())

    begin = time.perf_counter()
    run_transfer(photos, "vgg19", file, "cpu", steps=few, callback=mark)
    seconds = time.perf_counter() - begin
    each = [statistics.median(b - a for a, b in pairwise(times)) for times in marks.values()]
    rest = sum((count - done) * a_step for count, done, a_step in zip(steps, few, each, strict=True))
    counts = {"evaluations": sum(few), "of": sum(steps)}
    return {"s": seconds + rest, "measured s": seconds, "s an evaluation": each, **counts}
