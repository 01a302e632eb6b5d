"""tools/calibrate.py: the search repeats no trial, and the report cross-validates its choice."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest
from locations import ROOT
from PIL import Image
from rendered_photos import day, dusk

TOOL = ROOT / "tools" / "calibrate.py"
JUDGE = """
import numpy as np
from PIL import Image

def score(pair, result, side):
    mean = {name: np.asarray(Image.open(file), float).mean() for name, file in
            {"result": result, "content": pair / "content.png", "style": pair / "style.png"}.items()}
    return {"style": abs(mean["result"] - mean["style"]), "photorealism": abs(mean["result"] - mean["content"])}
"""


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("calibrate", TOOL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "calibrate", module)  # other processes import _score by this name
    monkeypatch.syspath_prepend(TOOL.parent)
    spec.loader.exec_module(module)
    return module


def call(tool, monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["calibrate", *map(str, arguments)])
    tool.main()


def test_search_judges_the_defaults_first_and_never_twice(tool, tmp_path, monkeypatch, capsys):
    for pair in (tmp_path / "pairs" / "2", tmp_path / "pairs" / "10"):
        pair.mkdir(parents=True)
        for file, photo in (("content", day()), ("style", dusk()), ("published", day())):
            pixels = (photo.pixels.permute(1, 2, 0) * 255).byte().numpy()
            Image.fromarray(pixels).save(pair / f"{file}.png")
            Image.fromarray((photo.region_map * 255).astype("uint8")).save(pair / f"{file}_mask.png")
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "evaluate.py").write_text(JUDGE)
    options = ["search", "--pairs", tmp_path / "pairs", "--judge", tmp_path / "judge", "--size", 48, "--trials", 3]
    options += ["--settings", '{"steps": [1, 0, 0]}', "--processes", 1, "-o", tmp_path / "trials.jsonl"]
    call(tool, monkeypatch, *options)
    trials = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    defaults = json.loads(json.dumps(tool._defaults()))
    assert trials[0]["settings"] == defaults | {"steps": [1, 0, 0]}
    assert 2 <= len(trials) <= 3 and len({json.dumps(t["settings"]) for t in trials}) == len(trials)
    for t in trials:
        assert list(t["scores"]) == ["2", "10"], "pairs are not in the order of their numbers"
        assert all(0 <= value < 255 for score in t["scores"].values() for value in score)
    assert trials[0]["scores"]["2"] == trials[0]["scores"]["10"]
    call(tool, monkeypatch, *options)
    assert len((tmp_path / "trials.jsonl").read_text().splitlines()) == len(trials)
    assert capsys.readouterr().out.count("/2  ") == len(trials)


def test_report_judges_a_choice_on_pairs_left_out_of_it(tool, tmp_path, monkeypatch, capsys):
    """A trial that is best by luck on one pair is best over all pairs, but not on the pairs left out."""
    defaults = json.loads(json.dumps(tool._defaults()))
    names = [str(n) for n in range(8)]
    scores = {0.0: [0.8, 0.9], 1.0: [0.5, 0.6], 2.0: [0.68, 0.5]}
    trials = [
        {"encoder": "embedded", "settings": defaults | ({"epsilon": e} if e else {}), "scores": dict.fromkeys(names, s)}
        for e, s in scores.items()
    ]
    trials[2]["scores"] |= {"3": [0.0, 0.0]}
    (tmp_path / "trials.jsonl").write_text("".join(json.dumps(t) + "\n" for t in trials))
    call(tool, monkeypatch, "report", tmp_path / "trials.jsonl")
    listed = capsys.readouterr().out.splitlines()
    assert listed[1].split() == ["0.5950", "0.680", "0.500", "8/8", '{"epsilon":', "2.0}"]
    assert listed[2].split() == ["0.6000", "0.500", "0.600", "8/8", '{"epsilon":', "1.0}"]
    assert listed[3].split() == ["0.9000", "0.800", "0.900", "8/8", "the", "defaults"]
    held_out = 0.75 * 0.68 + 0.25 * 0.6  # pair 3 takes part in the choice for three of four folds
    assert f"{held_out:.4f} on the fold left out" in listed[4]
    assert "current defaults 0.9000 there" in listed[5]
    assert [line.split()[0] for line in listed[6:]] == ["75%", "25%"]
