"""Sizes of the run on a CPU: the work and the time of each section; its environment and scratch folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.sections import ROOT, Results

if TYPE_CHECKING:
    import torch


class Sizes:
    """Sizes and repetitions: in full, short enough for seven minutes, or tiny for a dry run."""

    def __init__(self, full: bool, dry_run: bool, limit: float) -> None:
        self.full, self.dry_run = full, dry_run
        self.deadline = time.monotonic() + limit
        self.warm_ups = 1
        self.repetitions = 1 if dry_run else 30 if full else 7
        self.fewest = 1 if dry_run else 5 if full else 2
        self.seconds = 0.05 if dry_run else 2.0 if full else 0.4  # for the repetitions of one measurement
        self.flush = 1 << 16 if dry_run else 64 << 20  # bytes written between repetitions
        self.megapixels = [0.002, 0.004] if dry_run else [0.05, 0.25, 1, 4, 12, 24] if full else [0.05, 1, 4]
        self.regions_at = (36, 48) if dry_run else (466, 700) if full else (233, 350)
        self.region_counts = [1, 3] if dry_run else [1, 2, 4, 9, 16, 32] if full else [1, 9, 32]
        self.long_side = 96 if dry_run else 700
        self.command_sides = {"350 px": 48, "700 px": 64} if dry_run else {"350 px": 350, "700 px": 700}
        self.command_runs = 1 if dry_run else 9 if full else 3
        self.batches = {48: 4} if dry_run else {350: 500, 700: 60, 2000: 20}  # photos by long side
        self.pool_seconds = 1.0 if dry_run else 60.0
        self.large_sides = {"12 MP": 64} if dry_run else {"12 MP": 4000, "24 MP": 5657} if full else {"12 MP": 4000}
        self.default_steps: Results = {"scales": (0.5, 1.0), "steps": (3, 3)} if dry_run else {}
        self.warm_runs = 5 if full else 1
        self.published_steps = 20 if full else 3
        self.published_seconds = 1200.0 if full else 30.0
        self.baseline_seconds = 0.2 if dry_run else 900.0 if full else 40.0
        self.vgg_shape = "vgg19-16x" if dry_run else None  # encoder whose widths VGG-19 has instead of its own

    @property
    def device(self) -> torch.device:
        import torch

        return torch.device("cpu")

    def left(self) -> float:
        """Return the seconds until the section must have ended."""
        return self.deadline - time.monotonic()


def environment() -> dict[str, str]:
    """Return the environment of processes: the package in this folder, and threads that wait as the command's do."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    chosen = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}
    # What torch.compile has made stays between runs.
    kept = {"TORCHINDUCTOR_CACHE_DIR": str(scratch_folder() / "compiled")}
    return {"GOMP_SPINCOUNT": "10000"} | kept | dict(os.environ) | chosen


def scratch_folder() -> Path:
    """Return a folder for the photos and weights that sections write."""
    folder = ROOT / "build" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
