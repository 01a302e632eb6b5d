"""The same values give the same bits wherever they lie in memory and in a row.

A compiler that fuses products and sums does so in the body of a vectorised loop but not in its rest. What is the rest
depends on where memory begins and on the width of the picture, so results would differ from call to call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from fastphoto import ops

HEIGHT, WIDTH, CHANNELS = 21, 83, 19


def numbers(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def picture(planes: int, seed: int, dtype: torch.dtype) -> Tensor:
    return numbers(planes, HEIGHT, WIDTH, seed=seed, dtype=dtype).permute(1, 2, 0)


def masked_gram(features: Tensor, masks: Tensor) -> list[Tensor]:
    features = features.detach().requires_grad_()
    gram = ops.masked_gram(features, masks)
    return [gram.detach(), torch.autograd.grad(gram, features, numbers(*gram.shape, seed=9).to(gram.dtype))[0]]


def convolution(x: Tensor, weight: Tensor) -> Tensor:
    return ops.convolution(x, ops.convolution_weights(weight), None, len(weight), padding=1)


def fit_gradient(content: Tensor, result: Tensor) -> list[Tensor]:
    result = result.detach().requires_grad_()
    maps = ops.local_affine_fit(content, result, 3)
    return [maps.detach(), torch.autograd.grad(maps, result, numbers(*maps.shape, seed=9).to(maps.dtype))[0]]


def affine_sum(content: Tensor, x: Tensor) -> list[Tensor]:
    factors = ops.local_affine_factors(content, 3, 1e-3)
    return [factors, ops.local_affine_sum(content, factors, x, 3)]


def moments(features: Tensor, masks: Tensor) -> list[Tensor]:
    return with_gradient(lambda features: torch.cat(ops.region_moments(features, masks)), features)


def recolouring(lab: Tensor, mattes: Tensor) -> list[Tensor]:
    """The tones, images and rest are planes of one picture; the curves are any numbers."""
    like, broad, chroma = lab.dtype, lab[:2], torch.stack([lab[:2], lab[1:]])
    constants = (7 * lab[0], broad, lab[1:] - 0.5, chroma, mattes, lab[:2, 0, :3], torch.ones(2, dtype=like))
    unknowns = [numbers(*size, seed=8, dtype=like) for size in ((2, 3, 8, 3, 4), (2, 3, 4), (2, 2, 3))]
    unknowns = [unknown.requires_grad_() for unknown in unknowns]
    value = ops.region_recolouring(*constants, *unknowns, lab, share=0.5, most_contrast=1.2)
    return [value.detach(), *torch.autograd.grad(value, unknowns, numbers(*value.shape, seed=9).to(like))]


def with_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    value = function(x)
    return [value.detach(), torch.autograd.grad(value, x, numbers(*value.shape, seed=9).to(value.dtype))[0]]


def sorted_distance(values: Tensor, target: Tensor) -> list[Tensor]:
    bounds = torch.tensor([0, values.shape[1]])
    return with_gradient(lambda values: ops.sorted_distance(values, target, bounds), values)


def contrast_excess(lab: Tensor) -> list[Tensor]:
    pixels = HEIGHT * WIDTH + -(-HEIGHT // 2) * -(-WIDTH // 2)
    constants = numbers(2, pixels, seed=8).to(lab.dtype)
    return with_gradient(lambda lab: ops.contrast_excess(lab, *constants, bands=2), lab)


def cases(dtype: torch.dtype) -> dict[str, tuple[Callable[..., Tensor | list[Tensor]], list[Tensor]]]:
    """An operator, and arguments in the layout that it works in, for each name."""
    image, x = picture(3, 1, dtype), picture(4, 2, dtype)
    stencil = ops.matting_laplacian_stencil(image, 1e-4)
    features = numbers(CHANNELS, HEIGHT, WIDTH, seed=3, dtype=dtype) - 0.3
    layers = features[None].to(memory_format=torch.channels_last)
    masks = numbers(2, HEIGHT, WIDTH, seed=4, dtype=dtype)
    weight = numbers(24, CHANNELS, 3, 3, seed=5, dtype=dtype)
    maps = numbers(7, 11, 3, 4, seed=6, dtype=dtype)
    return {
        "matting_laplacian": (ops.matting_laplacian, [image, x]),
        "matting_laplacian_energy": (ops.matting_laplacian_energy, [image, x]),
        "matting_laplacian_stencil": (ops.matting_laplacian_stencil, [image]),
        "stencil_product": (ops.stencil_product, [stencil, x]),
        "stencil_product, one plane": (ops.stencil_product, [stencil, x[..., :1]]),
        "stencil_energy": (ops.stencil_energy, [stencil, x]),
        "masked_gram": (masked_gram, [features, masks]),
        "masked_gram, channels-last": (masked_gram, [layers[0], masks]),
        "convolution": (convolution, [layers, weight]),
        "max_pool": (ops.max_pool, [layers]),
        "local_affine_fit": (fit_gradient, [image, x[..., :3]]),
        "local_affine_apply": (ops.local_affine_apply, [maps, image]),
        "local_affine_sum": (affine_sum, [image, x[..., :3]]),
        "region_moments": (moments, [layers[0], masks]),
        "region_recolouring": (recolouring, [image.permute(2, 0, 1), masks]),
        "bilateral_sum": (lambda guide, x: ops.bilateral_sum(guide, x, 3, 2.0, 0.1), [image, x]),
        "box_sum": (lambda x: ops.box_sum(x, 3), [x]),
        "srgb_to_lab": (partial(with_gradient, ops.srgb_to_lab), [picture(3, 7, dtype).permute(2, 0, 1)]),
        "lab_to_srgb": (partial(with_gradient, ops.lab_to_srgb), [100 * picture(3, 8, dtype).permute(2, 0, 1)]),
        "sorted_distance": (sorted_distance, [features.flatten(1), features.flatten(1).sort(1)[0]]),
        "contrast_excess": (contrast_excess, [100 * picture(3, 9, dtype).permute(2, 0, 1)]),
        "inner_products": (ops.inner_products, [features.flatten(1), features.flatten(1)[:3]]),
    }


NAMES = list(cases(torch.float32))


def results(function: Callable[..., object], arguments: list[Tensor]) -> list[Tensor]:
    value = function(*arguments)
    return [value] if isinstance(value, Tensor) else list(value)


def elsewhere(tensor: Tensor, offset: int) -> Tensor:
    """Return the same values with the same strides, some elements after the beginning of an allocation."""
    memory = tensor.new_empty(offset + tensor.untyped_storage().nbytes() // tensor.element_size())
    copy = memory.as_strided(tensor.shape, tensor.stride(), offset)
    copy.copy_(tensor)
    return copy


@pytest.mark.parametrize("name", NAMES)
def test_wherever_memory_begins(name, dtype):
    function, arguments = cases(dtype)[name]
    expected = results(function, arguments)
    for offset in (1, 2, 3, 5, 7, 11):
        found = results(function, [elsewhere(argument, offset) for argument in arguments])
        assert all(map(torch.equal, expected, found)), f"other bits {offset} elements after an allocation's beginning"


# The others add up sliding windows, or blocks of windows, and where these begin decides about the order of the sums.
LOCAL = {"stencil_product": 2, "stencil_product, one plane": 2, "bilateral_sum": 3}


@pytest.mark.parametrize("name", LOCAL)
def test_wherever_a_pixel_lies_in_its_row(name, dtype):
    function, arguments = cases(dtype)[name]
    if "stencil" in name:  # its planes come first
        stencil, x = arguments

    def compute(left: int, right: int) -> Tensor:
        if "stencil" in name:
            return ops.stencil_product(stencil[..., left:right], x[:, left:right])
        return results(function, [argument[:, left:right] for argument in arguments])[0]

    reach, whole = LOCAL[name], compute(0, WIDTH)
    for left, right in ((1, WIDTH), (5, WIDTH - 2), (2, 40), (13, 61), (30, 47)):
        part = compute(left, right)
        assert torch.equal(whole[:, left + reach : right - reach], part[:, reach : right - left - reach])
