"""The pieces of work that are timed and that a network takes part in: convolutions, encoders, one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from baselines import Engineered, Published
from plain_ops import PlainVgg
from torch import Tensor
from transfers import problem_of
from workloads import Call, Contender, Shape, Workload, distance

from fastphoto import ops
from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.weights import EncoderWeights
from fastphoto.pipeline import _Run
from fastphoto.regions.resizing import layer_masks

NINE = 9  # regions that the published program always goes through, present or not


def convolution(channels: int, shape: Shape) -> Workload:
    """A 3 x 3 convolution with zero padding and ReLU, of `channels` into an output of the given shape."""
    out, height, width = shape
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, height, width, generator=generator).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(out, channels, 3, 3, generator=generator), torch.randn(out, generator=generator)

    @cache
    def wanted() -> Tensor:
        return F.conv2d(x.double(), weight.double(), bias.double(), padding=1).relu_()

    def native() -> Call:
        transformed = ops.convolution_weights(weight)
        return lambda: [ops.convolution(x, transformed, bias, out, relu=True)]

    def onednn() -> Call:
        laid = weight.contiguous(memory_format=torch.channels_last)
        return lambda: [F.conv2d(x, laid, bias, padding=1).relu_()]

    cost = 4 * ((channels + out) * height * width + weight.numel()), 2 * weight.numel() * height * width
    contenders = {"native": Contender(native, *cost), "onednn": Contender(onednn, *cost)}
    title = f"convolution {channels} to {out}, {width}x{height}"
    return Workload(title, contenders, lambda outputs: distance(outputs[0], wanted()))


def pass_cost(weights: EncoderWeights, layers: Sequence[str], height: int, width: int) -> tuple[int, int]:
    """Bytes and operations of each convolution forwards and, in the gradient, backwards.

    Activations are written and read in both; operations are those of the definition, of which Winograd's take a part.
    """
    flops = moved = 0
    h, w, block, last = height, width, "1", max(f"conv{layer[4:]}" for layer in layers)
    for name, (weight, _) in weights.convolutions.items():
        if name[4] != block:
            rounded = 1 if weights.pooling == "max_ceil" else 0
            h, w, block = (h + rounded) // 2, (w + rounded) // 2, name[4]
        flops += 4 * weight.numel() * h * w
        moved += 2 * 4 * (weight.numel() + (weight.shape[0] + weight.shape[1]) * h * w)
        if name == last:
            break
    return moved, flops


def encoder_pass(weights: EncoderWeights, layers: Sequence[str], height: int, width: int) -> Workload:
    """The activations of some layers and the gradient of half their squares in the image, in float32 on the CPU."""
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))

    def both(network: Callable[..., dict[str, Tensor]], dtype: torch.dtype = torch.float32) -> Call:
        x = image.to(dtype).requires_grad_()

        def call() -> Sequence[Tensor]:
            features = [found for _, found in sorted(network(x, layers).items())]
            # Activations as their own gradients: as dense as a style loss's, at no cost of a loss.
            return [*features, *torch.autograd.grad(features, x, [feature.detach() for feature in features])]

        return call

    def error(outputs: Sequence[Tensor]) -> float:
        exact = PlainVgg(weights, torch.float64, torch.contiguous_format).double()
        return max(distance(a, b) for a, b in zip(outputs, both(exact, torch.float64)(), strict=True))

    cost = pass_cost(weights, layers, height, width)
    contenders = {
        "native": Contender(lambda: both(Encoder(weights)), *cost),
        "plain": Contender(lambda: both(PlainVgg(weights, torch.float32, torch.channels_last)), *cost),
    }
    title = f"encoder, value and gradient of the style layers, {width}x{height}"
    # One activation in a million is rounded across zero or its neighbour, and its gradient goes where none should.
    return Workload(title, contenders, error, tolerance=1e-2)


def evaluation(pair: Mapping[str, Any], weights: EncoderWeights) -> Workload:
    """The total loss and its gradient: fastphoto's own objective, B1 and B0 with nine masks, for the same losses."""
    problem = problem_of(pair, "relative", weights)

    @cache
    def published() -> Published:
        names = ("content_masks", "style_masks")
        nine = {n: F.pad(getattr(problem, n), (0, 0, 0, 0, 0, NINE - len(getattr(problem, n)))) for n in names}
        return Published(replace(problem, **nine))

    def native() -> Call:
        run = _Run(
            problem.settings,
            Encoder(problem.weights),
            problem.content,
            problem.style,
            problem.content_masks,
            problem.style_masks,
            0,
            None,
        )
        objective = run._objective("photorealism", problem.content, problem.start)
        return lambda: objective.value_and_gradient(problem.start)[:2]

    @cache
    def wanted() -> tuple[Tensor, Tensor]:
        return published().value_and_gradient(problem.start)

    def error(outputs: Sequence[Tensor]) -> float:
        return max(distance(a, b) for a, b in zip(outputs, wanted(), strict=True))

    cost = evaluation_cost(problem.content_masks, problem.settings.style_layers, weights)
    contenders = {
        "native": Contender(native, *cost),
        "B1": Contender(lambda: partial(Engineered(problem).value_and_gradient, problem.start), *cost),
        "B0": Contender(lambda: partial(published().value_and_gradient, problem.start), *cost),
    }
    height, width = problem.size
    title = f"one evaluation, {len(weights.convolutions)} convolutions, {width}x{height}"
    return Workload(title, contenders, error, tolerance=1e-2)


def evaluation_cost(masks: Tensor, layers: Sequence[str], weights: EncoderWeights) -> tuple[int, int]:
    """Bytes and operations of the encoder, the masked Gram matrices of the regions' own pixels, and the stencil."""
    height, width = masks.shape[1:]
    moved, flops = pass_cost(weights, layers, height, width)
    sizes = {"relu1_1": (height, width)}
    for layer in layers:
        down = 2 ** (int(layer[4]) - 1)
        sizes[layer] = -(-height // down), -(-width // down)
    for layer, mask in layer_masks(masks, list(layers), sizes).items():
        channels = len(weights.convolutions[f"conv{layer[4:]}"][1])
        moved += 4 * 4 * channels * mask[0].numel()
        flops += 4 * channels**2 * int((mask > 0).sum())
    return moved + 72 * height * width, flops + 156 * height * width
