"""Mean answers of a user study, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fastphoto.reports.study_answers import Answer, Question

CONFIDENCE = 0.95
RESAMPLES = 9999


@dataclass(frozen=True)
class Score:
    """The mean answer to one question about one method."""

    mean: float
    low: float | None
    """Lower end of the 95 % confidence interval; None: a single answer, which has no interval."""
    high: float | None
    """Upper end of the 95 % confidence interval, or None."""
    answers: int
    participants: int
    resampled: Literal["participants", "answers", ""]
    """Unit that the bootstrap drew: participants; answers if one participant gave them all; nothing for one answer."""


def score(answers: Iterable[Answer], question: Question) -> Score | None:
    """Return the mean of the answers to one question, with its 95 % confidence interval; None without an answer.

    The interval is a percentile bootstrap (Efron 1979) of 9999 resamples with a fixed seed. It draws participants with
    replacement, each with all of their answers, because answers of one person are not independent; the mean is that of
    all drawn answers. If a single participant gave all answers, answers are drawn instead, and the interval then says
    nothing about other people.

    Args:
        answers: all answers about one method.
        question: question to score, "photorealism" or "faithfulness".

    Example:
        >>> answers = [Answer("p1", "lake", "reinhard", 3, 2), Answer("p2", "lake", "reinhard", 4, None)]
        >>> score(answers, "faithfulness")
        Score(mean=2.0, low=None, high=None, answers=1, participants=1, resampled='')
    """
    ratings: dict[str, list[int]] = {}  # by participant
    for answer in answers:
        value = getattr(answer, question)
        if value is not None:
            ratings.setdefault(answer.participant, []).append(value)
    if not ratings:
        return None
    groups = [[value] for values in ratings.values() for value in values] if len(ratings) == 1 else ratings.values()
    sums = np.array([float(sum(group)) for group in groups])
    counts = np.array([float(len(group)) for group in groups])
    mean, number = float(sums.sum() / counts.sum()), int(counts.sum())
    if len(sums) == 1:
        return Score(mean, None, None, number, len(ratings), "")
    low, high = _bootstrap_interval(sums, counts)
    return Score(mean, low, high, number, len(ratings), "answers" if len(ratings) == 1 else "participants")


def _bootstrap_interval(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Return the confidence interval of a mean from the sum and the number of ratings of each group that is drawn."""
    from scipy.stats import bootstrap  # imported here because it takes a second to load

    interval = bootstrap(
        (sums, counts),
        lambda sums, counts, axis=-1: sums.sum(axis) / counts.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)
