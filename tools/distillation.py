"""The distillation of the embedded encoder: its two teachers, the student, and the losses between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.encoders.encoder import Encoder
from fastphoto.encoders.layers import Layer
from fastphoto.encoders.weights import EncoderWeights, read_weights

WIDTHS = {1: 16, 2: 32, 3: 64, 4: 96, 5: 96}  # channels by block; MODEL_CARD.md compares others
LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4_1", "conv4_2", "conv5_1")
FULL_TEACHER, NARROW_TEACHER = "vgg19_conv1_1_to_conv3_1.safetensors", "vgg19_16x.safetensors"
TAUGHT = {FULL_TEACHER: ("relu1_1", "relu2_1", "relu3_1"), NARROW_TEACHER: ("relu4_1", "relu4_2", "relu5_1")}
STYLE_WEIGHTS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 0.1, "relu5_1": 0.1}
"""Layers with a Gram loss, and their weights in the style loss of the validation."""
MOMENTUM = 0.9  # decay of the running means that the heads are solved from; by eye
# Exponents by block: 1 gives all channels the same deviation, 0 leaves them as they are; MODEL_CARD.md compares others.
EVENNESS = {1: 0.5, 2: 0.5, 3: 0.5, 4: 1.0, 5: 1.0}


@dataclass
class Targets:
    """Activations of the teachers for a batch of pictures, in pairs: 2k and 2k + 1 are each other's style."""

    images: Tensor  # (B, 3, SIDE, SIDE)
    features: dict[str, Tensor]  # {layer: (B, C, h, w)}, half precision
    grams: dict[str, Tensor]  # {layer: (B, C, C)}


class Teachers:
    """The two teaching networks, read from a folder."""

    def __init__(self, folder: Path) -> None:
        self.weights = {name: read_weights(folder / name) for name in TAUGHT}
        self.encoders = {name: Encoder(weights) for name, weights in self.weights.items()}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Return the activations (B, C, h, w) of all taught layers."""
        return {k: v for name, encoder in self.encoders.items() for k, v in encoder(images, TAUGHT[name]).items()}

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Targets:
        features = self.features(images)
        grams = {layer: gram(feature) for layer, feature in features.items()}
        return Targets(images, {layer: feature.half() for layer, feature in features.items()}, grams)


def gram(features: Tensor) -> Tensor:
    """Return the Gram matrices (B, C, C) of features (B, C, h, w), as sums over pixels."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2)


def style_gradient(features: dict[str, Tensor], images: Tensor) -> Tensor:
    """Return the gradient in each image (B, 3, H, W) of its relative style loss against its partner.

    It is averaged over 3x3 windows, because local affine maps cannot follow finer changes.
    """
    total = torch.zeros(())
    for layer, weight in STYLE_WEIGHTS.items():
        own = gram(features[layer])
        target = partners(own).detach()
        distance = (own - target).square().sum((1, 2)) / target.square().sum((1, 2)).clamp_min(1e-12)
        total = total + weight * distance.sum()
    return F.avg_pool2d(torch.autograd.grad(total, images)[0], 3, 1, 1)


def partners(batch: Tensor) -> Tensor:
    """Return the batch with 2k and 2k + 1 exchanged."""
    return batch.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def untrained(teacher: EncoderWeights) -> EncoderWeights:
    """Return the student before training, made of the narrow teacher's first channels.

    A block with fewer layers than the teacher's takes the weights of the teacher's last layer for its own last layer.
    """
    convolutions: dict[str, tuple[Tensor, Tensor]] = {}
    channels = 3
    for name, following in zip(LAYERS, (*LAYERS[1:], None), strict=True):
        block = Layer.parse(name).block
        ends_block = following is not None and Layer.parse(following).block != block
        source = [k for k in teacher.convolutions if Layer.parse(k).block == block][-1] if ends_block else name
        weight, bias = teacher.convolutions[source]
        width = WIDTHS[block]
        convolutions[name] = weight[:width, :channels].clone(), bias[:width].clone()
        channels = width
    return replace(teacher, convolutions=convolutions, padding="zeros")


class Student:
    """The encoder in training, and its losses.

    For each taught layer a linear head E takes the student's activations to the teacher's. Heads are not trained but
    solved for, by least squares over the last few batches. So the student learns activations from which the teacher's
    follow linearly, and learns fast.
    """

    def __init__(self, weights: EncoderWeights) -> None:
        self.weights = weights
        self.encoder = Encoder(weights)
        self.parameters = {
            name: buffer.clone().requires_grad_()
            for name, buffer in self.encoder.named_buffers()
            if name.startswith("conv")
        }
        self.statistics: dict[str, tuple[Tensor, Tensor]] = {}  # {layer: (T S^T, S S^T)}, running means

    def features(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the activations (B, C, h, w) of `layers`."""
        return torch.func.functional_call(self.encoder, self.parameters, (images, layers))

    def losses(self, targets: Targets, learn: bool = True) -> dict[str, Tensor]:
        """Return the errors relative to the targets: of the activations by layer, and of Gram differences as "grams".

        With `learn`, the batch enters the statistics that the heads are solved from.
        """
        features = self.features(targets.images, list(targets.features))
        own = {layer: gram(feature) for layer, feature in features.items()}
        losses: dict[str, Tensor] = {}
        gram_losses = []
        for layer, target in targets.features.items():
            # |T - E S|^2 = |T|^2 - 2 <E, T S^T> + <E^T E, S S^T>: this needs no product E S of the teacher's width.
            cross = target.float().flatten(2) @ features[layer].flatten(2).transpose(1, 2)
            size = targets.grams[layer].diagonal(dim1=1, dim2=2).sum()
            if learn:
                self._observe(layer, cross.detach().sum(0) / size, own[layer].detach().sum(0) / size)
            head = self._head(layer)
            losses[layer] = 1 + ((head.T @ head * own[layer].sum(0)).sum() - 2 * (head * cross.sum(0)).sum()) / size
            if layer in STYLE_WEIGHTS:
                gram_losses.append(_gram_loss(head @ own[layer] @ head.T, targets.grams[layer]))
        losses["grams"] = torch.stack(gram_losses).mean()
        return losses

    def _observe(self, layer: str, cross: Tensor, own: Tensor) -> None:
        if layer in self.statistics:
            old = self.statistics[layer]
            cross, own = (MOMENTUM * a + (1 - MOMENTUM) * b for a, b in zip(old, (cross, own), strict=True))
        self.statistics[layer] = cross, own

    def _head(self, layer: str) -> Tensor:
        cross, own = self.statistics[layer]
        damped = own + 1e-4 * own.diagonal().mean() * torch.eye(len(own))
        return torch.linalg.solve(damped, cross.T).T

    @torch.no_grad()
    def tensors(self, images: Tensor) -> dict[str, Tensor]:
        """Return the tensors of a weight file, half precision, without channels that never fire on `images`.

        The losses do not fix the channels' scales, and in training these drift without bound. Channels can be rescaled
        because ReLU passes any positive scale: each layer gets a mean of 1, as in a normalised VGG-19. Within a layer,
        channels go half of the way to a common standard deviation, in deep layers the whole way (EVENNESS). Otherwise a
        few strong channels would dominate the Gram matrix, and colours would hardly be controlled.
        """
        matrix, offset = self.weights.normalise
        tensors = {"normalise.weight": matrix[:, :, None, None], "normalise.bias": offset}
        inputs, input_scale = torch.arange(3), torch.ones(3)  # channels that fire in the layer below, and their scale
        for name, feature in zip(LAYERS, self.features(images, self.encoder.layers).values(), strict=True):
            deviation = feature.std((0, 2, 3))
            firing = deviation.nonzero()[:, 0]
            if len(firing) == 0:
                raise SystemExit(f"{name}: never fires; train longer or from another seed")
            deviation, median = deviation[firing], deviation[firing].median()
            scale = deviation.clamp(median / 30, median * 30) ** -EVENNESS[Layer.parse(name).block]
            scale = scale / (feature[:, firing] * scale[:, None, None]).mean()
            weight = self.parameters[f"{name}_weight"][firing][:, inputs]
            tensors[f"{name}.weight"] = weight * (scale[:, None] / input_scale)[:, :, None, None]
            tensors[f"{name}.bias"] = self.parameters[f"{name}_bias"][firing] * scale
            inputs, input_scale = firing, scale
        return {name: value.detach().half().contiguous() for name, value in tensors.items()}


def _gram_loss(grams: Tensor, targets: Tensor) -> Tensor:
    """Return the relative error of the differences between partners' Gram matrices (B, C, C)."""
    difference, target = grams - partners(grams), targets - partners(targets)
    floor = 0.01 * targets.square().sum((1, 2))
    error = (target - difference).square().sum((1, 2)) / (target.square().sum((1, 2)) + floor)
    return error.clamp_max(2).mean()
