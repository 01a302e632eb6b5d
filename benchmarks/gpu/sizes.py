"""Sizes of the run on a GPU: the work of each section; the library's build folder, and a scratch folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.sections import ROOT, Results

if TYPE_CHECKING:
    import torch

LIBRARY = ROOT / "build" / "gpu" / "lib"


def environment() -> dict[str, str]:
    """Return an environment in which Python finds the library built by the run or, failing that, in this folder.

    GOMP_SPINCOUNT is set as the package sets it when it is imported before torch.
    """
    library = LIBRARY if any((LIBRARY / "fastphoto" / "ops").glob("_C*")) else ROOT
    paths = [str(library)] if any((library / "fastphoto" / "ops").glob("_C*")) else []
    paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    chosen = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    return {"GOMP_SPINCOUNT": "10000"} | dict(os.environ) | chosen


def scratch_folder() -> Path:
    """Return a folder for the weights and images that sections write."""
    folder = ROOT / "build" / "gpu" / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Sizes:
    """Sizes and repetitions: in full, quick, or tiny for a dry run."""

    def __init__(self, dry_run: bool, quick: bool) -> None:
        self.dry_run, self.quick = dry_run, quick
        self.long_side = 64 if dry_run else 700
        self.large_side = 96 if dry_run else 4000
        # One measurement.
        self.warm_ups = 1 if dry_run else 3
        self.repetitions = 1 if dry_run else 20 if quick else 100
        self.fewest = 5
        self.seconds = 0.05 if dry_run else 0.5 if quick else 1.5  # for all repetitions
        self.flush = 1 << 20 if dry_run else 256 << 20  # bytes written between repetitions
        # The time of one step.
        self.runs = 1 if dry_run else 3 if quick else 4  # pairs of transfers, the first of which warms up
        self.iterations = 1 if dry_run else 60 if quick else 200
        self.float32_iterations = 20 if quick and not dry_run else self.iterations  # a step is long, so fewer do
        self.solver_steps = (2, 3) if dry_run else (105, 125) if quick else (110, 170)  # L-BFGS's history holds 100
        # Whole images.
        self.reference_steps = 3 if dry_run else 500 if quick else 2000
        self.finest_steps = 3 if dry_run else 200 if quick else 500
        self.scales = (0.5, 1.0) if dry_run else (0.25, 0.5, 1.0)
        self.coarse_steps = [(2,)] if dry_run else [(30, 40)] if quick else [(30, 40), (100, 100), (300, 150)]
        self.learning_rates = [0.02] if dry_run else [0.01, 0.03] if quick else [0.005, 0.01, 0.02, 0.05]
        self.warm_runs = 2 if dry_run else 5  # of default settings; the first warms up, too
        self.default_steps: Results = {"scales": (0.5, 1.0), "steps": (2, 1)} if dry_run else {}
        # Whole transfers at default settings, from arrays to arrays, by long side.
        self.fast_sides = {"350 px": 48, "700 px": 64, "2000 px": 80, "12 MP": 96}
        if not dry_run:
            self.fast_sides = {"350 px": 350, "700 px": 700, "2000 px": 2000, "12 MP": 4000}
        self.throughput_sides = (48, 64) if dry_run else (350, 700)
        self.process_counts = (1, 2) if dry_run else (1, 4)
        self.throughput_seconds = 0.1 if dry_run else 3.0 if quick else 6.0  # for each size and number of processes
        self.batches = {48: 4} if dry_run else {700: 40} if quick else {350: 200, 700: 200, 2000: 60}
        self.pool_seconds = 0.5 if dry_run else 5.0 if quick else 20.0
        self.clip = ((64, 96), 0.2) if dry_run else ((360, 640), 1.0) if quick else ((720, 1280), 4.0)

        self.precisions = ("bfloat16", "tf32") if dry_run else ("bfloat16", "tf32", "float32")
        self.vgg_shape = "vgg19-16x" if dry_run else None  # encoder whose widths VGG-19 has instead of its own

    @property
    def device(self) -> torch.device:
        import torch

        if not self.dry_run and not torch.cuda.is_available():
            raise RuntimeError("no GPU here; --dry-run tests this program without one")
        return torch.device("cpu" if self.dry_run else "cuda")

    def times_step(self, precision: str, losses: str) -> bool:
        """Return whether a run times a step: a quick one leaves out those that no target is set for."""
        return not self.quick or self.dry_run or precision == "bfloat16" or losses == "same losses"

    def precision(self, name: str) -> str:
        """Return a precision that the device has: a CPU has float32 only."""
        return "float32" if self.dry_run else name
