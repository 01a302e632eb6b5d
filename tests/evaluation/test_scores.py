"""Scores: ratios of measures to those of a reference, and the medians of the published results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fastphoto.encoders.encoder import EMBEDDED
from fastphoto.encoders.weights import read_weights
from fastphoto.errors import InputError
from fastphoto.evaluation.measures import Measures
from fastphoto.evaluation.scores import PUBLISHED, PUBLISHED_GRAM, Scores, published, score_measures

REFERENCE = Measures(stains=2.8, look=4, invented=0, affine=2, edge=0.6, ssim=0.5, contrast=0.5, gram=0.2)


def test_scores_are_ratios_and_means_of_ratios():
    worse = Measures(stains=4.3, look=8, invented=1, affine=3, edge=0.9, ssim=0.1, contrast=0.2, gram=0.1)
    got = score_measures(worse, REFERENCE)
    assert got.stains == pytest.approx(4.5 / 3)
    assert got.look == pytest.approx(2)
    assert got.photorealism == pytest.approx((1.5 + 0.25) / 2)
    assert got.style == pytest.approx((0.5 + 2 + 0.4) / 3)


def test_a_reference_scores_one():
    assert score_measures(REFERENCE, REFERENCE) == Scores(stains=1, look=1, photorealism=1, style=1)


def test_a_reference_without_stains_has_a_ratio():
    clean = replace(REFERENCE, stains=0.0)
    assert score_measures(clean, clean).stains == 1
    assert score_measures(replace(clean, stains=0.1), clean).stains == pytest.approx(1.5)


def test_the_published_medians_are_the_default_reference():
    worse = replace(PUBLISHED, gram=0.5, affine=3.0)
    assert score_measures(worse) == score_measures(worse, PUBLISHED)


@pytest.mark.parametrize("change", [{"look": 0.0}, {"gram": 0.0}, {"edge": 1.0}], ids=["look", "gram", "edge"])
def test_a_reference_without_distance_is_refused(change):
    with pytest.raises(InputError, match=f"reference: its {next(iter(change))}"):
        score_measures(PUBLISHED, replace(PUBLISHED, **change))


@pytest.mark.parametrize("encoder", PUBLISHED_GRAM)
def test_published_medians_have_the_gram_of_the_encoder(encoder):
    assert published(encoder) == replace(PUBLISHED, gram=PUBLISHED_GRAM[encoder])


def test_an_encoder_that_published_results_were_not_measured_with_is_refused():
    with pytest.raises(InputError, match="encoder 'vgg19'.*embedded and vgg19-16x"):
        published("vgg19")


def test_published_medians_are_those_of_the_embedded_encoder_in_the_package():
    digits = "7c3d24892d9acd61389d69e24eabec68f78560c7a5bafa7b9eed273f0ead6bf7"
    assert read_weights(EMBEDDED).sha256 == digits, "another encoder: measure PUBLISHED_GRAM anew"
