"""Makes `benchmarks` importable; small problems for its baselines, and dry runs of its commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from locations import ROOT
from rendered_photos import day, dusk

sys.path.append(str(ROOT))

from benchmarks.baselines.network import random_weights
from benchmarks.baselines.problem import Problem
from benchmarks.transfers import baseline_problem


@pytest.fixture(autouse=True)
def small_images(one_thread: None) -> None:
    """All images of the benchmarks' tests are tiny."""


@pytest.fixture
def small_pair() -> dict[str, Any]:
    """Two hard regions, and a third in the content that is too small for the deep layers."""
    content, style = day(), dusk()
    masks = []
    for photo, side in ((content, 6), (style, 20)):
        regions = torch.cat([photo.masks, torch.zeros_like(photo.masks[:1])])
        regions[:, -side:, -side:] = 0
        regions[2, -side:, -side:] = 1
        masks.append({str(number): mask.numpy() for number, mask in enumerate(regions)})
    return {"content": content.pixels, "style": style.pixels, "content_mask": masks[0], "style_mask": masks[1]}


@pytest.fixture
def make_problem(small_pair) -> Callable[..., Problem]:
    def make(normalisation: str, published_scale: bool = True) -> Problem:
        """published_scale: whether activations have the scale that the published weights are made for."""
        weights = random_weights("vgg19-16x")
        if not published_scale:
            weights = replace(weights, normalise=tuple(part / 100 for part in weights.normalise))
        return baseline_problem(small_pair, normalisation, weights)

    return make


@dataclass(frozen=True)
class DryRun:
    """What a dry run left."""

    results: dict[str, Any]
    report: str
    printed: str


@pytest.fixture(scope="session")
def dry_run(tmp_path_factory) -> Callable[..., DryRun]:
    """Return a function that runs a script of `benchmarks` with --dry-run and other options, in one thread."""

    def run(script: str, *options: str) -> DryRun:
        folder = tmp_path_factory.mktemp("results")
        command = [sys.executable, ROOT / "benchmarks" / script, "--dry-run", "-o", folder, *options]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
        (record,), (report,) = folder.glob("*-dry-run*.json"), folder.glob("*-dry-run*.md")
        assert set(folder.iterdir()) == {record, report}, "other files are left"
        results = json.loads(record.read_text(encoding="utf-8"))
        return DryRun(results, report.read_text(encoding="utf-8"), done.stdout)

    return run
