"""Trials of settings: what the objective puts first, the cross-validation of a choice, and the file they lie in."""

from __future__ import annotations

import doctest
import importlib
import json

import numpy as np
import pytest

from fastphoto.errors import FileError, InputError

DEFAULTS = {"look_weight": 8.0, "steps": [40]}


@pytest.fixture
def module(tools):
    return importlib.import_module("trials")


@pytest.fixture
def make(module):
    """Make a trial of scores that keep all limits, but for what is given: one number for all pairs, or a list."""

    def trial(look=0.6, stains=0.5, invented=0.0, flat=0.0, group="pairs", count=6, **settings):
        columns = np.broadcast_arrays(*(np.asarray(x, float) for x in (stains, look, invented)), np.empty(count))[:3]
        scores = {str(n): module.Score(*map(float, row)) for n, row in enumerate(zip(*columns, strict=True))}
        return module.Trial(350, DEFAULTS | settings, {group: scores}, {"fog": flat, "sky": -0.1})

    return trial


def best(module, *trials):
    """Return the position of the best trial, which must not depend on the order."""
    choices = {trials.index(module.best_trial(order)) for order in (trials, trials[::-1])}
    assert len(choices) == 1
    return choices.pop()


def test_doctests(module):
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


def test_without_a_breach_the_nearer_look_wins_whatever_the_stains(module, make):
    assert best(module, make(look=0.6, stains=0.3), make(look=0.55, stains=0.52)) == 1


def test_looks_that_are_equal_to_two_decimals_are_decided_by_stains(module, make):
    assert best(module, make(look=0.601, stains=0.5), make(look=0.604, stains=0.4)) == 1


@pytest.mark.parametrize(
    "breach",
    [{"stains": 0.53}, {"invented": [0.01, 0.01, -1, -1, -1, -1]}, {"flat": 0.051}],
    ids=["stains", "clean", "flat"],
)
def test_a_breach_of_any_limit_costs_more_than_any_look(module, make, breach):
    assert best(module, make(look=0.1, **breach), make(look=0.9)) == 1


def test_the_limits_themselves_are_no_breach(module, make):
    at_limits = make(look=0.1, stains=0.52, invented=[0.01, 0, 0, 0, 0, 0], flat=0.05)  # 5 of 6 are 83.3 %
    assert best(module, at_limits, make(look=0.9)) == 0


def test_flat_scenes_come_before_the_other_limits(module, make):
    assert best(module, make(flat=0.06), make(stains=5, invented=5)) == 1


def test_of_two_breaches_the_smaller_one_wins(module, make):
    assert best(module, make(stains=0.7, look=0.1), make(stains=0.6, look=0.9)) == 1
    assert best(module, make(flat=0.2, look=0.1), make(flat=0.1, look=0.9)) == 1


def test_photographs_may_have_the_stains_of_their_start_image(module, make):
    assert best(module, make(look=0.1, stains=1.06, group="photos"), make(look=0.9, stains=1.05, group="photos")) == 1
    clean = make(look=0.1, stains=1.0, invented=0.05, group="photos")
    assert best(module, clean, make(look=0.9, stains=1.0, group="photos")) == 0


def test_groups_count_alike_however_many_pairs_they_have(module, make):
    scores = make(look=0.6, count=2).scores | make(look=0.8, stains=1.0, group="photos", count=5).scores
    both = module.Trial(350, {}, scores, {"fog": 0.0})
    found = module.objective(both.tables, both.worst_flat_scene)
    assert (found.look, found.stains) == (0.7, 0.75)


def test_cross_validation_judges_a_choice_on_pairs_that_had_no_part_in_it(module, make):
    """Each of the first two is best on one pair and bad on the other, so what one pair chooses fails on the other."""
    trials = [make(look=look, count=2) for look in ([0.2, 0.9], [0.9, 0.2], [0.5, 0.5])]
    plain = module.best_trial(trials)
    validation = module.cross_validate(trials)
    breach, stains, look, clean, flat = validation.figures
    assert plain is trials[2] and look == 0.9
    assert (breach, stains, clean, flat) == (0, 0.5, 1, 0)
    assert sorted((trials.index(t), share) for t, share in validation.chosen) == [(0, 0.5), (1, 0.5)]


def test_cross_validation_of_a_choice_that_does_not_depend_on_the_pairs_is_its_plain_figures(module, make):
    random = np.random.default_rng(0)
    looks = random.uniform(0.4, 0.8, 9)
    trials = [make(look=looks + 0.3, count=9), make(look=looks, stains=random.uniform(0.3, 0.5, 9), flat=0.01, count=9)]
    validation = module.cross_validate(trials)
    expected = module.figures(trials[1].tables, trials[1].worst_flat_scene)
    assert validation.figures == pytest.approx(expected, abs=1e-6)  # it rounds to six decimals
    assert validation.chosen == [(trials[1], 1.0)]


def test_the_report_has_the_best_trials_the_defaults_and_the_cross_validation(module, make):
    trials = [make(look=0.9)] + [make(look=0.5 + n / 100, look_weight=20.0 + n) for n in range(12)]
    lines = module.report(trials, DEFAULTS).splitlines()
    rows = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    assert rows == [
        "| settings",
        *(f"| look_weight={20.0 + n}" for n in range(10)),
        "| defaults",
        "| **cross-validated choice**",
    ]
    assert lines[0] == "13 trials on 6 pairs and 2 flat scenes, the best first"
    assert lines[4] == "| look_weight=20.0 | 0.000 | 0.500 | 0.500 | 1.000 | 0.000 |"
    assert lines[-1] == "- 100% look_weight=20.0"


def test_trials_come_back_from_their_file(module, make, tmp_path):
    trials = [make(look=[0.1, 0.2], count=2), make(group="photos", steps=[60])]
    for trial in trials:
        module.append_trial(tmp_path / "trials.jsonl", trial)
    assert module.read_trials(tmp_path / "trials.jsonl") == trials


def test_trials_compare_only_on_one_basis(module, make):
    first = make(count=3)
    assert make(look=0.1, count=3, look_weight=16.0).basis(["look_weight"]) == first.basis(["look_weight"])
    for other in (make(count=4), make(count=3, group="photos"), make(count=3, steps=[60])):
        assert other.basis(["look_weight"]) != first.basis(["look_weight"])


@pytest.mark.parametrize(
    "change",
    [
        {"scores": {}},
        {"scores": {"others": {"1": {"stains": 1, "look": 1, "invented": 0}}}},
        {"scores": {"pairs": {"1": {"stains": 1, "look": 1}}}},
        {"scores": {"pairs": {"1": {"stains": "much", "look": 1, "invented": 0}}}},
        {"scores": {"pairs": {}}},
        {"flat_scenes": {}},
        {"settings": None},
    ],
    ids=str,
)
def test_a_line_that_is_no_trial_is_named(module, make, tmp_path, change):
    file = tmp_path / "trials.jsonl"
    module.append_trial(file, make())
    good = json.loads(file.read_text())
    file.write_text(f"{json.dumps(good)}\n{json.dumps(good | change)}\n")
    with pytest.raises(InputError, match=r"trials\.jsonl, line 2: is not a trial of this tool; remove the line"):
        module.read_trials(file)


@pytest.mark.parametrize("line", ["{", "[]", "null", '{"encoder": "embedded", "scores": {"1": [0.7, 0.8]}}'])
def test_other_lines_are_refused_too(module, tmp_path, line):
    (tmp_path / "trials.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match="line 1: is not a trial"):
        module.read_trials(tmp_path / "trials.jsonl")


def test_a_file_that_is_missing_is_named(module, tmp_path):
    with pytest.raises(FileError, match=r"trials\.jsonl: cannot be read"):
        module.read_trials(tmp_path / "trials.jsonl")
