"""Encoders: frozen, VGG-19-shaped stacks of convolutions that turn a photo into layers of activations."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import InputError
from .weights import CAFFE_MEAN, CAFFE_SCALE, EncoderWeights, load_weights

ENCODERS = ("embedded", "vgg19-16x", "vgg19")

_CALIBRATION_WIDTHS = {
    "conv1_1": 12,
    "conv2_1": 24,
    "conv3_1": 48,
    "conv4_1": 64,
    "conv4_2": 64,
    "conv5_1": 64,
}
_CALIBRATION_PIXELS = 20_000  # patches per photo that the covariances are estimated from


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
        """Activations of an image.

        image: (3, H, W), sRGB in [0, 1]. layers: names, of `self.layers`.
        Returns {layer: (C, h, w)} in channels-last memory; nothing beyond the deepest layer wanted is computed.
        """
        wanted = set(layers)
        x = image[None].contiguous(memory_format=torch.channels_last)
        x = F.conv2d(x, self.matrix, self.offset)
        found: dict[str, Tensor] = {}
        block = "1"
        for name in self.names:
            if name[4] != block:
                x = F.max_pool2d(x, 2, ceil_mode=self.pooling == "max_ceil")
                block = name[4]
            x = F.relu(self._convolve(x, name))
            layer = f"relu{name[4:]}"
            if layer in wanted:
                found[layer] = x[0]
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
    photos: Sequence[Tensor] = (),
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Encoder:
    """An encoder by name: "embedded", "vgg19-16x" or "vgg19".

    weights: a file (see `fastphoto.weights.read_weights` for the formats), else the cache or a download.
    photos: (3, H, W) each; needed by "embedded", which has no file and is calibrated on them.

    Raises InputError for an unknown name and FileError for weights that cannot be had.
    """
    if name not in ENCODERS:
        raise InputError(f"encoder {name!r}: unknown; give one of {', '.join(ENCODERS)}")
    if name != "embedded":
        return Encoder(load_weights(name, weights, progress=progress))
    if weights is not None:
        raise InputError("weights: the embedded encoder has none; name the encoder of the file with encoder=")
    return Encoder(calibrated_weights(photos))


def calibrated_weights(photos: Sequence[Tensor], widths: Mapping[str, int] = _CALIBRATION_WIDTHS) -> EncoderWeights:
    """The stand-in encoder: filters computed from the photos at hand, nothing learned, nothing random.

    Each convolution's filters are the principal components of the 3x3 patches of the activations below it, over all
    photos, each once with either sign (so that the ReLU loses nothing), scaled to the standard deviation's square
    root. It knows edges, textures and colours of these photos, but no objects.

    photos: (3, H, W) float32 in [0, 1], at least one. widths: {convolution: channels}, even numbers.
    """
    if not photos:
        raise InputError("encoder 'embedded': calibrated on photos, and none were given")
    matrix, offset = torch.eye(3), torch.full((3,), -0.5)
    inputs = [F.conv2d(photo[None].detach().cpu(), matrix[:, :, None, None], offset) for photo in photos]
    convolutions: dict[str, tuple[Tensor, Tensor]] = {}
    block = "1"
    for name, width in widths.items():
        if name[4] != block:
            inputs = [F.max_pool2d(x, 2, ceil_mode=True) for x in inputs]
            block = name[4]
        padded = [F.pad(x, (1, 1, 1, 1), mode="reflect" if min(x.shape[2:]) > 1 else "replicate") for x in inputs]
        weight, bias = _principal_filters(padded, width)
        convolutions[name] = weight, bias
        inputs = [F.relu(F.conv2d(x, weight, bias)) for x in padded]
    return EncoderWeights(
        convolutions=convolutions,
        normalise=(matrix, offset),
        padding="reflect",
        pooling="max_ceil",
        source="calibrated on the photos",
        licence="MIT",
        sha256="",
    )


def _principal_filters(inputs: Sequence[Tensor], width: int) -> tuple[Tensor, Tensor]:
    """Principal components of 3x3 patches of (1, C, H, W) inputs: weight (width, C, 3, 3) and bias (width,)."""
    samples = []
    for x in inputs:
        patches = F.unfold(x, 3)[0].T  # (pixels, C * 9)
        stride = max(1, patches.shape[0] // _CALIBRATION_PIXELS)
        samples.append(patches[::stride].double())
    patches = torch.cat(samples)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    components = vectors.T.flip(0)[: width // 2]
    values = values.flip(0)[: width // 2]
    # Directions without variance, as few or flat patches have, are arbitrary: rounding alone would choose them.
    components = components * (values > (1e-6 * values[0]).clamp_min(1e-12))[:, None]
    values = values.clamp_min(1e-8)
    if len(components) < width // 2:
        repeats = -(-(width // 2) // len(components))
        components, values = components.repeat(repeats, 1)[: width // 2], values.repeat(repeats)[: width // 2]
    # An eigenvector's sign is arbitrary; a fixed one makes the filters reproducible.
    sign = components.gather(1, components.abs().argmax(1, keepdim=True)).sign()
    components = components * sign / values.sqrt().sqrt()[:, None]
    filters = torch.cat([components, -components])
    return filters.float().reshape(width, -1, 3, 3), (-filters @ mean).float()
