"""Comparison of measures that were computed twice."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from fastphoto.evaluation.measures import Measures
from fastphoto.evaluation.scores import Evaluation


def assert_same_measures(got: Measures, expected: Measures) -> None:
    """Compare up to rounding.

    Libraries split sums according to where arrays lie in memory, so that float64 sums differ by their rounding. L* is
    up to 100, which a distance of zero is compared with. Stains are roots of variances, whose sums of squares up to 1e4
    round by 1e-12: where the content explains all colour, that is 1e-6. Gram matrices are those of float32 activations.
    """
    tolerance = dict.fromkeys(asdict(expected), {"rel": 1e-12, "abs": 1e-10})
    tolerance |= {"stains": {"rel": 1e-12, "abs": 1e-6}, "gram": {"rel": 1e-6, "abs": 1e-6}}
    for name, value in asdict(expected).items():
        assert getattr(got, name) == pytest.approx(value, **tolerance[name]), f"{name} differs"


def assert_same_evaluation(got: Evaluation, expected: Evaluation) -> None:
    """Compare up to rounding; scores are means of ratios of measures, among them the Gram matrices' of float32."""
    assert_same_measures(got.measures, expected.measures)
    assert asdict(got.scores) == pytest.approx(asdict(expected.scores), rel=1e-6)
