"""Mean answers of a user study: their confidence intervals, against all resamples that are possible."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastphoto.reports.study_answers import Answer
from fastphoto.reports.study_statistics import Score, score


def answers_of(ratings: dict[str, list[int]]) -> list[Answer]:
    """Answers with these ratings of photorealism by participant; those of faithfulness are 5 minus them."""
    return [Answer(p, str(n), "a", value, 5 - value) for p, values in ratings.items() for n, value in enumerate(values)]


def check_interval(result: Score, groups: list[list[int]]) -> None:
    """Check that the ends cut 2.5 % off each side of the mean's distribution over all equally likely resamples."""
    resamples = itertools.product(groups, repeat=len(groups))
    means = np.array([np.mean([value for group in resample for value in group]) for resample in resamples])
    for end, share in ((result.low, 0.025), (result.high, 0.975)):
        below, up_to = np.mean(means < end - 1e-9), np.mean(means <= end + 1e-9)
        assert below <= share + 0.005 and up_to >= share - 0.005, f"{end} cuts off {below} to {up_to}, not {share}"


RATINGS = {"p": [4, 4, 3, 4], "q": [1, 2], "r": [3, 3, 3], "s": [2, 4, 1], "t": [4]}


def test_mean_is_that_of_all_answers():
    result = score(answers_of(RATINGS), "photorealism")
    assert result.mean == pytest.approx(np.mean(sum(RATINGS.values(), [])))
    assert (result.answers, result.participants) == (13, 5)


def test_interval_is_that_of_all_resamples_of_participants():
    result = score(answers_of(RATINGS), "photorealism")
    assert result.resampled == "participants"
    assert 1 < result.low < result.mean < result.high < 4
    check_interval(result, list(RATINGS.values()))


def test_each_question_is_scored_by_itself():
    photorealism, faithfulness = (score(answers_of(RATINGS), q) for q in ("photorealism", "faithfulness"))
    mirrored = [5 - photorealism.mean, 5 - photorealism.high, 5 - photorealism.low]
    assert [faithfulness.mean, faithfulness.low, faithfulness.high] == pytest.approx(mirrored)


def test_answers_of_one_person_are_not_independent():
    """Two people who each always say the same leave the mean open between them, however often they say it."""
    result = score(answers_of({"p": [1] * 20, "q": [4] * 20}), "photorealism")
    assert (result.low, result.high) == (1, 4)


def test_answers_are_resampled_if_one_participant_gave_them_all():
    ratings = [1, 2, 4, 4, 2]
    result = score(answers_of({"p": ratings}), "photorealism")
    assert (result.answers, result.participants, result.resampled) == (5, 1, "answers")
    check_interval(result, [[value] for value in ratings])


def test_single_answer_has_no_interval():
    assert score(answers_of({"p": [3]}), "photorealism") == Score(3, None, None, 1, 1, "")


def test_equal_answers_have_an_interval_of_no_width():
    result = score(answers_of({"p": [3, 3], "q": [3]}), "photorealism")
    assert (result.mean, result.low, result.high) == (3, 3, 3)


def test_answers_without_a_rating_do_not_count():
    unrated, rated = Answer("p", "a", "b", None, 2), Answer("p", "c", "b", 4, 2)
    assert score([unrated], "photorealism") is None
    assert score([unrated, rated], "photorealism").answers == 1
