"""What a section of the command for a GPU is given: how much to do, and where the library lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sections import ROOT, Found

if TYPE_CHECKING:
    import torch

LIBRARY = ROOT / "build" / "gpu" / "lib"


def environment() -> dict[str, str]:
    """Variables under which Python finds the library built here, if there is one, else the one in the working tree."""
    library = LIBRARY if any((LIBRARY / "fastphoto" / "ops").glob("_C*")) else ROOT
    paths = [str(library)] if any((library / "fastphoto" / "ops").glob("_C*")) else []
    paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def scratch_folder() -> Path:
    """For weights and images that sections write."""
    folder = ROOT / "build" / "gpu" / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Sizes:
    """How large and how often: as published, quicker, or tiny for a dry run."""

    def __init__(self, dry_run: bool, quick: bool) -> None:
        self.dry_run, self.quick = dry_run, quick
        self.long_side = 64 if dry_run else 700
        self.large_side = 96 if dry_run else 4000
        self.warm_ups = 1 if dry_run else 3
        self.repetitions = 1 if dry_run else 20 if quick else 100
        self.seconds = 0.05 if dry_run else 0.5 if quick else 1.5  # for the repetitions of one measurement
        self.flush = 1 << 20 if dry_run else 256 << 20  # bytes written between repetitions
        self.runs = 1 if dry_run else 4  # of a whole transfer, the first of which warms up
        self.iterations = 1 if dry_run else 100 if quick else 200
        self.solver_steps = (2, 3) if dry_run else (110, 170)  # of L-BFGS, whose history holds 100
        self.reference_steps = 3 if dry_run else 500 if quick else 2000
        self.finest_steps = 3 if dry_run else 500
        self.scales = (0.5, 1.0) if dry_run else (0.25, 0.5, 1.0)
        self.coarse_steps = [(2,)] if dry_run else [(30, 40), (100, 100), (300, 150)]
        self.rates = [0.02] if dry_run else [0.01, 0.03] if quick else [0.005, 0.01, 0.02, 0.05]
        self.default_steps: Found = {"scales": (0.5, 1.0), "steps": (2, 1)} if dry_run else {}
        self.precisions = ("bfloat16", "tf32") if dry_run else ("bfloat16", "tf32", "float32")
        self.vgg_shape = "vgg19-16x" if dry_run else None  # whose widths VGG-19 has, if not its own

    @property
    def device(self) -> torch.device:
        import torch

        if not self.dry_run and not torch.cuda.is_available():
            raise RuntimeError("no GPU here; --dry-run tests this program without one")
        return torch.device("cpu" if self.dry_run else "cuda")

    def precision(self, name: str) -> str:
        """What stands for a precision on the device: a CPU has one only."""
        return "float32" if self.dry_run else name
