"""The outcome of a user study: bars as long as the scores, a table of the numbers, and what the page says of them."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from markup import Markup

from fastphoto.errors import InputError
from fastphoto.reports.study_answers import Answer
from fastphoto.reports.study_scores import chart_answers
from fastphoto.reports.study_statistics import score


def answers_of(method: str, ratings: dict[str, list[int]]) -> list[Answer]:
    """Answers with these ratings of photorealism by participant; those of faithfulness are 5 minus them."""
    return [
        Answer(p, str(n), method, value, 5 - value) for p, values in ratings.items() for n, value in enumerate(values)
    ]


ANSWERS = [
    *answers_of("weak", {"p": [1, 2], "q": [1, 1], "r": [2, 1]}),
    *answers_of("strong", {"p": [4, 3], "q": [3, 3], "r": [4, 4]}),
    *answers_of("middle", {"p": [2, 3], "q": [3, 2], "r": [2, 2]}),
    Answer("p", "0", "unrated", None, 2),  # in photorealism
]
TITLES = {"weak": "Weak & <b>bold</b>", "strong": "Strong $x_1$"}
BY_PHOTOREALISM = ["strong", "middle", "weak", "unrated"]  # the order of the charts

RATED = [
    (method, question)
    for question in ("photorealism", "faithfulness")
    for method in BY_PHOTOREALISM
    if (method, question) != ("unrated", "photorealism")
]


def score_of(method: str, question: str):
    return score([answer for answer in ANSWERS if answer.method == method], question)


@pytest.fixture(scope="module")
def charts(tmp_path_factory) -> Path:
    """The folder of the page and the table, which tests only read."""
    pytest.importorskip("matplotlib")
    return chart_answers(ANSWERS, tmp_path_factory.mktemp("charts"), TITLES).parent


# ---- table -------------------------------------------------------------------------------------------------


def rows_of(charts: Path) -> dict[str, dict[str, str]]:
    with open(charts / "scores.csv", newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def test_table_is_sorted_by_photorealism_with_unrated_methods_last(charts):
    assert list(rows_of(charts)) == BY_PHOTOREALISM


@pytest.mark.parametrize("method, question", RATED)
def test_table_holds_the_unrounded_scores(charts, method, question):
    result, row = score_of(method, question), rows_of(charts)[method]
    for part in ("mean", "low", "high"):
        value = getattr(result, part)
        assert row[f"{question}_{part}"] == ("" if value is None else repr(value))
    assert int(row[f"{question}_answers"]) == result.answers
    assert row[f"{question}_resampled"] == result.resampled


def test_table_leaves_the_numbers_of_an_unanswered_question_empty(charts):
    row = rows_of(charts)["unrated"]
    assert row["photorealism_mean"] == row["photorealism_low"] == "" and row["photorealism_answers"] == "0"


# ---- charts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix, question", [("chart1", "photorealism"), ("chart2", "faithfulness")])
def test_bars_and_whiskers_are_as_long_as_the_scores(charts, prefix, question):
    markup = Markup((charts / "scores.html").read_text())
    paths = [e for e in markup.all("path") if f"#{prefix}-" in e.attributes.get("clip-path", "")]

    def horizontal(colour: str) -> list[np.ndarray]:
        """The x coordinates of each path of a colour."""
        drawn = [e.attributes["d"] for e in paths if colour in e.attributes.get("style", "")]
        return [np.array(re.findall(r"[\d.]+", d), float).reshape(-1, 2)[:, 0] for d in drawn]

    grid = [x[0] for x in horizontal("var(--line)")]
    assert len(grid) == 4 and np.allclose(np.diff(grid), grid[1] - grid[0], rtol=1e-3), "the grid is not at 1, 2, 3, 4"

    def value(x: float) -> float:
        return 1 + 3 * (x - grid[0]) / (grid[3] - grid[0])

    scores = [score_of(method, rated) for method, rated in RATED if rated == question]
    bars, whiskers = horizontal("var(--accent)"), horizontal("currentColor")
    assert [value(x.max()) for x in bars] == pytest.approx([result.mean for result in scores], abs=0.01)
    assert [value(x.min()) for x in bars] == pytest.approx([1] * len(scores), abs=0.01)
    ends = [end for result in scores if result.low is not None for end in (result.low, result.high)]
    assert [value(x) for w in whiskers for x in (w.min(), w.max())] == pytest.approx(ends, abs=0.01)


def test_charts_show_titles_numbers_of_answers_and_means(charts):
    markup = Markup((charts / "scores.html").read_text())
    lines = {element.words for element in markup.all("text") + markup.all("tspan")}
    assert {"Strong $x_1$", "Weak & <b>bold</b>", "middle", "n = 6", "2.67"} <= lines


def test_charts_have_the_colours_of_the_theme_only(charts):
    page = (charts / "scores.html").read_text()
    assert "#010203" not in page and "#000000" not in page


# ---- page --------------------------------------------------------------------------------------------------


def test_page_of_scores_is_balanced_accessible_and_loads_nothing(charts):
    markup = Markup((charts / "scores.html").read_text())
    markup.check()
    titles = [element.words for element in markup.all("th", scope="row")]
    assert titles == ["Strong $x_1$", "middle", "Weak & <b>bold</b>", "unrated"]


def test_page_says_who_answered_and_how_intervals_were_computed(charts):
    page = (charts / "scores.html").read_text()
    assert "3 participants, 2 photo pairs" in page
    assert "Participants were drawn" in page and "no interval" in page


def test_page_says_if_one_participant_gave_all_answers(tmp_path):
    pytest.importorskip("matplotlib")
    page = chart_answers([answer for answer in ANSWERS if answer.participant == "p"], tmp_path).read_text()
    assert "nothing about other people" in page and "1 participant," in page
    assert "Participants were drawn" not in page


def test_same_answers_give_the_same_bytes(charts, tmp_path):
    again = chart_answers(ANSWERS, tmp_path / "again", TITLES).parent
    for name in ("scores.html", "scores.csv"):
        assert (charts / name).read_bytes() == (again / name).read_bytes()


# ---- what is missing ---------------------------------------------------------------------------------------


def test_charts_need_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # Python's own mark of a module that cannot be imported
    with pytest.raises(InputError, match=r"matplotlib: pip install fastphoto\[study\]"):
        chart_answers(ANSWERS, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("answers", [[], [Answer("p", "a", "b", None, None)]], ids=["no answer", "no rating"])
def test_charts_need_answers(tmp_path, answers):
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match="answers: none given"):
        chart_answers(answers, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
