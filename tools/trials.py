"""Trials of settings: their file, the objective that ranks them, and the cross-validation of the choice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastphoto.errors import FileError, InputError, error_text, printable

FOLDS = 4
DEALS = 50  # random ways to deal the pairs into folds
SHOWN = 10  # trials in a report

Array = npt.NDArray[np.float64]
Tables = Mapping[str, Array]
"""By group, (pairs, 3): stains, look and invented of each `Score`."""


@dataclass(frozen=True)
class Score:
    """One result beside its reference."""

    stains: float  # (stains + 0.2) / (the reference's + 0.2)
    look: float  # look / the reference's
    invented: float  # invented - the reference's, delta E


@dataclass(frozen=True)
class Limits:
    """What the results of one group of pairs must keep, to be photographs."""

    title: str
    stains: float  # largest median
    invented: float  # largest excess of a clean result, delta E
    clean: float  # smallest share of clean results


LIMITS = {
    # A start image has 0.51 of a published result's stains.
    "pairs": Limits("pairs", stains=0.52, invented=0.0, clean=0.83),
    # Beside the start image, which is hard to surpass: about as many stains, and as little invented as in flat scenes.
    "photos": Limits("photographs", stains=1.05, invented=0.05, clean=0.83),
}
"""The limits of each group, in the order of the report."""
FLAT_LIMIT = 0.05
"""Largest excess of invented structure over the start image in any flat scene, delta E."""


@dataclass(frozen=True)
class Trial:
    """One choice of settings, with the scores of its results."""

    size: int  # long side of the results, in pixels
    settings: dict[str, Any]  # all settings, as JSON has them
    scores: dict[str, dict[str, Score]]  # group of `LIMITS` -> pair -> score
    flat_scenes: dict[str, float]  # scene -> invented - the start image's, delta E

    @cached_property
    def tables(self) -> Tables:
        return {
            group: np.array([[s.stains, s.look, s.invented] for s in scores.values()])
            for group, scores in self.scores.items()
        }

    @property
    def worst_flat_scene(self) -> float:
        return max(self.flat_scenes.values())

    def basis(self, searched: Collection[str]) -> str:
        """Return the `basis` of this trial."""
        names = {group: list(scores) for group, scores in self.scores.items()} | {"flat_scenes": list(self.flat_scenes)}
        return basis(self.size, names, self.settings, searched)


def basis(size: int, names: Mapping[str, list[str]], settings: Mapping[str, Any], searched: Collection[str]) -> str:
    """Return what trials must have in common to be compared, as text.

    Args:
        size: long side of the results, in pixels.
        names: names of the pairs of each group, and of the "flat_scenes".
        settings: all settings.
        searched: settings that may differ.
    """
    others = {name: value for name, value in settings.items() if name not in searched}
    return json.dumps([size, names, others], sort_keys=True)


class Objective(NamedTuple):
    """What a choice minimises: the first number decides, the next one where they are equal, and so on."""

    flat_breach: float  # delta E by which the worst flat scene exceeds `FLAT_LIMIT`
    photograph_breach: float  # sum over groups and limits of the share by which each limit is missed
    look: float  # mean over groups of the median look, to two decimals: less is not seen
    stains: float  # mean over groups of the median stains


def objective(tables: Tables, worst_flat_scene: float) -> Objective:
    """Return the objective of scores by group, (pairs, 3), and of the worst flat scene.

    Example:
        >>> scores = np.array([[0.5, 0.6, 0.0], [0.5, 0.7, -0.1]])
        >>> objective({"pairs": scores}, 0.01)
        Objective(flat_breach=0.0, photograph_breach=0.0, look=0.65, stains=0.5)
    """
    medians = {group: np.median(scores[:, :2], 0) for group, scores in tables.items()}
    breach = 0.0
    for group, limits in ((group, LIMITS[group]) for group in tables):
        breach += max(0.0, float(medians[group][0]) / limits.stains - 1)
        breach += max(0.0, 1 - _clean(group, tables[group]) / limits.clean)
    stains, look = np.mean(list(medians.values()), 0)
    flat = max(0.0, worst_flat_scene - FLAT_LIMIT)
    return Objective(round(flat, 4), round(breach, 4), round(float(look), 2), round(float(stains), 4))


def best_trial(trials: Sequence[Trial], kept: Mapping[str, npt.NDArray[np.int64]] | None = None) -> Trial:
    """Return the first of the trials with the least objective, on all pairs or on those kept of each group."""

    def on_kept(trial: Trial) -> Objective:
        tables = trial.tables if kept is None else {group: trial.tables[group][kept[group]] for group in kept}
        return objective(tables, trial.worst_flat_scene)

    return min(trials, key=on_kept)


class CrossValidation(NamedTuple):
    """How a choice among trials does on pairs that had no part in it."""

    figures: list[float]  # as `figures` returns them, means over deals
    chosen: list[tuple[Trial, float]]  # trials that were chosen, with their shares of the choices, most often first


def cross_validate(trials: Sequence[Trial]) -> CrossValidation:
    """Choose the best trial on all folds but one, and judge it on the fold left out, for each fold and many deals.

    Each group is dealt into folds by itself, at random. A deal's figures are those of all pairs together, each judged
    by the trial that was chosen without it. Trials must have the same pairs, two or more in each group.
    """
    random = np.random.default_rng(0)
    first = trials[0].tables
    count = min(FOLDS, max(map(len, first.values())))
    deals, chosen = [], Counter[int]()
    for _ in range(DEALS):
        folds = {group: np.array_split(random.permutation(len(table)), count) for group, table in first.items()}
        held_out: dict[str, Array] = {group: np.empty_like(table) for group, table in first.items()}
        flat = -np.inf
        for fold in range(count):
            rest = {group: np.concatenate(folds[group][:fold] + folds[group][fold + 1 :]) for group in folds}
            best = best_trial(trials, rest)
            chosen[trials.index(best)] += 1
            flat = max(flat, best.worst_flat_scene)
            for group, parts in folds.items():
                held_out[group][parts[fold]] = best.tables[group][parts[fold]]
        deals.append(figures(held_out, flat))
    shares = [(trials[index], times / chosen.total()) for index, times in chosen.most_common()]
    means = [round(float(mean), 6) for mean in np.mean(deals, 0)]  # without the rounding errors of equal numbers
    return CrossValidation(means, shares)


def figures(tables: Tables, worst_flat_scene: float) -> list[float]:
    """Return the numbers of a report's row: the breach of limits; stains, look and clean by group; the flat scene."""
    numbers = [objective(tables, worst_flat_scene).photograph_breach]
    for group, scores in tables.items():
        stains, look = np.median(scores[:, :2], 0)
        numbers += [float(stains), float(look), _clean(group, scores)]
    return [*numbers, worst_flat_scene]


def _clean(group: str, scores: Array) -> float:
    """Return the share of results with no more invented structure than the limit."""
    return float((scores[:, 2] <= LIMITS[group].invented).mean())


def report(trials: Sequence[Trial], defaults: Mapping[str, Any]) -> str:
    """Return the best trials, the defaults and the cross-validation of the choice, as a table in Markdown.

    Args:
        trials: trials with the same pairs, two or more in each group.
        defaults: present defaults of the searched settings, as JSON has them.
    """
    ranked = sorted(trials, key=lambda trial: objective(trial.tables, trial.worst_flat_scene))
    shown = [
        trial
        for place, trial in enumerate(ranked)
        if place < SHOWN or changed_settings(trial.settings, defaults) == "defaults"
    ]
    validation = cross_validate(trials)
    pairs = ", ".join(f"{len(table)} {LIMITS[group].title}" for group, table in trials[0].tables.items())
    lines = [f"{len(trials)} trials on {pairs} and {len(trials[0].flat_scenes)} flat scenes, the best first", ""]
    lines += heading(list(trials[0].tables))
    lines += [row(changed_settings(t.settings, defaults), figures(t.tables, t.worst_flat_scene)) for t in shown]
    lines += [row("**cross-validated choice**", validation.figures), "", "Chosen without the fold that judged it:"]
    lines += [f"- {share:.0%} {changed_settings(trial.settings, defaults)}" for trial, share in validation.chosen]
    return "\n".join(lines)


def heading(groups: Sequence[str]) -> list[str]:
    """Return the two lines above the rows."""
    columns = ["settings", "limits missed by"]
    for limits in (LIMITS[group] for group in groups):
        columns += [f"{limits.title}: stains (≤ {limits.stains:.2f})", "look", f"clean (≥ {limits.clean:.2f})"]
    columns.append(f"worst flat scene, ΔE (≤ {FLAT_LIMIT:.2f})")
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]


def row(title: str, numbers: Sequence[float]) -> str:
    """Return a row of the table."""
    return f"| {title} | {' | '.join(f'{number:.3f}' for number in numbers)} |"


def changed_settings(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return the searched settings that differ from the defaults, as `fastphoto transfer --set` takes them.

    Example:
        >>> changed_settings({"look_weight": 12.0, "steps": [60]}, {"look_weight": 8.0, "steps": [40]})
        'look_weight=12.0 steps=60'
    """
    changed = {name: settings[name] for name, default in defaults.items() if settings.get(name, default) != default}
    words = (f"{n}={','.join(map(str, v)) if isinstance(v, list) else v}" for n, v in changed.items())
    return " ".join(words) or "defaults"


def read_trials(path: Path) -> list[Trial]:
    """Return the trials of a file; raises InputError at a line that is none, FileError if the file cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise FileError(f"{printable(path)}: cannot be read ({error_text(error)})") from error
    return [_trial(line, f"{printable(path)}, line {number}") for number, line in enumerate(lines, 1)]


def _trial(line: str, where: str) -> Trial:
    try:
        fields = json.loads(line)
        scores = {
            group: {name: Score(**score) for name, score in fields["scores"][group].items()}
            for group in fields["scores"]
        }
        trial = Trial(fields["size"], dict(fields["settings"]), scores, fields["flat_scenes"])
        if not all([scores, *scores.values()]):
            raise ValueError("without pairs")
        objective(trial.tables, trial.worst_flat_scene)
        return trial
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{where}: is not a trial of this tool; remove the line, or name another file with --out"
        ) from error


def append_trial(path: Path, trial: Trial) -> None:
    """Append a trial to a file, as one line."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(trial)) + "\n")
