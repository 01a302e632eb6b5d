"""Scores beside the answers of a study: how often they agree, and what the page says of them."""

from __future__ import annotations

import pytest
from markup import Markup

from fastphoto.reports.page import Page
from fastphoto.reports.study_agreement import Agreement, add_agreement, agreement
from fastphoto.reports.study_answers import Answer

# Three methods on two photo pairs, and two participants. Means of photorealism: lake 4, 3, 1 and dune 1, 1, 2.
ANSWERS = [
    Answer("p", "lake", "a", 4, 1),
    Answer("q", "lake", "a", 4, None),
    Answer("p", "lake", "b", 4, 2),
    Answer("q", "lake", "b", 2, None),
    Answer("p", "lake", "c", 1, 3),
    Answer("p", "dune", "a", 1, None),
    Answer("p", "dune", "b", 1, None),
    Answer("q", "dune", "c", 2, None),
]
STAINS = {("lake", "a"): 0.2, ("lake", "b"): 0.4, ("lake", "c"): 0.3, ("dune", "a"): 0.9, ("dune", "b"): 0.5}
STAINS |= {("dune", "c"): 0.5}
SCORES = {result: {"stains": value, "style": -value} for result, value in STAINS.items()}
TITLES = {"a": "Method <a>", "b": "Method b", "c": "Method c"}


def test_agreement_counts_results_of_one_pair_whose_answers_differ():
    """Lake: a before b and a before c are right, b before c is wrong. Dune: c before a is right, c and b are equal."""
    assert agreement(ANSWERS, SCORES, "stains", "photorealism") == Agreement(pytest.approx(3.5 / 5), 5)
    assert agreement(ANSWERS, SCORES, "style", "photorealism") == Agreement(pytest.approx(1.5 / 5), 5)


def test_agreement_asks_one_question_at_a_time():
    """Only lake has answers, c before b before a: c before b is right, b and c before a are wrong."""
    assert agreement(ANSWERS, SCORES, "stains", "faithfulness") == Agreement(pytest.approx(1 / 3), 3)


def test_results_without_the_score_are_not_compared():
    partly = {result: by_name for result, by_name in SCORES.items() if result != ("lake", "c")}
    assert agreement(ANSWERS, partly, "stains", "photorealism") == Agreement(pytest.approx(2.5 / 3), 3)
    assert agreement(ANSWERS, SCORES, "look", "photorealism") is None


@pytest.fixture
def markup() -> Markup:
    page = Page("Study")
    add_agreement(page, ANSWERS, TITLES, SCORES)
    return Markup(page.html())


def test_page_has_the_medians_of_each_method_and_the_shares(markup):
    markup.check()
    assert [e.words for e in markup.all("th", scope="row")] == [*TITLES.values(), "stains", "style"]
    cells = [e.words.removesuffix(" (best)") for e in markup.all("td")]
    assert cells[:6] == ["0.55", "-0.55", "0.45", "-0.45", "0.40", "-0.40"]
    assert cells[6:] == ["0.70", "5", "0.33", "3", "0.30", "5", "0.67", "3"]


def test_only_results_that_participants_rated_count():
    page = Page("Study")
    add_agreement(page, [answer for answer in ANSWERS if answer.pair == "lake"], TITLES, SCORES)
    cells = [e.words.removesuffix(" (best)") for e in Markup(page.html()).all("td")]
    assert cells[0:6:2] == ["0.20", "0.40", "0.30"]


def test_page_without_scores_has_no_such_section():
    page = Page("Study")
    before = page.html()
    add_agreement(page, ANSWERS, TITLES, {})
    add_agreement(page, ANSWERS, TITLES, {("other", "a"): {"stains": 0.3}})
    assert page.html() == before
