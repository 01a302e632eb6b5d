"""The style losses: every statistic against its definition in loops of float64, and what each can tell apart."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from fastphoto.optimisation import style_losses
from fastphoto.optimisation.style_losses import Statistic, style_loss

STATISTICS = get_args(Statistic)
NORMALISATIONS = ("relative", "published", "gatys")


def activations(*size: int, seed: int = 0) -> Tensor:
    """As after a ReLU, of correlated channels."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(size, generator=generator, dtype=torch.float64)
    return (noise + 0.5 * noise.roll(1, 0) + 0.4).relu()


def soft_masks(height: int, width: int, seed: int = 0) -> Tensor:
    """(3, h, w) that sum to about 1, most pixels of one region but none of one alone, some of none by half."""
    masks = torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    fading = torch.linspace(0.5, 1, width, dtype=torch.float64)
    return (2 * masks).softmax(0) * fading


def halves(height: int, width: int) -> Tensor:
    """(2, h, w): left and right."""
    left = (torch.arange(width) < width // 2).double().expand(height, width)
    return torch.stack([left, 1 - left])


# ---- definitions -------------------------------------------------------------------------------------------


def belongs(masks: Tensor, r: int, y: int, x: int) -> bool:
    return float(masks[r, y, x]) > 0 and float(masks[r, y, x]) >= float(masks[:, y, x].sum()) / 2


def gram(features: Tensor, mask: Tensor, per_mask: bool) -> list[float]:
    """The Gram matrix of the masked activations over the sum of the mask, or of its square."""
    channels, height, width = features.shape
    over = float(mask.sum() if per_mask else mask.square().sum())
    found = []
    for i in range(channels):
        for j in range(channels):
            total = 0.0
            for y in range(height):
                for x in range(width):
                    total += float(mask[y, x]) ** 2 * float(features[i, y, x]) * float(features[j, y, x])
            found.append(total / over)
    return found


def moments(features: Tensor, mask: Tensor) -> list[float]:
    """The mean and the standard deviation of every channel, one after the other."""
    found = []
    for plane in features:
        pairs = list(zip(plane.flatten().tolist(), mask.flatten().tolist(), strict=True))
        share = sum(m for _, m in pairs)
        mean = sum(m * v for v, m in pairs) / share
        found += [mean, math.sqrt(sum(m * (v - mean) ** 2 for v, m in pairs) / share)]
    return found


def quantiles(features: Tensor, masks: Tensor, r: int, directions: Tensor, count: int) -> list[list[float]]:
    """`count` values along each direction: those of the region in order, linear between the middles of their ranks."""
    channels, height, width = features.shape
    members = [(y, x) for y in range(height) for x in range(width) if belongs(masks, r, y, x)]
    found = []
    for direction in directions.tolist():
        values = sorted(sum(direction[c] * float(features[c, y, x]) for c in range(channels)) for y, x in members)
        row = []
        for i in range(count):
            position = min(max((i + 0.5) / count * len(values) - 0.5, 0), len(values) - 1)
            low = int(position)
            high = min(low + 1, len(values) - 1)
            row.append(values[low] + (position - low) * (values[high] - values[low]))
        found.append(row)
    return found


def patches(features: Tensor, masks: Tensor, r: int) -> list[list[float]]:
    _, height, width = features.shape
    middles = [(y, x) for y in range(1, height - 1) for x in range(1, width - 1) if belongs(masks, r, y, x)]
    return [features[:, y - 1 : y + 2, x - 1 : x + 2].flatten().tolist() for y, x in middles]


def most_similar(patch: list[float], candidates: list[list[float]]) -> list[float]:
    def correlation(other: list[float]) -> float:
        product = sum(a * b for a, b in zip(patch, other, strict=True))
        return product / (math.hypot(*patch) * math.hypot(*other) + 1e-12)

    return max(candidates, key=correlation)


def mean_square(a: list[float], b: list[float] | None = None) -> float:
    b = [0.0] * len(a) if b is None else b
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)


def distance_and_size(
    statistic: str,
    normalisation: str,
    features: Tensor,
    masks: Tensor,
    style: Tensor,
    style_masks: Tensor,
    r: int,
    directions: Tensor,
) -> tuple[float, float]:
    """One region's loss before it is weighted by its area, and the size of the style's own statistic."""
    channels = len(features)
    if statistic == "gram":
        mine, theirs = (
            gram(f, m[r], normalisation == "published") for f, m in ((features, masks), (style, style_masks))
        )
        if normalisation == "published":  # also over the channels, as the published losses are
            mine, theirs = [v / channels for v in mine], [v / channels for v in theirs]
        divided = {"relative": 1, "published": channels**2, "gatys": 4 * channels**2}[normalisation]
        count = channels**2 / divided
        return mean_square(mine, theirs) * count, mean_square(theirs) * count
    if statistic == "moments":
        theirs = moments(style, style_masks[r])
        return mean_square(moments(features, masks[r]), theirs) * 2, mean_square(theirs) * 2
    if statistic == "patches":
        targets = patches(style, style_masks, r)
        mine = patches(features, masks, r)
        far = [mean_square(patch, most_similar(patch, targets)) for patch in mine]
        return sum(far) / len(far), sum(map(mean_square, targets)) / len(targets)
    if statistic == "histogram":
        directions = torch.eye(channels)
    height, width = features.shape[1:]
    count = sum(belongs(masks, r, y, x) for y in range(height) for x in range(width))
    mine, theirs = (quantiles(*photo, r, directions, count) for photo in ((features, masks), (style, style_masks)))
    flat = [v for row in theirs for v in row]
    return mean_square([v for row in mine for v in row], flat), mean_square(flat)


def definition(
    statistic: str, normalisation: str, features: Tensor, masks: Tensor, style: Tensor, style_masks: Tensor, regions
) -> float:
    directions = style_losses._random_directions(len(features)).double()
    total = 0.0
    for r in regions:
        photos = features, masks, style, style_masks
        distance, size = distance_and_size(statistic, normalisation, *photos, r, directions)
        total += float(masks[r].mean()) * distance / (size if normalisation == "relative" else 1)
    return total


# ---- against their definitions -----------------------------------------------------------------------------


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_losses_equal_their_definitions(statistic, normalisation):
    """Soft masks and a style of another size and aspect."""
    photos = activations(4, 7, 9), soft_masks(7, 9), 1.5 * activations(4, 8, 5, seed=1), soft_masks(8, 5, seed=1)
    features, masks, style, style_masks = photos
    loss = style_loss(style, masks, style_masks, statistic, normalisation)
    expected = definition(statistic, normalisation, *photos, range(3))
    assert float(loss(features)) == pytest.approx(expected, rel=1e-6)
    # Equal values, here of what a ReLU made zero, have no one order and so no derivative.
    apart = features + 1e-3 * torch.randn(features.shape, generator=torch.Generator().manual_seed(5)).double()
    assert torch.autograd.gradcheck(loss, apart.requires_grad_(), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("small_in", ["content", "style"])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_region_too_small_in_either_photo_counts_for_nothing(statistic, small_in):
    """Nor does it give its pixels to the regions beside it."""
    features, style = activations(4, 7, 9), activations(4, 8, 6, seed=1)
    masks, style_masks = soft_masks(7, 9), soft_masks(8, 6, seed=1)
    small = masks if small_in == "content" else style_masks
    small[1] *= 0.9 / small[1].sum()
    loss = style_loss(style, masks, style_masks, statistic, "relative")
    expected = definition(statistic, "relative", features, masks, style, style_masks, (0, 2))
    assert float(loss(features)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_without_a_region_the_loss_is_zero(statistic, normalisation):
    x = activations(4, 6, 6).requires_grad_()
    masks = torch.full((2, 6, 6), 0.01).double()
    loss = style_loss(activations(4, 6, 6, seed=1), masks, masks, statistic, normalisation)(x)
    (gradient,) = torch.autograd.grad(loss, x)
    assert float(loss.detach()) == 0 and float(gradient.abs().sum()) == 0


@pytest.mark.parametrize("size", [(2, 2), (1, 5), (2, 9)])
@pytest.mark.parametrize("small", ["content", "style"])
def test_layer_without_room_for_a_patch(size, small):
    sizes = (size, (6, 6)) if small == "content" else ((6, 6), size)
    masks, style_masks = (torch.ones(1, *s) for s in sizes)
    features, style = (activations(3, *s).float() for s in sizes)
    assert float(style_loss(style, masks, style_masks, "patches")(features)) == 0


@pytest.mark.parametrize("statistic", ["wasserstein", "histogram", "patches"])
def test_region_that_no_pixel_belongs_to_by_half_has_no_pixels_to_sort(statistic):
    faint = torch.full((6, 6), 0.2).double()
    masks = torch.stack([faint, 1 - faint])
    features, style = activations(3, 6, 6), activations(3, 6, 6, seed=1)
    loss = style_loss(style, masks, masks, statistic, "published")
    assert float(loss(features)) == pytest.approx(0.8 * float(alone(style, statistic)(features)))
    # Means need no pixels of one region only.
    assert float(style_loss(style, masks, masks, "moments")(features)) == pytest.approx(
        float(style_loss(style, masks[:1] * 5, masks[:1], "moments")(features))
    )


def alone(style: Tensor, statistic: str, normalisation: str = "published"):
    """The loss of a photo of one region, of the style's size."""
    whole = torch.ones_like(style[:1])
    return style_loss(style, whole, whole, statistic, normalisation)


# ---- properties --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statistic", STATISTICS)
def test_style_itself_is_at_distance_zero_and_all_else_is_not(statistic):
    style, masks = activations(5, 8, 7), halves(8, 7)
    loss = style_loss(style, masks, masks, statistic, "relative")
    x = style.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x), x)
    assert float(loss(style)) < 1e-15 and float(gradient.abs().max()) < 1e-9
    for seed in range(5):
        assert float(loss(style + 0.1 * activations(5, 8, 7, seed=seed + 3))) > 1e-4


@pytest.mark.parametrize("statistic", ["gram", "moments", "wasserstein", "histogram"])
def test_relative_loss_of_zero_activations_is_the_area(statistic):
    masks, style_masks = soft_masks(9, 7), soft_masks(6, 8, seed=1)
    for r in range(3):
        masks[r] *= (0.3, 0.6, 0.9)[r]
    loss = style_loss(3 * activations(5, 6, 8), masks, style_masks, statistic, "relative")
    assert float(loss(torch.zeros(5, 9, 7).double())) == pytest.approx(float(masks.mean((1, 2)).sum()), rel=1e-3)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_relative_loss_is_free_of_the_activations_scale(statistic):
    features, style, masks = activations(5, 8, 7), activations(5, 8, 7, seed=1), halves(8, 7)
    small = float(style_loss(style, masks, masks, statistic, "relative")(features))
    large = float(style_loss(1000 * style, masks, masks, statistic, "relative")(1000 * features))
    assert large == pytest.approx(small, rel=1e-5) and small > 0


@pytest.mark.parametrize("statistic", STATISTICS)
def test_regions_are_independent(statistic):
    features, style, masks = activations(4, 8, 9), activations(4, 6, 8, seed=1), halves(8, 9)
    style_masks = halves(6, 8)
    together = style_loss(style, masks, style_masks, statistic, "relative")
    parts = [style_loss(style, masks[r : r + 1], style_masks[r : r + 1], statistic, "relative") for r in (0, 1)]
    assert float(together(features)) == pytest.approx(sum(float(part(features)) for part in parts))
    # The left half's loss has no gradient in the right half; a patch reaches one pixel over the border.
    x = features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(parts[0](x), x)
    reach = 4 + (statistic == "patches")
    assert float(gradient[:, :, reach:].abs().max()) == 0 and float(gradient[:, :, :4].abs().max()) > 0
    # Nor does the left half look at the style's right one.
    changed = torch.cat([style[:, :, :reach], 9 * style[:, :, reach:]], 2)
    other = style_loss(changed, masks[:1], style_masks[:1], statistic, "relative")
    assert float(other(features)) == pytest.approx(float(parts[0](features)))


def test_each_statistic_tells_apart_what_it_measures():
    """Only patches notice pixels in another order; histograms and moments do not notice how channels go together."""
    style = activations(4, 10, 12)
    flat = style.flatten(1)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(2))
    shuffled = flat[:, order].view_as(style)
    each = torch.stack(
        [plane[torch.randperm(120, generator=torch.Generator().manual_seed(i))] for i, plane in enumerate(flat)]
    )
    apart = {s: [float(alone(style, s, "relative")(x)) for x in (shuffled, each.view_as(style))] for s in STATISTICS}
    for statistic in ("gram", "moments", "wasserstein", "histogram"):
        assert apart[statistic][0] < 1e-12
    assert apart["patches"][0] > 0.05
    assert apart["moments"][1] < 1e-12 and apart["histogram"][1] < 1e-12
    assert apart["gram"][1] > 1e-3 and apart["wasserstein"][1] > 1e-3
    # Two values instead of many, of the same mean and deviation: the histogram differs.
    two = torch.where(flat > flat.median(1, keepdim=True)[0], 1.0, -1.0).double()
    two = (two - two.mean(1, keepdim=True)) / two.std(1, keepdim=True, correction=0)
    two = (two * flat.std(1, keepdim=True, correction=0) + flat.mean(1, keepdim=True)).view_as(style)
    assert float(alone(style, "moments", "relative")(two)) < 1e-12
    assert float(alone(style, "histogram", "relative")(two)) > 1e-2


@pytest.mark.parametrize("statistic", ["wasserstein", "histogram"])
def test_a_shift_of_all_activations_costs_its_square(statistic):
    """Along directions of length 1 in which a shift of 1 in every channel has a mean square of 1."""
    style = activations(4, 9, 9)
    assert float(alone(style, statistic)(style + 0.3)) == pytest.approx(0.09, rel=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 16, 64, 100])
def test_directions_are_orthogonal_in_groups_and_always_the_same(channels):
    directions = style_losses._random_directions(channels)
    assert directions.shape == (max(64, channels), channels)
    assert torch.equal(directions, style_losses._random_directions(channels))
    for group in directions.split(channels):
        torch.testing.assert_close(group @ group.T, torch.eye(len(group)), atol=1e-5, rtol=0)
    if 1 < channels < 64:
        assert not torch.allclose(directions[:channels], directions[channels : 2 * channels][:channels], atol=0.1)


def test_deviations_survive_a_mean_far_above_them_in_float32():
    style = 1000 + activations(3, 20, 20, seed=1)
    features = 1000 + 2 * activations(3, 20, 20)
    exact = float(alone(style, "moments")(features))
    assert float(alone(style.float(), "moments")(features.float())) == pytest.approx(exact, rel=1e-2)


def test_a_constant_channel_has_a_gradient_that_is_finite():
    x = torch.ones(3, 6, 6).requires_grad_()
    (gradient,) = torch.autograd.grad(alone(activations(3, 6, 6).float(), "moments")(x), x)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


@pytest.mark.parametrize("statistic", [s for s in STATISTICS if s != "gram"])  # on a GPU only
def test_activations_of_half_precision_have_a_loss_of_float32(statistic):
    features, style = activations(4, 8, 8).bfloat16(), activations(4, 8, 8, seed=1).bfloat16()
    whole = torch.ones(1, 8, 8)
    loss = style_loss(style, whole, whole, statistic)(features)
    exact = style_loss(style.double(), whole.double(), whole.double(), statistic)(features.double())
    assert loss.dtype == torch.float32 and float(loss) == pytest.approx(float(exact), rel=1e-5)


def test_patches_compared_in_portions_find_the_same(monkeypatch):
    features, style = activations(4, 9, 8), activations(4, 9, 8, seed=1)
    whole = float(alone(style, "patches")(features))
    monkeypatch.setattr(style_losses, "_PATCHES_AT_ONCE", 100)
    assert float(alone(style, "patches")(features)) == pytest.approx(whole, rel=1e-12)


def test_most_similar_patch_is_found_anew_in_every_evaluation():
    """One loss, and images made of either of the style's two textures."""
    textures = [activations(4, 1, 1, seed=seed).expand(4, 6, 6) for seed in (0, 1)]
    style = torch.cat(textures, 2)
    loss = alone(style, "patches")
    for texture in textures:
        image = torch.cat([texture, texture], 2)
        assert float(loss(image)) < 1e-15 < 1e-2 < float((image - style).square().mean())
