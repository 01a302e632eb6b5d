"""The sections that time whole images: to a given quality, warm and cold, and twelve megapixels with their memory."""

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
from baselines import Engineered, Problem, coarse_to_fine
from clock import Clock
from gpu_section import Sizes, environment, scratch_folder
from sections import Found, Recorder
from torch import Tensor
from transfers import command, demo_pair, encoder_weights, photos, problem_of, settings_of, transferred, weights_file

from fastphoto.pipeline import Progress


def image(found: Recorder, sizes: Sizes) -> None:
    """Seconds until a whole image is as good as the best that the baselines reach, and those of the default preset."""
    clock, pair = Clock(sizes), photos(sizes.long_side)
    files = {name: weights_file(name, scratch_folder(), sizes.vgg_shape) for name in ("vgg19", "embedded")}
    for encoder, normalisation in (("vgg19", "relative"), ("embedded", "relative"), ("vgg19", "published")):
        with found.attempt(f"{encoder}, {normalisation}"):
            file = files[encoder]
            problem = problem_of(pair, normalisation, encoder_weights(encoder, file), clock.device)
            row: Found = {}
            Race(clock, pair, problem, encoder, file).run(row)
            found[f"{encoder}, {normalisation}"] = row
    for encoder, file in files.items():
        with found.attempt(f"default preset, {encoder}"):
            results: list[Tensor] = []

            def once(encoder: str = encoder, file: Path | None = file, results: list[Tensor] = results) -> None:
                results.append(transferred(pair, encoder, file, clock.device, **sizes.default_steps))

            spent = [clock.seconds(once) for _ in range(2 if sizes.dry_run else 5)]
            found[f"default preset, {encoder}"] = {"warm s": statistics.median(spent), "all": spent}
            same = all(torch.equal(results[0], result) for result in results[1:])
            found["same bits twice"] = same and found.get("same bits twice", True)
    with found.attempt("cold"):
        found["cold, embedded"] = cold(sizes)


def cold(sizes: Sizes) -> Found:
    """The command in a fresh process, from its start to the written file."""
    options = ["--quiet", "--device", sizes.device.type, "--size", str(sizes.long_side)]
    options += ["--set", "steps=1"] * sizes.dry_run
    words = command(demo_pair(), scratch_folder() / "cold.png", *options)
    begin = time.perf_counter()
    done = subprocess.run(words, env=environment(), cwd=scratch_folder(), capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return {"s": time.perf_counter() - begin}


@dataclass
class Race:
    """Who takes how long until an image of one problem is within 2 % of L*, the least loss of the baselines."""

    clock: Clock
    pair: Found
    problem: Problem
    encoder: str
    file: Path | None

    def __post_init__(self) -> None:
        self.sizes = self.clock.sizes
        self.judge = Engineered(self.problem, "float32")  # plain PyTorch in float32, the same for all
        self.precision = self.sizes.precision("tf32")
        self.engineered = Engineered(self.problem, self.precision)
        # One step of each, for cuDNN tries its algorithms, and torch.optim imports a compiler, at the first.
        self.engineered.run(1)
        coarse_to_fine(self.problem, self.sizes.scales, [1] * len(self.sizes.scales), precision=self.precision)

    def loss(self, result: Tensor) -> float:
        return self.judge.value(result.to(self.clock.device).clamp(0, 1))

    def run(self, row: Found) -> None:
        row |= {"start": self.loss(self.problem.start), "content": self.loss(self.problem.content)}
        row["baselines"], rate = self.baselines()
        row["L*"] = min(entry["loss"] for entry in row["baselines"].values() if math.isfinite(entry["loss"]))
        row["B1 to 1.02 L*"] = self.engineered_reaching(1.02 * row["L*"], rate)
        row["ours"] = {}
        for coarse in self.sizes.coarse_steps:
            counts = (*coarse, self.sizes.finest_steps)
            row["ours"][str(counts)] = self.ours_reaching(1.02 * row["L*"], counts)

    def baselines(self) -> tuple[Found, float]:
        """The loss and time of each baseline, and the learning rate that served best."""
        steps, found = self.sizes.reference_steps, {}

        def timed(name: str, call: Callable[[], Tensor]) -> None:
            results: list[Tensor] = []
            spent = self.clock.seconds(lambda: results.append(call()))
            found[name] = {"loss": self.loss(results[0]), "s": spent}

        published = self.problem.settings.normalisation == "published"
        rates = self.sizes.rates[-2:] if published else self.sizes.rates
        for rate in rates:
            timed(f"B1, Adam {rate}, {steps} steps", lambda rate=rate: self.engineered.run(steps, rate))
        if published or not self.sizes.quick:
            timed(f"B1, L-BFGS, {steps} evaluations", lambda: self.engineered.run_lbfgs(steps))
        best = min(rates, key=lambda rate: found[f"B1, Adam {rate}, {steps} steps"]["loss"])
        counts = (*self.sizes.coarse_steps[-1], self.sizes.finest_steps)
        timed(
            f"B2, Adam {best}, {counts} steps",
            lambda: coarse_to_fine(self.problem, self.sizes.scales, counts, best, self.precision),
        )
        return found, best

    def engineered_reaching(self, goal: float, rate: float) -> Found | None:
        """When B1 itself first comes to the goal, looked at fifty times."""
        steps = self.sizes.reference_steps
        x, step = self.engineered.stepper(self.problem.content, steps, rate)
        spent, every = 0.0, max(1, steps // 50)

        def some() -> None:
            for _ in range(every):
                step()

        for taken in range(every, steps + 1, every):
            spent += self.clock.seconds(some)
            if self.loss(x.detach()) <= goal:
                return {"steps": taken, "s": spent}
        return None

    def ours_reaching(self, goal: float, counts: tuple[int, ...]) -> Found:
        """When a transfer with so many steps at each scale first comes to the goal, and how long it takes until then.

        Seen first, timed afterwards: looking at every image costs time that is not the method's.
        """
        changes = settings_of(self.problem.settings.normalisation) | {"scales": self.sizes.scales, "steps": counts}

        def transfer(callback: Callable[[Progress], bool | None]) -> None:
            transferred(self.pair, self.encoder, self.file, self.clock.device, callback=callback, **changes)

        seen: list[tuple[int, Tensor]] = []

        def watch(progress: Progress) -> None:
            if progress.scale == self.problem.size:
                seen.append((progress.step, progress.preview()))

        transfer(watch)
        losses = [(step, self.loss(preview)) for step, preview in seen]
        first = next((step for step, value in losses if value <= goal), None)
        entry: Found = {"least loss": min(value for _, value in losses), "steps to 1.02 L*": first}
        entry["curve"] = losses[:: max(1, len(losses) // 20)]
        if first is not None:

            def timed() -> float:
                return self.clock.seconds(lambda: transfer(lambda progress: progress.step >= first))

            spent = [timed() for _ in range(1 if self.sizes.dry_run else 3)]
            entry |= {"s": statistics.median(spent), "all s": spent}
        return entry


def memory(found: Recorder, sizes: Sizes) -> None:
    """Twelve megapixels optimised at full size: seconds and peak memory."""
    clock, pair = Clock(sizes), photos(sizes.large_side)
    del clock.buffer
    for encoder in ("vgg19", "embedded"):
        with found.attempt(encoder):
            if clock.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            file = weights_file(encoder, scratch_folder(), sizes.vgg_shape)
            spent = clock.seconds(
                lambda e=encoder, f=file: transferred(pair, e, f, clock.device, **sizes.default_steps)
            )
            found[f"12 MP, {encoder}"] = {"size": list(pair["content"].shape[1:]), "s": spent} | peak(clock.device)


def peak(device: torch.device) -> Found:
    """The most memory used at a time; of a CPU, which takes part in a dry run only, that of the process."""
    if device.type == "cpu":
        process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        return {"peak allocated GB": process, "peak reserved GB": process}
    return {
        "peak allocated GB": torch.cuda.max_memory_allocated() / 1e9,
        "peak reserved GB": torch.cuda.max_memory_reserved() / 1e9,
    }
