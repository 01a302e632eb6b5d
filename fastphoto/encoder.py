"""Encoders: frozen, VGG-19-shaped stacks of convolutions that turn a photo into layers of activations."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import InputError
from .weights import CAFFE_MEAN, CAFFE_SCALE, EncoderWeights, load_weights, read_weights

ENCODERS = ("embedded", "vgg19-16x", "vgg19")
EMBEDDED = Path(__file__).with_name("embedded") / "encoder.safetensors"
"""The weights that come with the package; its model card lies beside it."""


class Encoder(nn.Module):
    """x -> 1x1 normalisation -> blocks of (3x3 convolution, ReLU) with 2x2 max-pooling between the blocks.

    Layers are named as in VGG-19: "relu4_2" is the activation of the second convolution of block 4. The weights are
    constants; gradients flow to the image. `published_scale` tells whether photos are prepared as for the paper's
    Caffe network (BGR, x256, minus its mean), for whose activations the published weights of losses are made.
    """

    def __init__(self, weights: EncoderWeights) -> None:
        super().__init__()
        self.padding = weights.padding
        self.pooling = weights.pooling
        self.names = tuple(weights.convolutions)
        matrix, offset = weights.normalise
        self.published_scale = torch.allclose(matrix, CAFFE_SCALE * torch.eye(3).flip(0), rtol=1e-4) and torch.allclose(
            offset, -torch.tensor(CAFFE_MEAN), rtol=1e-4
        )
        self.register_buffer("matrix", matrix[:, :, None, None].clone())
        self.register_buffer("offset", offset.clone())
        for name, (weight, bias) in weights.convolutions.items():
            self.register_buffer(f"{name}_weight", weight.contiguous(memory_format=torch.channels_last))
            self.register_buffer(f"{name}_bias", bias.clone())

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that `forward` can return, in order."""
        return tuple(f"relu{name[4:]}" for name in self.names)

    def check(self, layers: Sequence[str]) -> None:
        """Raise InputError for a layer that this encoder does not have."""
        for layer in layers:
            if layer not in self.layers:
                raise InputError(f"layer {layer!r}: not in this encoder; it has {', '.join(self.layers)}")

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Activations of an image or of a batch.

        image: ([B, ]3, H, W), sRGB in [0, 1]. layers: names, of `self.layers`.
        Returns {layer: ([B, ]C, h, w)} in channels-last memory; nothing beyond the deepest layer wanted is computed.
        """
        wanted = set(layers)
        x = image if image.ndim == 4 else image[None]
        x = F.conv2d(x.contiguous(memory_format=torch.channels_last), self.matrix, self.offset)
        found: dict[str, Tensor] = {}
        block = "1"
        for name in self.names:
            if name[4] != block:
                x = F.max_pool2d(x, 2, ceil_mode=self.pooling == "max_ceil")
                block = name[4]
            x = self._convolve(x, name).relu_()
            layer = f"relu{name[4:]}"
            if layer in wanted:
                found[layer] = x if image.ndim == 4 else x.squeeze(0)  # the gradient of x[0] copies a map
                if len(found) == len(wanted):
                    break
        return found

    def _convolve(self, x: Tensor, name: str) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        if self.padding == "zeros":
            return F.conv2d(x, weight, bias, padding=1)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect" if min(x.shape[2:]) > 1 else "replicate"), weight, bias)


def load_encoder(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Encoder:
    """An encoder by name: "embedded", which comes with the package, "vgg19-16x" or "vgg19".

    weights: a file (see `fastphoto.weights.read_weights` for the formats), else the cache or a download.

    Raises InputError for an unknown name and FileError for weights that cannot be had.
    """
    if name not in ENCODERS:
        raise InputError(f"encoder {name!r}: unknown; give one of {', '.join(ENCODERS)}")
    if name == "embedded":
        if weights is not None:
            raise InputError("weights: the embedded encoder has its own; name the encoder of the file with encoder=")
        return Encoder(read_weights(EMBEDDED))
    return Encoder(load_weights(name, weights, progress=progress))
