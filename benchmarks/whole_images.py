"""The sections of the suite that time whole images: the command, calls in one process, and what they are up against."""

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
from baselines import Engineered, Problem, Published, coarse_to_fine, lbfgs
from network_workloads import NINE
from sections import Found, Recorder
from suite_sizes import Sizes, environment, scratch_folder
from torch import Tensor
from transfers import command, encoder_weights, photos, problem_of, transferred, weights_file, written_pair

import fastphoto
from fastphoto.optimisation.settings import Settings
from fastphoto.pipeline import Progress
from fastphoto.runtime.threads import keep_freed_memory

PUBLISHED_STEPS = 2000  # evaluations of the published program
# Of Adam, the best of a sweep at 350 px: 0.005, 0.01, 0.02, 0.05 for B1 (L-BFGS with line search does not leave the
# content within 75 evaluations); 0.01, 0.02, 0.05 and 0.01, 0.03 for B2's small scales and its last one.
B1_RATE, COARSE_RATE, B2_RATE = 0.05, 0.02, 0.01
B1_STEPS, B2_STEPS = 200, 60  # over which the rate falls to a tenth; the loss is reached before


def embedded(found: Recorder, sizes: Sizes) -> None:
    """With the encoder that comes with the package."""
    keep_freed_memory()  # as the command does, for all that is timed in this process
    folder = written_pair(sizes.long_side, scratch_folder())
    found["command, 700 px"] = measured(command(folder, scratch_folder() / "result.jpg", *options(sizes)))
    for name, side in sizes.large_sides.items():
        with found.attempt(name):
            large = written_pair(side, scratch_folder())
            found[f"command, {name}"] = measured(command(large, scratch_folder() / "result.jpg", *options(sizes)))
    race(found, sizes, "embedded", None)


def vgg19(found: Recorder, sizes: Sizes) -> None:
    """With VGG-19, of random weights: what a transfer costs does not depend on them."""
    keep_freed_memory()
    file = weights_file("vgg19", scratch_folder(), sizes.vgg_shape)
    if sizes.full:
        folder = written_pair(sizes.long_side, scratch_folder())
        chosen = [*options(sizes), "--encoder", "vgg19", "--weights", str(file)]
        found["command, 700 px"] = measured(command(folder, scratch_folder() / "result.jpg", *chosen))
        race(found, sizes, "vgg19", file)
        return
    pair = photos(sizes.long_side)
    found["extrapolated, 700 px"] = extrapolated(pair, file)
    published_evaluation(found, problem_of(pair, "published", encoder_weights("vgg19", file)), sizes)


def options(sizes: Sizes) -> list[str]:
    """Of the command; no more steps than the sizes say."""
    chosen = ["--size", str(sizes.long_side), "--device", "cpu", "--quiet"]
    for name, values in sizes.default_steps.items():
        chosen += ["--set", f"{name}={','.join(map(str, values))}"]
    return chosen


def measured(command: list[str]) -> Found:
    """Wall and CPU seconds and peak memory of a process, from its start to its end."""
    log = scratch_folder() / "command.log"
    begin = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    spent = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}: {log.read_text()[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {"s": spent, "CPU s": usage.ru_utime + usage.ru_stime, "peak GB": usage.ru_maxrss * unit / 1e9}


def race(found: Recorder, sizes: Sizes, encoder: str, file: Path | None) -> None:
    """Warm transfers, and the baselines until they reach the loss that fastphoto's run ends with, in one process.

    A run for that loss goes without the projection, which no baseline has; as its image is judged after the final
    smoothing, its loss is a little above what the optimisation reached, in favour of the baselines.
    """
    pair = photos(sizes.long_side)
    problem = problem_of(pair, "relative", encoder_weights(encoder, file))
    begin = time.perf_counter()
    result = transferred(pair, encoder, file, "cpu", projection=False, **sizes.default_steps)
    spent = time.perf_counter() - begin
    goal = Engineered(problem).value(result.clamp(0, 1))
    found["same losses"] = {"s": spent, "loss": goal}
    folder = written_pair(sizes.long_side, scratch_folder())
    files = [folder / name for name in ("content.jpg", "style.jpg", "content_mask.png", "style_mask.png")]
    times = []
    for _ in range(sizes.warm_runs):
        begin = time.perf_counter()
        fastphoto.transfer(
            *files, encoder=encoder, weights=file, size=sizes.long_side, device="cpu", **sizes.default_steps
        )
        times.append(time.perf_counter() - begin)
    found["warm"] = {"s": statistics.median(times), "all": times}
    with found.attempt("B0"):
        published_evaluation(found, problem_of(pair, "published", problem.weights), sizes)
    Engineered(problem.at(0.5)).run(1)  # torch.optim imports a compiler at the first step
    # B2 is the faster one; B1 gets what is left.
    for name, start, rate, steps in (("B2", from_coarse, B2_RATE, B2_STEPS), ("B1", from_content, B1_RATE, B1_STEPS)):
        seconds = min(sizes.baseline_seconds, sizes.left() - 5)
        if seconds < 5 and not sizes.dry_run:
            found["left out"] = f"{found.get('left out', '')} {name}, no time left;".strip()
            continue
        with found.attempt(name):
            reach(found, name, goal, problem, start, rate, steps, seconds)


def from_content(problem: Problem, settings: Settings) -> Tensor:
    """B1's start image."""
    return problem.content


def from_coarse(problem: Problem, settings: Settings) -> Tensor:
    """B2's start image at full size: what it has reached at the smaller scales, in fastphoto's numbers of steps."""
    return coarse_to_fine(problem, settings.scales, (*settings.steps[:-1], 0), COARSE_RATE)


class _Ended(Exception):
    """The goal is reached or the time is over."""


def reach(
    found: Recorder,
    name: str,
    goal: float,
    problem: Problem,
    start: Callable[[Problem, Settings], Tensor],
    rate: float,
    steps: int,
    limit: float,
) -> None:
    """Seconds until the loss is no more than the goal, by Adam; targets and start image included."""
    begin, least, count = time.perf_counter(), float("inf"), 0
    baseline = Engineered(problem)
    evaluate = baseline.value_and_gradient

    def watched(image: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal least, count
        value, gradient = evaluate(image)
        least, count, spent = min(least, float(value)), count + 1, time.perf_counter() - begin
        found[name] = {"s": spent, "loss": least, "reached": least <= goal, "evaluations": count}
        if least <= goal or spent > limit:
            raise _Ended
        return value, gradient

    baseline.value_and_gradient = watched  # type: ignore[method-assign]
    with suppress(_Ended):
        baseline.run(steps, rate, start(problem, problem.settings))


def published_evaluation(found: Recorder, problem: Problem, sizes: Sizes) -> None:
    """Seconds of one evaluation of B0 with its solver, nine regions as published, and of all 2000 of them."""
    names = ("content_masks", "style_masks")
    nine = {n: F.pad(getattr(problem, n), (0, 0, 0, 0, 0, NINE - len(getattr(problem, n)))) for n in names}
    # What an evaluation takes does not depend on the style, whose targets are made before.
    style = F.interpolate(problem.style[None], (96, 96), mode="area")[0]
    baseline = Published(replace(problem, style=style, **nine))
    marks: list[float] = []

    def mark() -> None:
        marks.append(time.perf_counter())
        # The first evaluation warms up, if there is a second.
        spent = [later - earlier for earlier, later in pairwise(marks)]
        if spent := spent[1:] or spent:
            each = statistics.mean(spent)
            found["B0"] = {"s an evaluation": each, "evaluations": len(spent), "s": each * PUBLISHED_STEPS}

    def evaluate(image: Tensor) -> tuple[Tensor, Tensor]:
        mark()
        if marks[-1] - marks[0] > sizes.published_seconds:
            raise _Ended
        return baseline.value_and_gradient(image)

    with suppress(_Ended):
        lbfgs(evaluate, problem.content, sizes.published_steps + 1, None)
        mark()


def extrapolated(pair: Mapping[str, Any], file: Path | None) -> Found:
    """Seconds of a transfer in this process, from a few of its evaluations and what each of the others would take."""
    wanted = Settings().steps
    few = tuple(min(2, count) for count in wanted)
    marks: dict[tuple[int, int], list[float]] = {}

    def watch(progress: Progress) -> None:
        marks.setdefault(progress.scale, []).append(time.perf_counter())

    begin = time.perf_counter()
    transferred(pair, "vgg19", file, "cpu", steps=few, callback=watch)
    spent = time.perf_counter() - begin
    each = [statistics.median(b - a for a, b in pairwise(times)) for times in marks.values()]
    rest = sum((count - done) * seconds for count, done, seconds in zip(wanted, few, each, strict=True))
    counts = {"evaluations": sum(few), "of": sum(wanted)}
    return {"s": spent + rest, "measured s": spent, "s an evaluation": each, **counts}
