"""Statistics of regions: moments, quantiles, interpolation, sampling of pixels, and blending."""

from __future__ import annotations

import pytest
import torch

from fastphoto.colour.statistics import blend_regions, interpolate, moments, quantiles, sample_pixels


def test_moments_under_a_soft_mask_are_those_of_repeated_pixels():
    photo = torch.rand(3, 6, 7, generator=torch.Generator().manual_seed(0))
    counts = torch.arange(42).reshape(6, 7) % 4
    repeated = photo.flatten(1).repeat_interleave(counts.flatten(), 1).double()
    mean, covariance = moments(photo, counts / 3)
    assert torch.allclose(mean, repeated.mean(1), atol=1e-12)
    assert torch.allclose(covariance, torch.cov(repeated, correction=0), atol=1e-12)


def test_weighted_quantiles_by_hand():
    values, weights = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 2.0])
    # The middles of the values' shares lie at 0.5, 2 and 3.5 of 4; the quantiles at 0.5, 1.5, 2.5 and 3.5.
    expected = torch.tensor([1.0, 1 + 1 / 1.5, 2 + 0.5 / 1.5, 3.0])
    assert torch.allclose(quantiles(values, weights, 4), expected)


def test_interpolation_by_hand():
    x, y = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([5.0, 7.0, 1.0])
    values = interpolate(torch.tensor([-1.0, 0.0, 0.25, 1.0, 2.0, 9.0]), x, y)
    assert torch.allclose(values, torch.tensor([5.0, 5.0, 5.5, 7.0, 4.0, 1.0]))


@pytest.mark.parametrize("count", [1, 16384])
def test_few_pixels_are_all_in_the_sample(count):
    assert torch.equal(sample_pixels(torch.arange(count) + 7), torch.arange(count) + 7)


@pytest.mark.parametrize("count", [16385, 100_000])
def test_sampled_pixels_are_spread_evenly(count):
    sample = sample_pixels(torch.arange(count) + 7)
    assert len(sample) == 16384
    assert sample.min() >= 7 and sample.max() < count + 7
    tenths = torch.bincount((sample - 7) * 10 // count, minlength=10)
    assert tenths.max() - tenths.min() <= 3


def test_sampled_pixels_have_no_fixed_step():
    steps = sample_pixels(torch.arange(160_000)).diff()
    assert steps.max() > 2 * steps.min(), "the step is fixed, and could fall in step with rows"


def test_blended_regions_by_hand():
    """Four pixels: in no region, half in one, half in each of two, and wholly in both."""
    content, masks = torch.full((3, 1, 4), 0.5), torch.tensor([[[0.0, 0.5, 0.5, 1.0]], [[0.0, 0.0, 0.5, 1.0]]])
    images = torch.full((3, 1, 4), 0.1), torch.full((3, 1, 4), 0.9)
    blended = blend_regions(content, masks, zip(images, masks, strict=True))
    assert torch.allclose(blended, torch.tensor([0.5, 0.3, 0.5, 0.5]).expand(3, 1, 4))


def test_blended_regions_are_clamped():
    content, masks = torch.full((3, 1, 2), 0.5), torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    high = torch.full((3, 1, 2), 7.0)
    blended = blend_regions(content, masks, zip((high, -high), masks, strict=True))
    assert torch.equal(blended, torch.tensor([1.0, 0.0]).expand(3, 1, 2))
