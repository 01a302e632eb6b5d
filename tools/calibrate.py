"""Choose the settings of the preset "fast": a random search, ranked by one objective and judged by cross-validation.

    python tools/calibrate.py --pairs DIR [--photos DIR] [--trials 24] [--set NAME=VALUE]
    python tools/calibrate.py                             # only reports on the trials in the file

A trial is one choice of settings: the defaults first, then the defaults with one to three settings of `SPACE` changed
at random, but none that --set gives. It is run on

- pairs: folders DIR/N/{content,style,content_mask,style_mask,published}.png; the reference is the published result;
- photographs: those of training_photos.txt, each with another one as its style, without masks; what the folder lacks
  is fetched from Debian's packages; the reference is the start image, with fixed settings;
- flat scenes, rendered; the reference is the start image, with the settings of the trial.

The objective puts the aims in their order: first a photograph, then the style's look. Of two trials the better one has,
and each line counts only if those above are equal,

1. the less invented structure in the worst flat scene, beyond 0.05 delta E more than the start image;
2. the smaller breach of limits: on pairs median stains of at most 0.52 of the published, and 83 % of results clean,
   with no more invented structure than the published; on photographs median stains of at most 1.05 of the start
   image's, and 83 % clean, with at most 0.05 delta E more invented structure than the start image;
3. the smaller look: median ratio to the reference, mean of pairs and photographs, to two decimals;
4. the smaller stains: the same of stains.

No trial depends on the scores of those before, so that cross-validation is fair: pairs are dealt into four folds, and
the trial that is best on three of them is judged on the fourth. Flat scenes are a limit that always holds, and not
dealt. The report has that beside the plain figures, which flatter the best trial because it was chosen by them.

Trials are appended to trials.jsonl, one a line. A search that was stopped goes on where it was, also with more
--trials; trials of other pairs, sizes or settings outside of `SPACE` are left alone. Remove the file after a change of
the method itself. Results have a long side of 350 pixels, and each process has one thread. Bad input ends the command
with one line and exit status 2.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flat_scenes import flat_scenes
from score_methods import at_least, pair_folders, read_pair
from torch import Tensor
from tqdm import tqdm
from training_photos import fetch_photos
from trials import (
    LIMITS,
    Score,
    Trial,
    append_trial,
    basis,
    changed_settings,
    figures,
    heading,
    read_trials,
    report,
    row,
)

from fastphoto.cli.setting_values import parse_settings
from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.encoders.encoder import load_encoder
from fastphoto.errors import FastPhotoError, FastPhotoWarning, InputError, printable
from fastphoto.evaluation import ReferencePair, score_measures
from fastphoto.evaluation.content_measures import ContentReference
from fastphoto.methods.registry import Method, RunOptions, apply_method
from fastphoto.optimisation.presets import preset_settings
from fastphoto.photos.photo import MINIMUM_SIDE
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import enlarge
from fastphoto.regions.masks import region_map
from fastphoto.regions.pair import PhotoPair, prepare_pair

SPACE: Mapping[str, tuple[Any, ...]] = {
    "look_weight": (8.0, 12.0, 16.0, 20.0, 30.0),
    "stains_weight": (10.0, 20.0, 30.0, 50.0),
    "invented_weight": (100.0, 200.0, 400.0, 600.0, 1000.0),
    "style_weights": (
        (2.0, 1.0, 0.5, 0.1, 0.1),
        (1.0, 0.5, 0.25, 0.05, 0.05),
        (4.0, 2.0, 1.0, 0.2, 0.2),
        (2.0, 1.0, 0.5, 0.0, 0.0),
        (1.0, 1.0, 1.0, 0.3, 0.3),
    ),
    "curve_slope": (1.5, 2.0, 3.0, 4.0),
    "affine_radius": (2, 4, 8),
    "affine_epsilon": (0.012, 0.025, 0.05, 0.1),
    "matte_radius": (3, 5, 8),
    "colour_gain": (4.0, 6.0, 9.0),
    "steps": ((12,), (16,), (24,)),
}
"""The candidate values of each searched setting."""

_DRAWS = 10_000  # of candidates, most of them new; ends the search of a space that --set leaves small

START: Mapping[str, Any] = {"steps": 0, "colour_gain": 6.0, "curve_slope": 3.0}
"""Settings of the start image that photographs are compared with, the same whatever the defaults are."""

TRIALS = Path(__file__).with_name("trials.jsonl")


@dataclass(frozen=True)
class Subject:
    """What a result is made of: a pair, two photographs, or a flat scene."""

    group: str  # a group of `trials.LIMITS`, or "flat_scenes"
    name: str
    content: Path | None = None  # None: a flat scene
    style: Path | None = None


@dataclass(frozen=True)
class Job:
    """One result to make and to score, in a process of its own."""

    subject: Subject
    settings: Mapping[str, Any]
    size: int


def search(options: argparse.Namespace) -> list[Trial]:
    """Run the trials that the file lacks, and return all trials of the file that have their basis."""
    if not options.out.parent.is_dir():
        raise InputError(f"--out {printable(options.out)}: its folder is missing; make it, or give another file")
    fixed = parse_settings(options.set)
    searched = [name for name in SPACE if name not in fixed]
    subjects = _subjects(options)
    names: dict[str, list[str]] = {}
    for subject in subjects:
        names.setdefault(subject.group, []).append(subject.name)
    present = read_trials(options.out) if options.out.exists() else []
    wanted = basis(options.size, names, _settings(fixed), searched)
    trials = [trial for trial in present if trial.basis(searched) == wanted]
    if len(trials) < len(present):
        print(f"{len(present) - len(trials)} trials of other pairs, sizes or settings are left alone", file=sys.stderr)
    done = [trial.settings for trial in trials]
    asked = itertools.islice(candidates(options.seed, fixed), options.trials)
    missing = [changes for changes in asked if _settings(changes) not in done]
    if missing:
        print(*heading([group for group in names if group in LIMITS]), sep="\n", flush=True)
        for trial in _run(missing, subjects, options):
            trials.append(trial)
            append_trial(options.out, trial)
            title = changed_settings(trial.settings, _defaults())
            print(row(title, figures(trial.tables, trial.worst_flat_scene)), flush=True)
        print()
    return trials


def _run(candidates: list[dict[str, Any]], subjects: list[Subject], options: argparse.Namespace) -> Iterator[Trial]:
    """Yield the trial of each candidate."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that start now
    context = get_context("spawn")  # a process that has used autograd's threads must not be forked
    with ProcessPoolExecutor(options.processes, context, _prepare_process) as pool:
        for changes in candidates:
            jobs = [Job(subject, changes, options.size) for subject in subjects]
            results = tqdm(pool.map(_score, jobs), total=len(jobs), leave=False, disable=None)
            scores: dict[str, dict[str, Any]] = {}
            for subject, result in zip(subjects, results, strict=True):
                scores.setdefault(subject.group, {})[subject.name] = result
            yield Trial(options.size, _settings(changes), flat_scenes=scores.pop("flat_scenes"), scores=scores)


def _prepare_process() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FastPhotoWarning)  # of regions that one photo lacks; every trial would repeat them


def candidates(seed: int, fixed: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield changes to the defaults, never the same twice: those fixed, then also one to three others at random.

    Example:
        >>> next(candidates(0, {"steps": (20,)}))
        {'steps': (20,)}
    """
    random = np.random.default_rng(seed)
    defaults = preset_settings("fast")
    free = [name for name in SPACE if name not in fixed]
    changes = dict(fixed)
    yielded = []
    for _ in range(_DRAWS):
        if changes not in yielded:
            yielded.append(changes)
            yield changes
        changes = dict(fixed)
        for name in random.permutation(free)[: random.integers(1, 4)]:
            others = [value for value in SPACE[name] if value != getattr(defaults, name)]
            changes[str(name)] = others[random.integers(len(others))]


def _settings(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a trial, as JSON has them."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(preset_settings("fast", **changes))))
    return settings


def _defaults() -> dict[str, Any]:
    """Return the present defaults of the settings that are searched, as JSON has them."""
    settings = _settings({})
    return {name: settings[name] for name in SPACE}


def _subjects(options: argparse.Namespace) -> list[Subject]:
    """Return everything that a trial is run on, in the order of its scores."""
    subjects = []
    if options.pairs is not None:
        folders = pair_folders(options.pairs)
        if len(folders) < 2:
            raise InputError(f"--pairs {options.pairs}: one pair; cross-validation needs two or more")
        subjects += [Subject("pairs", f.name, f / "content.png", f / "style.png") for f in folders]
    if options.photos is not None:
        photos = fetch_photos(options.photos)
        if options.photo_pairs > len(photos):
            raise InputError(f"--photo-pairs {options.photo_pairs}: there are {len(photos)} photographs; give fewer")
        order = np.random.default_rng(0).permutation(len(photos))
        for number in range(options.photo_pairs):
            content, style = photos[order[number]], photos[order[(number + 1) % len(photos)]]
            subjects.append(Subject("photos", f"{number} {content.stem} as {style.stem}", content, style))
    return subjects + [Subject("flat_scenes", name) for name in flat_scenes()]


def _score(job: Job) -> Score | float:
    """Make a result and return its score, or the excess of invented structure in a flat scene, to four decimals."""
    subject = job.subject
    if subject.content is None or subject.style is None:
        return _flat_excess(*flat_scenes()[subject.name], job.settings)
    if subject.group == "pairs":
        folder = subject.content.parent
        pair, judged = read_pair(folder, job.size), read_pair(folder, job.size, orphans="drop")
        reference = read_photo(folder / "published.png").pixels
    else:
        content, style = read_photo(subject.content, "content"), read_photo(subject.style, "style")
        pair = judged = prepare_pair(content, style, None, None, job.size)
        reference = _transfer(pair, START)
    regions = region_map(judged.content_masks), region_map(judged.style_masks)
    measured = ReferencePair(judged.content, judged.style, *regions, [load_encoder("embedded")])
    ours, theirs = measured.measure(_transfer(pair, job.settings)), measured.measure(enlarge(reference, measured.size))
    ratios = score_measures(ours, theirs)
    return Score(round(ratios.stains, 4), round(ratios.look, 4), round(ours.invented - theirs.invented, 4))


def _flat_excess(content: Tensor, style: Tensor, changes: Mapping[str, Any]) -> float:
    """Return invented structure of the result of a flat scene, beyond that of its start image, delta E."""
    pair = prepare_pair(read_photo(content), read_photo(style), None, None, max(content.shape))
    reference = ContentReference(content.double().numpy())
    result, start = (
        reference.invented(srgb_to_lab(_transfer(pair, settings).double().numpy()))
        for settings in (changes, {**changes, "steps": 0})
    )
    return round(result - start, 4)


def _transfer(pair: PhotoPair, changes: Mapping[str, Any]) -> Tensor:
    """Return the result (3, h, w) of the preset "fast" with changes."""
    return apply_method(Method("trial", "", True, "fast", changes), pair, options=RunOptions(device="cpu"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, metavar="DIR", help="folder of photo pairs with published results")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="folder of the listed photographs, to be filled")
    parser.add_argument(
        "--photo-pairs", type=at_least(2), default=12, metavar="N", help="number of pairs made of photographs"
    )
    parser.add_argument("--trials", type=at_least(1), default=24, metavar="N", help="trials of the search in all")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="give all trials this setting; may be repeated"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed of the search")
    parser.add_argument(
        "--size", type=at_least(MINIMUM_SIDE), default=350, metavar="PIXELS", help="long side of results"
    )
    parser.add_argument("--processes", type=at_least(1), default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("-o", "--out", type=Path, default=TRIALS, metavar="FILE", help="file of trials")
    return parser


def calibrate(options: argparse.Namespace) -> None:
    """Run the missing trials if there is anything to run them on, and print the report."""
    if options.pairs is None and options.photos is None:
        trials = read_trials(options.out)
        if not trials:
            raise InputError(f"{printable(options.out)}: holds no trials; make some with --pairs DIR")
        trials = [trial for trial in trials if trial.basis(SPACE) == trials[-1].basis(SPACE)]
    else:
        trials = search(options)
    print(report(trials, _defaults()))


def main() -> None:
    options = _parser().parse_args()
    try:
        calibrate(options)
    except (FastPhotoError, OSError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
