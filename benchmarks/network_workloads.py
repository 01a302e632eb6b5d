"""Workloads with an encoder: convolutions, passes through the encoder, and one evaluation of the objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.baselines.engineered import Engineered
from benchmarks.baselines.network import PlainVgg
from benchmarks.baselines.published import Published
from benchmarks.transfers import NINE, baseline_problem, native_objective
from benchmarks.workloads import Call, Contender, Shape, Workload, relative_error
from fastphoto import ops
from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.layers import Layer
from fastphoto.encoders.weights import EncoderWeights
from fastphoto.regions.resizing import layer_masks


def convolution(channels: int, shape: Shape) -> Workload:
    """Return the workload of a 3 x 3 convolution with zero padding and ReLU.

    Args:
        channels: channels of the input.
        shape: shape of the output.
    """
    out, height, width = shape
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, height, width, generator=generator).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(out, channels, 3, 3, generator=generator), torch.randn(out, generator=generator)

    @cache
    def exact() -> Tensor:
        return F.conv2d(x.double(), weight.double(), bias.double(), padding=1).relu_()

    def native() -> Call:
        transformed = ops.convolution_weights(weight)
        return lambda: [ops.convolution(x, transformed, bias, out, relu=True)]

    def onednn() -> Call:
        channels_last = weight.contiguous(memory_format=torch.channels_last)
        return lambda: [F.conv2d(x, channels_last, bias, padding=1).relu_()]

    cost = 4 * ((channels + out) * height * width + weight.numel()), 2 * weight.numel() * height * width
    contenders = {"native": Contender(native, *cost), "onednn": Contender(onednn, *cost)}
    title = f"convolution {channels} to {out}, {width}x{height}"
    return Workload(title, contenders, lambda outputs: relative_error(outputs[0], exact()))


def convolution_filters(channels: int, out: int) -> Workload:
    """Return the workload of Winograd's transform of a convolution's filters, which is done once an encoder."""
    weight = torch.randn(out, channels, 3, 3, generator=torch.Generator().manual_seed(0))

    @cache
    def exact() -> Tensor:
        # The operator in double: its order of the numbers is its own.
        return ops.convolution_weights(weight.double())

    # Nine numbers of each filter become 36.
    cost = 4 * 45 * channels * out, 200 * channels * out
    contender = Contender(lambda: lambda: [ops.convolution_weights(weight)], *cost)
    title = f"filters of a convolution {channels} to {out}"
    return Workload(title, {"native": contender}, lambda outputs: relative_error(outputs[0], exact()))


def pass_cost(weights: EncoderWeights, layers: Sequence[str], height: int, width: int) -> tuple[int, int]:
    """Return bytes and operations of a pass forwards and, for the gradient, backwards through the convolutions.

    Activations are written and read in both directions. Operations are counted by a convolution's definition;
    Winograd's filtering takes fewer.
    """
    flops = moved = 0
    h, w, block, last = height, width, 1, max(Layer.parse(layer) for layer in layers)
    for name, (weight, _) in weights.convolutions.items():
        layer = Layer.parse(name)
        if layer.block != block:
            rounded = 1 if weights.pooling == "max_ceil" else 0
            h, w, block = (h + rounded) // 2, (w + rounded) // 2, layer.block
        flops += 4 * weight.numel() * h * w
        moved += 2 * 4 * (weight.numel() + (weight.shape[0] + weight.shape[1]) * h * w)
        if layer == last:
            break
    return moved, flops


def encoder_pass(weights: EncoderWeights, layers: Sequence[str], height: int, width: int) -> Workload:
    """Return the workload of activations and the gradient of half their squares in the image, float32 on the CPU."""
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))

    def both(network: Callable[..., dict[str, Tensor]], dtype: torch.dtype = torch.float32) -> Call:
        x = image.to(dtype).requires_grad_()

        def call() -> Sequence[Tensor]:
            features = [activations for _, activations in sorted(network(x, layers).items())]
            # Activations as their own gradients: as dense as a style loss's, without the cost of one.
            return [*features, *torch.autograd.grad(features, x, [feature.detach() for feature in features])]

        return call

    def error(outputs: Sequence[Tensor]) -> float:
        network = PlainVgg(weights, torch.float64, torch.contiguous_format).double()
        exact = both(network, torch.float64)()
        return max(relative_error(a, b) for a, b in zip(outputs, exact, strict=True))

    cost = pass_cost(weights, layers, height, width)
    contenders = {
        "native": Contender(lambda: both(Encoder(weights)), *cost),
        "plain": Contender(lambda: both(PlainVgg(weights, torch.float32, torch.channels_last)), *cost),
    }
    title = f"encoder, value and gradient of the style layers, {width}x{height}"
    # Rounding moves about one activation in a million across zero or past its neighbour in a pooling window, and its
    # gradient then follows another path.
    return Workload(title, contenders, error, tolerance=1e-2)


def evaluation(pair: Mapping[str, Any], weights: EncoderWeights) -> Workload:
    """Return the workload of the total loss and its gradient: fastphoto's objective, B1, and B0 with nine regions."""
    problem = baseline_problem(pair, "relative", weights)

    @cache
    def published() -> Published:
        return Published(problem.with_regions(NINE))

    def native() -> Call:
        objective = native_objective(problem)
        return lambda: objective.value_and_gradient(problem.start)[:2]

    @cache
    def exact() -> tuple[Tensor, Tensor]:
        return published().value_and_gradient(problem.start)

    def error(outputs: Sequence[Tensor]) -> float:
        return max(relative_error(a, b) for a, b in zip(outputs, exact(), strict=True))

    cost = evaluation_cost(problem.content_masks, problem.settings.style_layers, weights)
    contenders = {
        "native": Contender(native, *cost),
        "B1": Contender(lambda: partial(Engineered(problem).value_and_gradient, problem.start), *cost),
        "B1 compiled": Contender(
            lambda: partial(Engineered(problem, compiled=True).value_and_gradient, problem.start), *cost
        ),
        "B0": Contender(lambda: partial(published().value_and_gradient, problem.start), *cost),
    }
    height, width = problem.size
    title = f"one evaluation, {len(weights.convolutions)} convolutions, {width}x{height}"
    return Workload(title, contenders, error, tolerance=1e-2)


def evaluation_cost(masks: Tensor, layers: Sequence[str], weights: EncoderWeights) -> tuple[int, int]:
    """Return bytes and operations of the encoder, of the regions' masked Gram matrices, and of the stencil."""
    height, width = masks.shape[1:]
    moved, flops = pass_cost(weights, layers, height, width)
    sizes = {"relu1_1": (height, width)}
    for layer in layers:
        down = 2 ** (Layer.parse(layer).block - 1)
        sizes[layer] = -(-height // down), -(-width // down)
    for layer, mask in layer_masks(masks, list(layers), sizes).items():
        channels = len(weights.convolutions[Layer.parse(layer).convolution][1])
        moved += 4 * 4 * channels * mask[0].numel()
        flops += 4 * channels**2 * int((mask > 0).sum())
    return moved + 72 * height * width, flops + 156 * height * width
