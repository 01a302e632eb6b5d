"""The sections that time whole images of `painterly` on a GPU: warm, to a given loss, and twelve megapixels.

The whole command, cold, is timed at default settings.
"""

from __future__ import annotations

import math
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.baselines.engineered import Engineered, coarse_to_fine
from benchmarks.baselines.problem import Problem
from benchmarks.clock import Clock
from benchmarks.gpu.sizes import Sizes, environment, scratch_folder
from benchmarks.sections import Results, SectionResults
from benchmarks.transfers import (
    baseline_problem,
    comparable_settings,
    demo_pair,
    demo_photos,
    encoder_weights,
    run_transfer,
    transfer_command,
    weights_file,
)
from fastphoto import Progress

PAINTERLY = {"preset": "painterly"}


def race(results: SectionResults, sizes: Sizes) -> None:
    """Time whole images until the loss is about the baselines' least one."""
    clock, photos = Clock(sizes), demo_photos(sizes.long_side)
    for encoder, normalisation in (("embedded", "relative"), ("vgg19", "relative"), ("vgg19", "published")):
        with results.attempt(f"{encoder}, {normalisation}"):
            file = weights_file(encoder, scratch_folder(), sizes.vgg_shape)
            problem = baseline_problem(photos, normalisation, encoder_weights(encoder, file), clock.device)
            results[f"{encoder}, {normalisation}"] = Race(clock, sizes, photos, problem, encoder, file).run()


def image(results: SectionResults, sizes: Sizes) -> None:
    """Time whole images of `painterly`, and the whole command, cold."""
    clock, photos = Clock(sizes), demo_photos(sizes.long_side)
    with results.attempt("cold"):
        results["cold, embedded"] = time_cold_command(sizes)
    for encoder in ("vgg19", "embedded"):
        with results.attempt(f"default preset, {encoder}"):
            file, images = weights_file(encoder, scratch_folder(), sizes.vgg_shape), []

            def once(encoder: str = encoder, file: Path | None = file, images: list[Tensor] = images) -> None:
                images.append(run_transfer(photos, encoder, file, clock.device, **PAINTERLY, **sizes.default_steps))

            times = [clock.seconds(once) for _ in range(sizes.warm_runs)]
            results[f"default preset, {encoder}"] = {"warm s": statistics.median(times), "all": times}
            same = all(torch.equal(images[0], other) for other in images[1:])
            results["same bits twice"] = same and results.get("same bits twice", True)


def time_cold_command(sizes: Sizes) -> Results:
    """Return the seconds of the command in a fresh process, from its start to the written file."""
    options = ["--quiet", "--device", sizes.device.type, "--size", str(sizes.long_side)]
    options += ["--set", "steps=1"] * sizes.dry_run
    command = transfer_command(demo_pair(), scratch_folder() / "cold.png", *options)
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment(), cwd=scratch_folder(), capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return {"s": time.perf_counter() - begin}


@dataclass
class Race:
    """Times fastphoto and the baselines until their image's loss is at most 1.02 L*.

    L* is the least loss that any baseline reaches on the same problem.
    """

    clock: Clock
    sizes: Sizes
    photos: Results
    problem: Problem
    encoder: str
    file: Path | None

    def __post_init__(self) -> None:
        self.judge = Engineered(self.problem, "float32")  # one judge for all, in plain PyTorch
        self.precision = self.sizes.precision("tf32")
        self.engineered = Engineered(self.problem, self.precision)
        # Run a step of each in advance, because the first one makes cuDNN try its algorithms and torch.optim import a
        # compiler.
        self.engineered.run(1)
        coarse_to_fine(self.problem, self.sizes.scales, [1] * len(self.sizes.scales), precision=self.precision)

    def loss(self, result: Tensor) -> float:
        """Return the judge's loss of a result."""
        return self.judge.value(result.to(self.clock.device).clamp(0, 1))

    def run(self) -> Results:
        """Return the losses and seconds of fastphoto and of all baselines."""
        row: Results = {"start": self.loss(self.problem.start), "content": self.loss(self.problem.content)}
        row["baselines"], rate = self.run_baselines()
        row["L*"] = min(entry["loss"] for entry in row["baselines"].values() if math.isfinite(entry["loss"]))
        row["B1 to 1.02 L*"] = self.time_b1(1.02 * row["L*"], rate)
        row["ours"] = {}
        for coarse in self.sizes.coarse_steps:
            steps = (*coarse, self.sizes.finest_steps)
            row["ours"][str(steps)] = self.time_ours(1.02 * row["L*"], steps)
        return row

    def run_baselines(self) -> tuple[Results, float]:
        """Return the loss and the seconds of each baseline, and the learning rate with the least loss."""
        steps, rows = self.sizes.reference_steps, {}

        def run(name: str, call: Callable[[], Tensor]) -> None:
            images: list[Tensor] = []
            seconds = self.clock.seconds(lambda: images.append(call()))
            rows[name] = {"loss": self.loss(images[0]), "s": seconds}

        published = self.problem.settings.normalisation == "published"
        rates = self.sizes.learning_rates[-2:] if published else self.sizes.learning_rates
        for rate in rates:
            run(f"B1, Adam {rate}, {steps} steps", lambda rate=rate: self.engineered.run(steps, rate))
        if published or not self.sizes.quick:
            run(f"B1, L-BFGS, {steps} evaluations", lambda: self.engineered.run_lbfgs(steps))
        best = min(rates, key=lambda rate: rows[f"B1, Adam {rate}, {steps} steps"]["loss"])
        counts = (*self.sizes.coarse_steps[-1], self.sizes.finest_steps)
        run(
            f"B2, Adam {best}, {counts} steps",
            lambda: coarse_to_fine(self.problem, self.sizes.scales, counts, best, self.precision),
        )
        return rows, best

    def time_b1(self, goal: float, rate: float) -> Results | None:
        """Return steps and seconds of B1 until its loss, computed fifty times, is at most `goal`; None if never."""
        steps = self.sizes.reference_steps
        x, step = self.engineered.stepper(self.problem.content, steps, rate)
        seconds, every = 0.0, max(1, steps // 50)

        def take_steps() -> None:
            for _ in range(every):
                step()

        for taken in range(every, steps + 1, every):
            seconds += self.clock.seconds(take_steps)
            if self.loss(x.detach()) <= goal:
                return {"steps": taken, "s": seconds}
        return None

    def time_ours(self, goal: float, steps: tuple[int, ...]) -> Results:
        """Return the losses of a transfer, and its seconds until its loss is at most `goal`.

        One run finds the step at which the goal is reached; others are timed, because judging every image takes time.

        Args:
            goal: loss to reach.
            steps: steps of the transfer at each scale.
        """
        normalisation = self.problem.settings.normalisation
        changes = comparable_settings(normalisation) | {"scales": self.sizes.scales, "steps": steps}

        def transfer(callback: Callable[[Progress], bool | None]) -> None:
            run_transfer(self.photos, self.encoder, self.file, self.clock.device, callback=callback, **changes)

        previews: list[tuple[int, Tensor]] = []

        def keep_preview(progress: Progress) -> None:
            if progress.is_step and progress.scale == self.problem.size:
                previews.append((progress.step, progress.preview()))

        transfer(keep_preview)
        losses = [(step, self.loss(preview)) for step, preview in previews]
        first = next((step for step, loss in losses if loss <= goal), None)
        entry: Results = {"least loss": min(loss for _, loss in losses), "steps to 1.02 L*": first}
        entry["curve"] = losses[:: max(1, len(losses) // 20)]
        if first is not None:

            def time_once() -> float:
                return self.clock.seconds(lambda: transfer(lambda progress: progress.step >= first))

            times = [time_once() for _ in range(1 if self.sizes.dry_run else 3)]
            entry |= {"s": statistics.median(times), "all s": times}
        return entry


def memory(results: SectionResults, sizes: Sizes) -> None:
    """Time twelve megapixels optimised at full size, and record peak memory."""
    clock, photos = Clock(sizes), demo_photos(sizes.large_side)
    del clock.buffer
    for encoder in ("vgg19", "embedded"):
        with results.attempt(encoder):
            if clock.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            file = weights_file(encoder, scratch_folder(), sizes.vgg_shape)
            seconds = clock.seconds(
                lambda e=encoder, f=file: run_transfer(photos, e, f, clock.device, **PAINTERLY, **sizes.default_steps)
            )
            row = {"size": list(photos["content"].shape[1:]), "s": seconds}
            results[f"12 MP, {encoder}"] = row | peak_memory(clock.device)


def peak_memory(device: torch.device) -> Results:
    """Return this process's peak memory on the device; in a dry run on a CPU, its whole peak memory."""
    if device.type == "cpu":
        process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        return {"peak allocated GB": process, "peak reserved GB": process}
    return {
        "peak allocated GB": torch.cuda.max_memory_allocated() / 1e9,
        "peak reserved GB": torch.cuda.max_memory_reserved() / 1e9,
    }
