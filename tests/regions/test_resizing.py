"""Masks at other sizes, against slow definitions: shrunk, along an encoder, without what alpha hides, and enlarged."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.regions.masks import masks_of_map
from fastphoto.regions.resizing import (
    enlarge_masks,
    fit_masks,
    layer_masks,
    masks_by_layer,
    resize_masks,
    visible_masks,
)


def random_masks(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """(count, height, width), 0 or 1: each pixel belongs to one region."""
    numbers = torch.randint(0, count, (height, width), generator=torch.Generator().manual_seed(seed))
    return masks_of_map(numbers, count)


# Area averaging


def slow_shrink(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Area averaging by its definition, one overlap at a time."""
    height, width = mask.shape
    result = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y0, y1 = i * height / size[0], (i + 1) * height / size[0]
            x0, x1 = j * width / size[1], (j + 1) * width / size[1]
            for y in range(math.floor(y0), min(height, math.ceil(y1))):
                for x in range(math.floor(x0), min(width, math.ceil(x1))):
                    area = (min(y + 1, y1) - max(y, y0)) * (min(x + 1, x1) - max(x, x0))
                    result[i, j] += mask[y, x] * area / ((y1 - y0) * (x1 - x0))
    return result


@settings(max_examples=40, deadline=None)
@given(*[st.integers(1, 23)] * 4, st.integers(0, 1000))
def test_resize_masks_is_area_averaging(height, width, h, w, seed):
    masks = torch.rand(2, height, width, generator=torch.Generator().manual_seed(seed))
    result = resize_masks(masks, (h, w))
    for r in range(2):
        np.testing.assert_allclose(result[r], slow_shrink(masks[r].numpy().astype(float), (h, w)), atol=2e-6)


@pytest.mark.parametrize("size", [(233, 350), (59, 88), (466, 700), (1, 1), (467, 701)], ids=str)
def test_resize_masks_keeps_the_sum_of_the_masks(size):
    masks = random_masks(5, 466, 700)
    small = resize_masks(masks, size)
    assert (small.sum(0) - 1).abs().max() < 1e-5
    torch.testing.assert_close(small.mean((1, 2)), masks.mean((1, 2)), atol=1e-5, rtol=0)
    assert small.min() >= 0 and small.max() <= 1 + 1e-6


def test_resizing_masks_to_nothing_is_refused():
    with pytest.raises(InputError, match="at least 1x1"):
        resize_masks(random_masks(2, 40, 48), (0, 4))


# To a photo's size


def test_fit_masks_takes_the_nearest_pixel_of_a_region_map():
    numbers = np.array([[0, 1, -1], [2, 0, 1]], np.int16)
    masks = fit_masks(numbers, 3, (4, 6), (4, 6))
    expected = masks_of_map(torch.from_numpy(numbers).repeat_interleave(2, 0).repeat_interleave(2, 1), 3)
    assert torch.equal(masks, expected)
    assert torch.equal(fit_masks(numbers, 3, (4, 6), (2, 3)), masks_of_map(torch.from_numpy(numbers), 3))


def test_fit_masks_interpolates_soft_masks():
    ramp = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (1, 30, 1))
    masks = fit_masks(ramp, 1, (15, 20), (15, 20))
    np.testing.assert_allclose(masks[0, 5, 2:-2], np.linspace(0, 1, 20)[2:-2], atol=0.03)


# Alpha


def test_visible_masks_are_masks_times_alpha():
    masks, alpha = random_masks(2, 12, 16), torch.rand(12, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(visible_masks(masks, None), masks)
    assert torch.equal(visible_masks(masks, alpha), masks * alpha)
    small = resize_masks(masks, (6, 8))
    torch.testing.assert_close(visible_masks(small, alpha), small * resize_masks(alpha[None], (6, 8)))


def test_a_region_that_alpha_hides_keeps_its_pixels():
    masks = random_masks(2, 12, 16)
    visible = visible_masks(masks, 1 - masks[1])
    assert torch.equal(visible, masks)
    enlarged = enlarge_masks(masks, (24, 32), 1 - enlarge_masks(masks, (24, 32), None)[1])
    assert torch.equal(enlarged, enlarge_masks(masks, (24, 32), None))


# Back to a photo's own size


def test_enlarged_masks_are_hard_and_keep_large_regions():
    numbers = torch.zeros(10, 12, dtype=torch.int64)
    numbers[:, 6:] = 1
    enlarged = enlarge_masks(masks_of_map(numbers, 2), (40, 48), None)
    assert torch.equal(enlarged, masks_of_map(numbers.repeat_interleave(4, 0).repeat_interleave(4, 1), 2))


def test_enlarged_masks_leave_out_what_alpha_hides():
    masks, alpha = torch.ones(1, 10, 12), torch.ones(40, 48)
    alpha[:, :20] = 0
    alpha[:, 20:24] = 0.5
    enlarged = enlarge_masks(visible_masks(masks, alpha), (40, 48), alpha)
    assert torch.equal(enlarged[0], (alpha >= 0.5).float())


# Along an encoder


def slow_mean(mask: np.ndarray) -> np.ndarray:
    """The mean of 3x3 pixels, zeros around the mask."""
    padded = np.pad(mask, 1)
    result = np.zeros(mask.shape)
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            result[i, j] = padded[i : i + 3, j : j + 3].sum() / 9
    return result


def pooled(size: tuple[int, int], times: int, up: bool) -> tuple[int, int]:
    for _ in range(times):
        size = ((size[0] + up) // 2, (size[1] + up) // 2)
    return size


def slow_layer_masks(masks: Tensor, up: bool) -> dict[str, np.ndarray]:
    values, layers = masks.double().numpy(), {}
    for block, count in enumerate((2, 2, 4, 4, 4), 1):
        if block > 1:
            size = pooled((masks.shape[1], masks.shape[2]), block - 1, up)
            values = np.stack([slow_shrink(mask, size) for mask in values])
        for number in range(1, count + 1):
            values = np.stack([slow_mean(mask) for mask in values])
            layers[f"relu{block}_{number}"] = values
    return layers


@pytest.mark.parametrize("up", [True, False], ids=["poolings round up", "poolings round down"])
def test_layer_masks_follow_the_network_layer_by_layer(up):
    masks = torch.rand(2, 37, 53, generator=torch.Generator().manual_seed(0))
    expected = slow_layer_masks(masks, up)
    sizes = {layer: values.shape[1:] for layer, values in expected.items()}
    result = layer_masks(masks, list(expected), sizes)
    assert list(result) == list(expected)
    for layer, values in expected.items():
        np.testing.assert_allclose(result[layer], values, atol=1e-5, err_msg=layer)
    paper = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    alone = layer_masks(masks, paper, {"relu5_1": sizes["relu5_1"]})  # the last size alone tells the rounding
    before_relu = layer_masks(masks, ["conv4_2"], sizes)["conv4_2"]
    assert list(alone) == paper
    for one, other in [(before_relu, "relu4_2"), *((alone[layer], layer) for layer in paper)]:
        torch.testing.assert_close(one, result[other], atol=1e-5, rtol=0)  # means of values in [0, 1]


def test_layer_masks_round_up_where_no_size_tells():
    assert layer_masks(torch.ones(1, 37, 53), ["relu3_1"], {})["relu3_1"].shape == (1, 10, 14)


@pytest.mark.parametrize(("layer", "reach"), [("relu1_1", 1), ("relu2_1", 3), ("relu3_1", 4)])
def test_layer_masks_sum_to_one_inside_and_fade_at_the_border(layer, reach):
    total = layer_masks(random_masks(4, 65, 91, seed=1), [layer], {})[layer].sum(0)
    assert (total[reach:-reach, reach:-reach] - 1).abs().max() < 1e-5
    assert total[0, 0] < 0.7 and total.max() < 1 + 1e-5


def test_a_corner_of_the_first_layer_has_four_ninths():
    total = layer_masks(random_masks(4, 65, 91, seed=1), ["relu1_1"], {})["relu1_1"].sum(0)
    assert total[0, 0] == pytest.approx(4 / 9)


def test_masks_by_layer_shrink_with_the_photo_first():
    masks, sizes = random_masks(3, 64, 90), {"relu1_1": (32, 45), "relu3_1": (8, 12)}
    small = resize_masks(masks, (32, 45))
    fading = masks_by_layer(masks, (32, 45), ["relu1_1", "relu3_1"], sizes)
    plain = masks_by_layer(masks, (32, 45), ["relu1_1", "relu3_1"], sizes, fade=False)
    for layer, expected in layer_masks(small, ["relu1_1", "relu3_1"], sizes).items():
        torch.testing.assert_close(fading[layer], expected, atol=1e-5, rtol=0)  # means of values in [0, 1]
        torch.testing.assert_close(plain[layer], resize_masks(small, sizes[layer]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("layer", ["relu1_3", "relu6_1", "pool1", "conv", "relu3_5", "xrelu1_1", "relu1_1 "])
def test_unknown_layers_are_refused(layer):
    with pytest.raises(InputError, match="relu1_1 to relu5_4"):
        layer_masks(torch.ones(1, 32, 32), [layer], {})


def test_sizes_that_no_pooling_gives_are_refused():
    with pytest.raises(InputError, match="poolings"):
        layer_masks(torch.ones(1, 32, 32), ["relu2_1"], {"relu2_1": (15, 16)})
