"""The look loss: the distance of colours by its definition, region by region, and where it is zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rendered_photos import day, dusk
from torch import Tensor

from fastphoto.colour.spaces import lab_to_srgb, srgb_to_lab
from fastphoto.optimisation.style_losses import LookLoss, _random_directions


def everywhere(image: Tensor) -> Tensor:
    return torch.ones_like(image[:1])


def sorted_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean squared distance of the sorted values of two equally large samples (N, 3), over directions."""
    directions = _random_directions(3)[:24].double().numpy()
    return float(np.mean([(np.sort(ours @ v) - np.sort(theirs @ v)) ** 2 for v in directions]))


def test_directions_cover_the_space_evenly():
    """Whole groups of three at right angles: the mean square of a vector's parts is a third of its own."""
    directions = _random_directions(3)[:24].double()
    torch.testing.assert_close(directions.T @ directions, 8 * torch.eye(3).double(), atol=1e-5, rtol=0)


def test_loss_by_definition():
    content, style, image = (photo.double() for photo in (day(40, 48).pixels, dusk(40, 48).pixels, day(40, 48).muted))
    halves = torch.zeros(2, 40, 48).double()
    halves[0, :14], halves[1, 14:] = 1, 1
    loss = LookLoss(style, halves, halves)
    lab, theirs = srgb_to_lab(image.numpy()), srgb_to_lab(style.numpy())
    expected = 0.0
    for rows, area in ((slice(0, 14), 14 / 40), (slice(14, 40), 26 / 40)):
        samples = (planes[:, rows].reshape(3, -1).T for planes in (lab, theirs))
        expected += area * sorted_distance(*samples) / 100
    assert float(loss(srgb_to_lab(image))) == pytest.approx(expected, rel=1e-6)
    assert float(loss(srgb_to_lab(content))) != pytest.approx(expected, rel=0.01)


def test_samples_of_unequal_size_are_compared_by_quantiles():
    """The style twice as large, each pixel four times: the same distribution."""
    content, style = day(40, 48).pixels.double(), dusk(40, 48).pixels.double()
    large = style.repeat_interleave(2, 1).repeat_interleave(2, 2)
    small, same = (
        LookLoss(style, everywhere(content), everywhere(style)),
        LookLoss(large, everywhere(content), everywhere(large)),
    )
    ours, theirs = srgb_to_lab(content), srgb_to_lab(style)
    assert float(same(ours)) == pytest.approx(float(small(ours)), rel=0.02)
    assert float(same(theirs)) < 1e-3 * float(small(ours))


@pytest.mark.parametrize("size", [(30, 40), (90, 120)])
def test_a_shift_of_all_colours_has_a_third_of_its_square(size):
    """Also of a region from whose pixels a sample is taken."""
    lab = srgb_to_lab(day(*size).muted.double())
    for shift in ((6.0, 0.0, 0.0), (0.0, -5.0, 3.0), (2.0, 4.0, -6.0)):
        moved = lab_to_srgb(lab + torch.tensor(shift).double()[:, None, None])
        loss = LookLoss(moved, everywhere(moved), everywhere(moved))
        expected = sum(s * s for s in shift) / 300
        assert float(loss(lab)) == pytest.approx(expected, rel=1e-3)


def test_where_colours_are_does_not_count_within_a_region_but_between_regions():
    style = dusk(40, 48)
    mirrored, upside_down = style.pixels.flip(2), style.pixels.flip(1)
    masks = style.masks
    masks[0, 22:], masks[1, :22] = 0, 0  # borders as straight as a mirror needs
    masks[0, :22], masks[1, 22:] = 1, 1
    loss = LookLoss(style.pixels, masks, masks)
    # Quantiles of colours up to 100 round by 1e-5 in float32, which is squared.
    values = [float(loss(srgb_to_lab(image))) for image in (style.pixels, mirrored, upside_down)]
    assert values[0] < 1e-6 and values[1] < 1e-6 and values[2] > 0.5


def test_regions_count_by_their_area():
    photo, style = day(40, 50).pixels.double(), dusk(40, 50).pixels.double()
    narrow = torch.zeros(1, 40, 50).double()
    narrow[:, :, :10] = 1
    alone = LookLoss(style[:, :, :10].contiguous(), torch.ones(1, 40, 10).double(), torch.ones(1, 40, 10).double())
    part = LookLoss(style, narrow, narrow)
    lab = srgb_to_lab(photo)
    assert float(part(lab)) == pytest.approx(float(alone(lab[:, :, :10].contiguous())) / 5, rel=1e-6)
    changed = lab.clone()
    changed[:, :, 10:] = 50
    assert float(part(changed)) == pytest.approx(float(part(lab)), rel=1e-12), "pixels outside of all regions count"


def test_colours_that_move_to_the_styles_lower_it():
    content, style = day(40, 48).pixels, dusk(40, 48).pixels
    loss = LookLoss(style, everywhere(content), everywhere(style))
    values = [float(loss(srgb_to_lab(content.lerp(style, share)))) for share in (0.0, 0.3, 0.6, 0.9)]
    assert values == sorted(values, reverse=True) and values[-1] < 0.1 * values[0]


@pytest.mark.parametrize("empty", ["content", "style", "both"])
def test_a_region_without_pixels_is_left_out(empty):
    content, style = day(20, 24), dusk(20, 24)
    ours, theirs = content.masks, style.masks
    for masks in {"content": [ours], "style": [theirs], "both": [ours, theirs]}[empty]:
        masks[0] = 0
    loss = LookLoss(style.pixels, ours, theirs)
    image = content.pixels.requires_grad_()
    value = loss(srgb_to_lab(image))
    (gradient,) = torch.autograd.grad(value, image)
    assert float(value.detach()) > 0 and torch.isfinite(gradient).all()


def test_no_region_at_all_gives_zero():
    nowhere = torch.zeros(1, 20, 24)
    image = day(20, 24).pixels.requires_grad_()
    value = LookLoss(dusk(20, 24).pixels, nowhere, nowhere)(srgb_to_lab(image))
    value.backward()
    assert float(value.detach()) == 0


def test_derivative_by_finite_differences():
    """Where no two values are so near that a step changes their order."""
    content, style = (
        0.1 + 0.8 * torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(n)).double() for n in (1, 2)
    )
    loss = LookLoss(style, everywhere(content), everywhere(style))
    assert torch.autograd.gradcheck(loss, srgb_to_lab(content).requires_grad_(), eps=1e-6, atol=1e-4)
