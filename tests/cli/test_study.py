"""`fastphoto study`: from the folder of a comparison to the charts of answers."""

from __future__ import annotations

import csv
import json

import pytest
from command_line import error_line, run_here
from markup import Markup

METHODS = ["reinhard", "pitie-regions"]


@pytest.fixture
def comparison(pair, tmp_path):
    """Return the folder of a comparison of two methods."""
    folder = tmp_path / "day"
    assert run_here("compare", *pair, "-o", folder, "--methods", ",".join(METHODS), "--quiet") == 0
    return folder


def test_make(comparison, tmp_path, capsys):
    study = tmp_path / "study"
    assert run_here("study", "make", comparison, "-o", study, "--title", "Which?") == 0
    assert f"wrote {study / 'study.html'}" in capsys.readouterr().err
    assert "Which?" in (study / "study.html").read_text(encoding="utf-8")
    key = json.loads((study / "key.json").read_text())
    assert set(key["methods"].values()) == {"Reinhard", "Pitié, by region"}


def test_charts(comparison, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    study = tmp_path / "study"
    assert run_here("study", "make", comparison, "-o", study, "--quiet") == 0
    key = json.loads((study / "key.json").read_text())
    rated = [
        {"image": image, "photorealism": 1 + len(entry["method"]) % 4, "faithfulness": 2}
        for image, entry in key["images"].items()
    ]
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"study": key["study"], "participant": "p1", "answers": rated}))
    charts = tmp_path / "charts"
    assert run_here("study", "charts", study / "key.json", answers, "-o", charts) == 0
    assert f"wrote {charts / 'scores.html'}" in capsys.readouterr().err
    rows = list(csv.DictReader((charts / "scores.csv").open(encoding="utf-8")))
    assert {row["method"] for row in rows} == set(METHODS)
    page = Markup((charts / "scores.html").read_text(encoding="utf-8"))
    page.check()
    assert len(page.all("svg")) == 2


@pytest.mark.parametrize("name", ["study.html", "key.json"])
def test_make_writes_both_files_or_none(comparison, tmp_path, capsys, name):
    (tmp_path / "study" / name).mkdir(parents=True)
    assert run_here("study", "make", comparison, "-o", tmp_path / "study") == 2
    assert f"{name}: is a folder" in error_line(capsys.readouterr().err)
    assert [path.name for path in (tmp_path / "study").iterdir()] == [name]


def test_make_refuses_a_folder_without_a_comparison(tmp_path, capsys):
    assert run_here("study", "make", tmp_path, "-o", tmp_path / "study") == 2
    assert "comparison.json: no such file" in error_line(capsys.readouterr().err)
    assert not (tmp_path / "study").exists()


def test_charts_refuses_a_key_that_is_a_photo(photos, tmp_path, capsys):
    assert run_here("study", "charts", photos["content"], "a.json", "-o", tmp_path / "charts") == 2
    assert "not JSON" in error_line(capsys.readouterr().err) and not (tmp_path / "charts").exists()
