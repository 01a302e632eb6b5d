"""The scores of a study's results beside the participants' answers: medians by method, and how often both agree."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from fastphoto.evaluation.scores import Scores
from fastphoto.reports.page import Page
from fastphoto.reports.page_tables import Cell, Column
from fastphoto.reports.study_answers import QUESTIONS, Answer, Question

ResultScores = Mapping[tuple[str, str], Mapping[str, float]]
"""Scores of results by pair and method, and then by name; lower is better."""


@dataclass(frozen=True)
class Agreement:
    """How often a score puts two results of one photo pair in the order of the participants' mean answers."""

    share: float  # 0.5: the score says nothing
    compared: int  # number of pairs of results


def agreement(answers: Sequence[Answer], scores: ResultScores, name: str, question: Question) -> Agreement | None:
    """Return how often the lower score has the higher mean answer, of two results of one photo pair.

    Results whose mean answers are equal are not compared; equal scores count half.

    Args:
        answers: all answers to the study.
        scores: scores of the results; results without the score are left out.
        name: name of the score, such as "stains".
        question: question that is compared, "photorealism" or "faithfulness".

    Returns:
        The share and the number of comparisons; None if there is none.

    Example:
        >>> answers = [Answer("p1", "lake", "reinhard", 4, 2), Answer("p1", "lake", "dpst", 1, 3)]
        >>> scores = {("lake", "reinhard"): {"stains": 0.4}, ("lake", "dpst"): {"stains": 1.1}}
        >>> agreement(answers, scores, "stains", "photorealism")
        Agreement(share=1.0, compared=1)
    """
    ratings: dict[tuple[str, str], list[int]] = {}  # by pair and method
    for answer in answers:
        result, rating = (answer.pair, answer.method), getattr(answer, question)
        if rating is not None and name in scores.get(result, {}):
            ratings.setdefault(result, []).append(rating)
    means = {result: statistics.mean(values) for result, values in ratings.items()}
    agreed: list[float] = []
    for one, other in itertools.combinations(means, 2):
        if one[0] == other[0] and means[one] != means[other]:
            difference = (scores[one][name] - scores[other][name]) * (means[one] - means[other])
            agreed.append(0.5 if difference == 0 else float(difference < 0))
    return Agreement(statistics.mean(agreed), len(agreed)) if agreed else None


def add_agreement(page: Page, answers: Sequence[Answer], titles: Mapping[str, str], scores: ResultScores) -> None:
    """Add a section with the scores of the answered results to a page; nothing if none of them has scores.

    `titles` has the titles of all methods, in the order of the rows.
    """
    rated = {(answer.pair, answer.method) for answer in answers}
    scored = {result: by_name for result, by_name in scores.items() if result in rated}
    names = [field.name for field in fields(Scores) if any(field.name in by_name for by_name in scored.values())]
    if not names:
        return
    page.section("Beside the scores", _EXPLAINED)
    medians: list[list[Cell]] = [
        [
            title,
            *(_median([by[name] for (_, of), by in scored.items() if of == method and name in by]) for name in names),
        ]
        for method, title in titles.items()
    ]
    columns: list[str | Column] = ["method", *(Column(name, "low", ".2f") for name in names)]
    page.table(columns, medians, caption="Median scores of the results that participants saw; lower is better")
    shares: list[list[Cell]] = []
    for name in names:
        found = [agreement(answers, scored, name, question) for question in QUESTIONS]
        shares.append([name, *(cell for one in found for cell in ((one.share, one.compared) if one else (None, 0)))])
    heads: list[str | Column] = ["score"]
    for question in QUESTIONS:
        heads += [Column(question, "high", ".2f"), "n"]
    page.table(heads, shares, caption="Share of pairs of results that a score puts in the participants' order")


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


_EXPLAINED = (
    "The scores are ratios to the median result of Deep Photo Style Transfer, as fastphoto compare wrote them. The "
    "second table says how far to trust each of them: in what share of n pairs of results of one photo pair the lower "
    "score had the higher mean answer. 0.50 says nothing; below 0.50 a lower score is a sign of the worse result."
)
