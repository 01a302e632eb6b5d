"""Calibrate the preset "fast": a random search over its weights, judged by cross-validation on photo pairs.

    python tools/calibrate.py search --pairs DIR --judge DIR --encoder embedded --trials 24 -o trials.jsonl
    python tools/calibrate.py report trials.jsonl

A trial is one choice of settings. All pairs, folders N/{content,style,content_mask,style_mask,published}.png, are
transferred with it. The judge, evaluate.py with score(pair, result, side) -> {"style": 0.9, "photorealism": 0.8, ...},
scores each result: 1.0 equals the published result, lower is better. `search` appends trials to the file, so that a
search can be stopped, continued, and joined with another encoder's.

`report` estimates how well the best trial does on new photos: it deals the pairs into folds, chooses the trial that is
best on all folds but one, and judges it on the fold left out. The measure is the mean over pairs of max(style,
photorealism), because neither aim of the published method may be missed for the other. A low style distance can be
bought with stains, which this measure does not see: look at the results too (docs/methods.md, Evaluation).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import fastphoto
from fastphoto.encoders.encoder import EMBEDDED
from fastphoto.encoders.weights import load_weights, read_weights
from fastphoto.optimisation.presets import preset_settings

SPACE: dict[str, tuple[Any, ...]] = {
    "photorealism_weight": (0.035, 0.045, 0.055, 0.07, 0.09),
    "epsilon": (3e-5, 1e-4, 3e-4),
    "content_weight": (0.03, 0.1, 0.2, 0.4),
    "content_layers": (("relu2_1", "relu4_1"), ("relu2_1",), ("relu3_1",)),
    "style_weights": (
        (1.0, 1.0, 1.0, 0.1, 0.1),
        (1.0, 1.0, 1.0, 0.3, 0.3),
        (1.0, 1.0, 1.0, 0.03, 0.03),
        (1.0, 1.0, 0.5, 0.1, 0.1),
        (2.0, 1.0, 1.0, 0.1, 0.1),
        (2.0, 1.0, 0.5, 0.1, 0.1),
        (2.0, 1.0, 0.3, 0.3, 0.1),
        (4.0, 1.0, 0.5, 0.1, 0.1),
        (4.0, 2.0, 1.0, 0.3, 0.1),
        (1.0, 1.0, 0.3, 0.3, 0.1),
    ),
    "affine_epsilon": (1e-3, 3e-3, 1e-2),
    "smooth_radius": (1, 2),
    "colour_gain": (4.0, 6.0, 9.0),
    "curve_slope": (1.0, 1.5, 2.0, 3.0),
}
"""The candidate values of each setting."""
FOLDS = 4
DEALS = 50  # random ways to deal the pairs into folds


class Job(NamedTuple):
    """One transfer to judge, in a process of its own."""

    settings: dict[str, Any]
    pair: Path
    judge: Path
    encoder: str
    weights: Path | None
    size: int


def search(options: argparse.Namespace) -> None:
    """Judge the defaults, then random choices that differ from the defaults in one to three settings."""
    pairs = sorted((p for p in options.pairs.iterdir() if (p / "published.png").exists()), key=lambda p: int(p.name))
    done = _read(options.out) if options.out.exists() else []
    run = {"encoder": options.encoder, "weights": _weights(options), "size": options.size}
    judged = {_key(t["settings"]) for t in done if all(t[name] == value for name, value in run.items())}
    random = np.random.default_rng(options.seed)
    context = get_context("spawn")  # a process that has used CUDA or autograd's threads must not be forked
    with ProcessPoolExecutor(options.processes, context) as pool:
        for number in range(options.trials):
            settings = _defaults() | json.loads(options.settings)
            if number:
                for name in random.choice(list(SPACE), random.integers(1, 4), replace=False):
                    settings[name] = SPACE[name][random.integers(len(SPACE[name]))]
            if (key := _key(settings)) in judged:
                continue
            judged.add(key)
            jobs = [
                Job(settings, pair, options.judge, options.encoder, options.weights, options.size) for pair in pairs
            ]
            results = tqdm(pool.map(_score, jobs), total=len(jobs), leave=False)
            scores = {pair.name: score for pair, score in zip(pairs, results, strict=True)}
            with open(options.out, "a") as file:
                file.write(json.dumps(run | {"settings": settings, "scores": scores}) + "\n")
            print(_line(settings, np.array(list(scores.values()))), flush=True)


def _weights(options: argparse.Namespace) -> str:
    """Return the SHA-256 of the encoder's weight file."""
    if options.encoder == "embedded":
        return read_weights(EMBEDDED).sha256
    return load_weights(options.encoder, options.weights).sha256


def _score(job: Job) -> list[float]:
    """Return [style, photorealism] of one pair."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(job.judge))
    import evaluate

    image = fastphoto.transfer(
        job.pair / "content.png",
        job.pair / "style.png",
        content_mask=job.pair / "content_mask.png",
        style_mask=job.pair / "style_mask.png",
        encoder=job.encoder,
        weights=job.weights,
        size=job.size,
        **job.settings,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.png"
        image.save(path)
        score = evaluate.score(job.pair, path, job.size)
    return [score["style"], score["photorealism"]]


def report(options: argparse.Namespace) -> None:
    """Print the trials of a file and their cross-validation, for each encoder and for all encoders together."""
    trials = _read(options.trials)
    names = sorted(trials[0]["scores"], key=int)
    settings = {_key(t["settings"]): t["settings"] for t in trials}
    tables: dict[str, dict[str, np.ndarray]] = {}  # {encoder: {settings: (pairs, 2)}}
    for t in trials:
        tables.setdefault(t["encoder"], {})[_key(t["settings"])] = np.array([t["scores"][n] for n in names])
    for encoder, table in tables.items():
        print(
            f"{encoder}, {len(names)} pairs: measure, median style, median photorealism, both below 1, changed settings"
        )
        for key in sorted(table, key=lambda k: measure(table[k])):
            print("  ", _line(settings[key], table[key]))
        _cross_validate(encoder, table, settings)
    if len(tables) > 1:
        common = set.intersection(*(set(table) for table in tables.values()))
        joint = {key: np.stack([table[key] for table in tables.values()], 1) for key in sorted(common)}
        _cross_validate(" and ".join(tables), joint, settings)


def _cross_validate(title: str, table: dict[str, np.ndarray], settings: dict[str, dict[str, Any]]) -> None:
    """Print the measure on each fold left out, for the trial that is best on the other folds, averaged over deals."""
    default, pairs = _key(_defaults()), len(next(iter(table.values())))
    random = np.random.default_rng(0)
    held_out, by_default, chosen = [], [], dict.fromkeys(table, 0)
    for _ in range(DEALS):
        for fold in np.array_split(random.permutation(pairs), FOLDS):
            rest = np.setdiff1d(np.arange(pairs), fold)
            best = min(table, key=lambda key: measure(table[key][rest]))
            chosen[best] += 1
            held_out.append(measure(table[best][fold]))
            by_default.append(measure(table[default][fold]) if default in table else np.nan)
    print(f"{title}: {len(table)} trials, chosen on other folds: {np.mean(held_out):.4f} on the fold left out,")
    print(f"   current defaults {np.mean(by_default):.4f} there; chosen most often:")
    for key, count in sorted(chosen.items(), key=lambda item: -item[1])[:5]:
        if count:
            print(f"   {count / (DEALS * FOLDS):4.0%}  {measure(table[key]):.4f}  {_changes(settings[key])}")


def measure(scores: np.ndarray) -> float:
    """Return the mean over pairs (and encoders) of the worse of style and photorealism, from scores (..., 2)."""
    return float(scores.max(-1).mean())


def _line(settings: dict[str, Any], table: np.ndarray) -> str:
    """Return one row of the report, from scores (pairs, 2)."""
    style, photorealism = np.median(table, 0)
    both = int((table < 1).all(1).sum())
    return f"{measure(table):.4f}  {style:.3f} {photorealism:.3f} {both:2d}/{len(table)}  {_changes(settings)}"


def _defaults() -> dict[str, Any]:
    """Return the current defaults of the searched settings."""
    return {name: getattr(preset_settings("fast"), name) for name in SPACE}


def _changes(settings: dict[str, Any]) -> str:
    """Return the settings that differ from the current defaults, as JSON."""
    default = json.loads(json.dumps(_defaults()))
    changed = {k: v for k, v in json.loads(json.dumps(settings)).items() if k not in default or default[k] != v}
    return json.dumps(changed) if changed else "the defaults"


def _key(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("search")
    command.set_defaults(run=search)
    command.add_argument("--pairs", type=Path, required=True, help="folder of N/{content,style,...}.png")
    command.add_argument("--judge", type=Path, required=True, help="folder of evaluate.py")
    command.add_argument("--encoder", default="embedded")
    command.add_argument("--weights", type=Path)
    command.add_argument("--settings", default="{}", help="JSON of settings that every trial starts from")
    command.add_argument("--size", type=int, default=350)
    command.add_argument("--trials", type=int, default=24)
    command.add_argument("--processes", type=int, default=os.cpu_count())
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("-o", "--out", type=Path, required=True)
    command = commands.add_parser("report")
    command.set_defaults(run=report)
    command.add_argument("trials", type=Path)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
