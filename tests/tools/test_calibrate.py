"""tools/calibrate.py: candidates, scores of tiny pairs, photographs and flat scenes, and a search that goes on."""

from __future__ import annotations

import doctest
import importlib
import itertools
import json

import pytest
from locations import ROOT
from tool_command import refusal, run_tool

import fastphoto
from fastphoto.optimisation.presets import preset_settings

SIZE = 48  # so that no photo of these tests is shrunk


@pytest.fixture
def tool(training_photos, monkeypatch):
    """The tool, with the three photos of `photos` as the listed photographs."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what the tool sets is undone after the test
    return importlib.import_module("calibrate")


def test_doctests(tool):
    result = doctest.testmod(tool)
    assert result.attempted > 0 and result.failed == 0


def test_candidates_are_the_defaults_and_then_differ_in_one_to_three_settings(tool):
    first, *others = itertools.islice(tool.candidates(0, {}), 200)
    assert first == {}
    assert {len(changes) for changes in others} == {1, 2, 3}
    assert {name for changes in others for name in changes} == set(tool.SPACE)
    defaults = preset_settings("fast")
    for changes in others:
        for name, value in changes.items():
            assert value in tool.SPACE[name] and value != getattr(defaults, name)
    assert all(changes not in others[:place] for place, changes in enumerate(others)), "a candidate came twice"


def test_candidates_follow_the_seed(tool):
    def drawn(seed: int) -> list[dict]:
        return list(itertools.islice(tool.candidates(seed, {}), 10))

    assert drawn(3) == drawn(3) != drawn(4)


def test_given_settings_are_not_searched_and_a_small_space_ends(tool):
    fixed = {name: values[0] for name, values in tool.SPACE.items() if name != "steps"} | {"learning_rate": 0.1}
    found = list(tool.candidates(0, fixed))
    assert found[0] == fixed
    others = [value for value in tool.SPACE["steps"] if value != preset_settings("fast").steps]
    assert sorted(changes["steps"] for changes in found[1:]) == sorted(others)
    assert all(changes == fixed | {"steps": changes["steps"]} for changes in found[1:])


def test_the_space_has_valid_settings_around_the_defaults(tool):
    for name, values in tool.SPACE.items():
        assert getattr(preset_settings("fast"), name) in values, f"{name} has no neighbours of its default"
        for value in values:
            preset_settings("fast", **{name: value})


def test_a_pair_has_the_scores_of_evaluate(tool, pairs):
    """Relative to the published result."""
    folder = pairs / "2"
    masks = {"content_mask": folder / "content_mask.png", "style_mask": folder / "style_mask.png"}
    photos = folder / "content.png", folder / "style.png"
    subject = tool.Subject("pairs", "2", *photos)
    score = tool._score(tool.Job(subject, {"steps": (2,), "look_weight": 16.0}, SIZE))
    pixels = fastphoto.read_photo(photos[0]).pixels, fastphoto.read_photo(photos[1]).pixels
    result = fastphoto.transfer(*pixels, **masks, size=SIZE, steps=2, look_weight=16.0, device="cpu")
    evaluations = fastphoto.evaluate(
        *photos,
        {"ours": result, "published": folder / "published.png"},
        **masks,
        reference=folder / "published.png",
        size=SIZE,
    )
    ours, published = evaluations["ours"], evaluations["published"]
    assert score.stains == pytest.approx(ours.scores.stains, abs=1e-4)  # scores have four decimals
    assert score.look == pytest.approx(ours.scores.look, abs=1e-4)
    assert score.invented == pytest.approx(ours.measures.invented - published.measures.invented, abs=1e-4)


def test_photographs_are_compared_with_a_start_image_that_no_trial_changes(tool, photos):
    subject = tool.Subject("photos", "0", photos[0], photos[1])
    unchanged = tool._score(tool.Job(subject, tool.START, SIZE))
    assert (unchanged.stains, unchanged.look, unchanged.invented) == (1, 1, 0)
    timid = tool._score(tool.Job(subject, {"steps": 0, "colour_gain": 1.0, "curve_slope": 1.0}, SIZE))
    assert timid.look > 1, "the reference changed with the trial"


def test_flat_scenes_see_what_a_result_invents_beyond_its_start_image(tool):
    scene = tool.Subject("flat_scenes", "fog")
    assert tool._score(tool.Job(scene, {"steps": 0}, SIZE)) == 0
    painted = {"unknowns": "pixels", "solver": "lbfgs", "steps": 5, "stains_weight": 0.0, "invented_weight": 0.0}
    assert tool._score(tool.Job(scene, painted, SIZE)) > 0.05


def test_a_search_runs_the_defaults_first_and_goes_on_where_it_was(tool, pairs, photos, tmp_path, capsys):
    out = tmp_path / "trials.jsonl"
    words = ["--pairs", pairs, "--photos", photos[0].parents[1], "--photo-pairs", 2, "--set", "steps=0"]
    words += ["--set", "curve_slope=2", "--size", SIZE, "--processes", 1, "-o", out]
    run_tool(tool, *words, "--trials", 1)
    (first,) = map(json.loads, out.read_text().splitlines())
    assert first["settings"] == tool._settings({"steps": (0,), "curve_slope": 2.0})
    assert {group: len(scores) for group, scores in first["scores"].items()} == {"pairs": 2, "photos": 2}
    assert list(first["scores"]["pairs"]) == ["2", "10"], "pairs are not in the order of their numbers"
    assert len(first["flat_scenes"]) >= 8 and set(first["flat_scenes"].values()) == {0.0}
    assert "| steps=0 |" not in capsys.readouterr().out, "the second setting is missing"
    run_tool(tool, *words, "--trials", 2)
    assert capsys.readouterr().out.count("\n| curve_slope=2.0 steps=0 |") == 1, "the first trial ran again"
    lines = out.read_text().splitlines()
    assert len(lines) == 2 and json.loads(lines[0]) == first
    changed = json.loads(lines[1])["settings"]
    assert 1 <= sum(changed[name] != first["settings"][name] for name in changed) <= 3
    assert all(changed[name] == first["settings"][name] for name in ("steps", "curve_slope"))


def test_trials_on_other_pairs_are_left_alone(tool, pairs, tmp_path, capsys):
    score, flat = {"stains": 0.4, "look": 0.6, "invented": 0.0}, dict.fromkeys(tool.flat_scenes(), 0.0)
    scores = {"pairs": {"2": score, "10": score, "11": score}}
    settings = tool._settings({"steps": 0})
    out = tmp_path / "trials.jsonl"
    other = json.dumps({"size": SIZE, "settings": settings, "scores": scores, "flat_scenes": flat}) + "\n"
    out.write_text(other)
    run_tool(tool, "-o", out)
    assert "1 trials on 3 pairs and" in capsys.readouterr().out
    run_tool(tool, "--pairs", pairs, "--set", "steps=0", "--size", SIZE, "--processes", 1, "--trials", 1, "-o", out)
    output = capsys.readouterr()
    assert "1 trials of other pairs, sizes or settings are left alone" in output.err
    assert "1 trials on 2 pairs and" in output.out
    assert out.read_text().startswith(other) and out.read_text().count("\n") == 2
    run_tool(tool, "-o", out)
    assert "1 trials on 2 pairs and" in capsys.readouterr().out, "the report is not on the latest pairs"


def test_refusals_of_one_line(tool, pairs, photos, tmp_path, capsys):
    out = tmp_path / "trials.jsonl"
    folder = photos[0].parents[1]
    assert "trials.jsonl: cannot be read" in refusal(tool, capsys, "-o", out)
    out.touch()
    assert "holds no trials; make some with --pairs DIR" in refusal(tool, capsys, "-o", out)
    assert "no such folder" in refusal(tool, capsys, "--pairs", tmp_path / "none", "-o", out)
    assert "its folder is missing" in refusal(tool, capsys, "--pairs", pairs, "-o", tmp_path / "none" / "t.jsonl")
    assert "--set look_weight: no value" in refusal(tool, capsys, "--pairs", pairs, "--set", "look_weight", "-o", out)
    asked = ["--photos", folder, "--photo-pairs", 4, "-o", out]
    assert "--photo-pairs 4: there are 3 photographs; give fewer" in refusal(tool, capsys, *asked)
    out.write_text("{}\n")
    assert "line 1: is not a trial of this tool" in refusal(tool, capsys, "--pairs", pairs, "-o", out)
    for file in (pairs / "10").iterdir():
        file.unlink()
    assert "one pair; cross-validation needs two or more" in refusal(tool, capsys, "--pairs", pairs, "-o", out)


@pytest.mark.skipif(not (ROOT / "tools" / "trials.jsonl").exists(), reason="no trials were made yet")
def test_the_kept_trials_can_be_reported(tool, capsys):
    run_tool(tool)
    assert "cross-validated choice" in capsys.readouterr().out
