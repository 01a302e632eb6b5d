"""The baselines' encoder: a network shaped like VGG-19 in stock PyTorch, and random weights for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastphoto.encoders.layers import CONVOLUTIONS, VGG19_CHANNELS, Layer
from fastphoto.encoders.weights import CAFFE_MEAN, CAFFE_SCALE, EncoderWeights

WIDTHS = {"vgg19-16x": (16, 32, 64, 128, 128), "vgg19": VGG19_CHANNELS}  # channels by block
PADDING = {"vgg19-16x": "reflect", "vgg19": "zeros"}


def random_weights(name: str) -> EncoderWeights:
    """Return random weights in an encoder's shape up to conv5_1; they cost what the trained ones cost."""
    generator, convolutions, channels = torch.Generator().manual_seed(0), {}, 3
    for layer in CONVOLUTIONS[: CONVOLUTIONS.index("conv5_1") + 1]:
        width = WIDTHS[name][Layer.parse(layer).block - 1]
        weight = torch.randn(width, channels, 3, 3, generator=generator) / (9 * channels / 2) ** 0.5
        convolutions[layer], channels = (weight, torch.zeros(width)), width
    normalise = CAFFE_SCALE * torch.eye(3).flip(0), -torch.tensor(CAFFE_MEAN)
    return EncoderWeights(convolutions, normalise, PADDING[name], "max_ceil", "random", "", "")


class PlainVgg(nn.Module):
    """A network shaped like VGG-19 in stock PyTorch, its gradient left to autograd."""

    def __init__(self, weights: EncoderWeights, dtype: torch.dtype, layout: torch.memory_format) -> None:
        super().__init__()
        self.padding, self.ceil = weights.padding, weights.pooling == "max_ceil"
        self.dtype, self.layout, self.names = dtype, layout, tuple(weights.convolutions)
        self.register_buffer("matrix", weights.normalise[0][:, :, None, None].clone())
        self.register_buffer("offset", weights.normalise[1].clone())
        for name, (weight, bias) in weights.convolutions.items():
            self.register_buffer(f"{name}_weight", weight.to(dtype).contiguous(memory_format=layout))
            self.register_buffer(f"{name}_bias", bias.to(dtype))

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the activations {layer: (C, h, w)} of an image (3, H, W) in [0, 1]."""
        x = F.conv2d(image[None].contiguous(memory_format=self.layout), self.matrix, self.offset).to(self.dtype)
        activations: dict[str, Tensor] = {}
        block = 1
        for name in self.names:
            layer = Layer.parse(name)
            if layer.block != block:
                x, block = F.max_pool2d(x, 2, ceil_mode=self.ceil), layer.block
            weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
            if self.padding == "zeros":
                x = F.conv2d(x, weight, bias, padding=1)
            else:
                x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)
            x = F.relu_(x)
            if layer.activation in layers:
                activations[layer.activation] = x.squeeze(0)
                if len(activations) == len(layers):
                    break
        return activations
