"""Times one pass through each encoder, forwards and backwards, in one run so that ratios hold.

    pytest benchmarks/bench_encoder.py --benchmark-columns=min,median,rounds

The two encoders that do not come with the package have random weights here: what a pass costs does not depend on them.
"""

from __future__ import annotations

import pytest
import torch

from fastphoto.encoder import Encoder, load_encoder
from fastphoto.settings import preset_settings
from fastphoto.weights import LAYERS, EncoderWeights

SIZES = [(233, 350), (466, 700)]
WIDTHS = {"vgg19-16x": (16, 32, 64, 128, 128), "vgg19": (64, 128, 256, 512, 512)}  # channels by block
PADDING = {"vgg19-16x": "reflect", "vgg19": "zeros"}


def encoder(name: str) -> Encoder:
    if name == "embedded":
        return load_encoder(name)
    generator, convolutions, channels = torch.Generator().manual_seed(0), {}, 3
    for layer in LAYERS[: LAYERS.index("conv5_1") + 1]:
        width = WIDTHS[name][int(layer[4]) - 1]
        weight = torch.randn(width, channels, 3, 3, generator=generator) / (9 * channels / 2) ** 0.5
        convolutions[layer], channels = (weight, torch.zeros(width)), width
    normalise = torch.eye(3), torch.full((3,), -0.5)
    return Encoder(EncoderWeights(convolutions, normalise, PADDING[name], "max_floor", "random", "", ""))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
@pytest.mark.parametrize("name", ["embedded", "vgg19-16x", "vgg19"])
def test_encoder(benchmark, name, size):
    benchmark.group = f"encoder, value and gradient of the style layers, {size[1]}x{size[0]}"
    network, layers = encoder(name), preset_settings("fast").style_layers
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def value_and_gradient() -> torch.Tensor:
        features = list(network(image, layers).values())
        # Activations as their own gradients: as dense as a style loss's, at no cost of a loss.
        return torch.autograd.grad(features, image, [feature.detach() for feature in features])[0]

    assert value_and_gradient().isfinite().all()
    benchmark(value_and_gradient)
