"""Encoders: frozen, VGG-19-shaped stacks of convolutions that turn a photo into layers of activations."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fastphoto.encoders.weights import CAFFE_MEAN, CAFFE_SCALE, EncoderWeights, load_weights, read_weights
from fastphoto.errors import InputError
from fastphoto.ops import convolution, convolution_weights, max_pool, max_pool_backward

ENCODERS = ("embedded", "vgg19-16x", "vgg19")
EMBEDDED = Path(__file__).with_name("embedded") / "encoder.safetensors"
"""The weights that come with the package; its model card lies beside it."""

_FEW_CHANNELS = 8  # with fewer to sum over, transforming an image for `ops.convolution` costs more than it saves


class Encoder(nn.Module):
    """x -> 1x1 normalisation -> blocks of (3x3 convolution, ReLU) with 2x2 max-pooling between the blocks.

    Layers are named as in VGG-19: "relu4_2" is the activation of the second convolution of block 4. The weights are
    constants; gradients flow to the image. `published_scale` tells whether photos are prepared as for the paper's
    Caffe network (BGR, x256, minus its mean), for whose activations the published weights of losses are made.

    dtype: of the activations and of the convolutions' weights. channel_multiple: every layer's channels are filled up
    with zeros to a multiple of this, for convolutions that need it; what is returned has none of them.
    """

    def __init__(self, weights: EncoderWeights, dtype: torch.dtype = torch.float32, channel_multiple: int = 1) -> None:
        super().__init__()
        self.padding = weights.padding
        self.pooling = weights.pooling
        self.names = tuple(weights.convolutions)
        self.channels = {f"relu{name[4:]}": len(bias) for name, (_, bias) in weights.convolutions.items()}
        matrix, offset = weights.normalise
        self.published_scale = torch.allclose(matrix, CAFFE_SCALE * torch.eye(3).flip(0), rtol=1e-4) and torch.allclose(
            offset, -torch.tensor(CAFFE_MEAN), rtol=1e-4
        )
        fill = functools.partial(_filled, multiple=channel_multiple)
        self.register_buffer("matrix", fill(matrix).clone())
        self.register_buffer("offset", fill(offset).clone())
        for name, (weight, bias) in weights.convolutions.items():
            weight = fill(fill(weight.transpose(0, 1)).transpose(0, 1)).to(dtype)
            self.register_buffer(f"{name}_weight", weight.contiguous(memory_format=torch.channels_last))
            self.register_buffer(f"{name}_bias", fill(bias).to(dtype, copy=True))
        # {(name, what makes it): (what it was made from, its version then, what was made)}
        self._transformed: dict[tuple[str, Callable[[Tensor], Tensor]], tuple[Tensor, int, Tensor]] = {}

    @property
    def dtype(self) -> torch.dtype:
        """That of the activations."""
        dtype: torch.dtype = getattr(self, f"{self.names[0]}_weight").dtype
        return dtype

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that `forward` can return, in order."""
        return tuple(self.channels)

    def check(self, layers: Sequence[str]) -> None:
        """Raise InputError for a layer that this encoder does not have."""
        for layer in layers:
            if layer not in self.channels:
                raise InputError(f"layer {layer!r}: not in this encoder; it has {', '.join(self.layers)}")

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Activations of an image or of a batch.

        image: ([B, ]3, H, W), sRGB in [0, 1]. layers: names, of `self.layers`.
        Returns {layer: ([B, ]C, h, w)} in channels-last memory; nothing beyond the deepest layer wanted is computed.
        """
        wanted = [layer for layer in self.layers if layer in set(layers)]
        batch = image if image.ndim == 4 else image[None]
        trained = any(getattr(self, f"{name}_weight").requires_grad for name in self.names)
        if torch.is_grad_enabled() and image.requires_grad and not trained:
            found = _ImageGradient.apply(batch, self, wanted)
        else:
            found = self._activations(batch, wanted, None)
        return {layer: x if image.ndim == 4 else x.squeeze(0) for layer, x in zip(wanted, found, strict=True)}

    def _activations(self, image: Tensor, wanted: Sequence[str], kept: list[Tensor] | None) -> tuple[Tensor, ...]:
        """The wanted activations of a batch; every layer's, with what fills up its channels, goes into `kept`."""
        x = self._normalised(image)
        found: list[Tensor] = []
        block = "1"
        for name in self.names[: self.layers.index(wanted[-1]) + 1] if wanted else ():
            if name[4] != block:
                x = self._pooled(x)
                block = name[4]
            x = self._convolved(x, name)
            if kept is not None:
                kept.append(x)
            layer = f"relu{name[4:]}"
            if layer in wanted:
                found.append(x[:, : self.channels[layer]])
        return tuple(found)

    def _normalised(self, image: Tensor) -> Tensor:
        """The colours that conv1_1 expects, in channels-last memory: a matrix product, pixel by pixel."""
        pixels = image.permute(0, 2, 3, 1)
        colours = torch.addmm(self.offset, pixels.reshape(-1, 3), self.matrix.t())
        colours = colours.to(getattr(self, f"{self.names[0]}_weight").dtype)
        return colours.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2)

    def _pooled(self, x: Tensor) -> Tensor:
        ceil = self.pooling == "max_ceil"
        if x.requires_grad:  # in training, where the gradient of the weights is torch's business
            return F.max_pool2d(x, 2, ceil_mode=ceil)
        return max_pool(x, ceil)

    def _convolved(self, x: Tensor, name: str) -> Tensor:
        """relu(convolution(pad(x)))."""
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        if self._by_tiles(x, weight):
            tiles, reflect = self._transform(name, convolution_weights), self.padding == "reflect"
            return convolution(x, tiles, bias, len(bias), reflect=reflect, relu=True)
        border = 1
        if self.padding == "reflect":
            x, border = F.pad(x, (1, 1, 1, 1), mode="reflect" if min(x.shape[2:]) > 1 else "replicate"), 0
        if x.is_cuda and not weight.requires_grad:
            # One pass over the output instead of three.
            x = torch.cudnn_convolution_relu(x, weight, bias, [1, 1], [border, border], [1, 1], 1)
        else:
            x = F.conv2d(x, weight, bias, padding=border).relu_()
        return x.contiguous(memory_format=torch.channels_last)  # which it is, but for unusual backends

    def _by_tiles(self, x: Tensor, weight: Tensor) -> bool:
        """Whether `ops.convolution` takes it: on a CPU, not of few channels, nor where torch must know the gradient."""
        exact = x.dtype in (torch.float32, torch.float64)
        differentiated = torch.is_grad_enabled() and (weight.requires_grad or x.requires_grad)
        return x.device.type == "cpu" and exact and not differentiated and x.shape[1] >= _FEW_CHANNELS

    def _transform(self, name: str, transform: Callable[[Tensor], Tensor]) -> Tensor:
        """What a function makes of a convolution's weights; made when first used, and again when they have changed."""
        weight: Tensor = getattr(self, f"{name}_weight")
        version = 0 if weight.is_inference() else weight._version  # those of inference mode cannot change
        made = self._transformed.get((name, transform))
        if made is None or made[0] is not weight or made[1] != version:
            made = weight, version, transform(weight)
            self._transformed[name, transform] = made
        return made[2]

    def _image_gradient(self, kept: list[Tensor], wanted: Sequence[str], grads: Sequence[Tensor | None]) -> Tensor:
        """The gradient in the image (B, 3, H, W) from those in the wanted activations; empties `kept` on the way."""
        incoming = {layer: grad for layer, grad in zip(wanted, grads, strict=True) if grad is not None}
        total: Tensor | None = None  # the gradient in the activation of the layer at hand
        for i, name in reversed(list(enumerate(self.names[: len(kept)]))):
            x, layer = kept.pop(), f"relu{name[4:]}"
            block_ends = i + 1 < len(self.names) and self.names[i + 1][4] != name[4] and total is not None
            if block_ends:
                total = max_pool_backward(total, x)
            if layer in incoming:
                total = _added(total, incoming.pop(layer), x)
            if total is None:
                continue
            if not block_ends or layer in wanted:
                total = torch.ops.aten.threshold_backward.grad_input(total, x, 0, grad_input=total)
            total = self._convolution_gradient(total, name)
        if total is None:
            return torch.zeros(())
        colours = total.permute(0, 2, 3, 1)
        pixels = colours.reshape(-1, colours.shape[3]).to(self.matrix.dtype) @ self.matrix
        return pixels.view(*colours.shape[:3], 3).permute(0, 3, 1, 2)

    def _convolution_gradient(self, grad: Tensor, name: str) -> Tensor:
        """The gradient in a convolution's input: the convolution with its weights turned round."""
        weight = getattr(self, f"{name}_weight")
        padding = 1 if self.padding == "zeros" else 2
        if self._by_tiles(grad, weight):
            grad = convolution(grad, self._transform(name, _turned_for_tiles), None, weight.shape[1], padding)
        else:
            grad = F.conv2d(grad, self._transform(name, _turned), padding=padding)
            grad = grad.contiguous(memory_format=torch.channels_last)
        if self.padding == "zeros":
            return grad
        inner = 2 if min(grad.shape[2:]) > 3 else 1  # mirrored, or in a single row or column repeated
        for dim in (2, 3):  # what the border shows of the inside goes back there
            last = grad.shape[dim] - 1
            grad.narrow(dim, inner, 1).add_(grad.narrow(dim, 0, 1))
            grad.narrow(dim, last - inner, 1).add_(grad.narrow(dim, last, 1))
        return grad[:, :, 1:-1, 1:-1].contiguous(memory_format=torch.channels_last)


class _ImageGradient(torch.autograd.Function):
    """The activations as one function of the image: no gradient of a weight, nothing kept but activations.

    Each activation is let go of as soon as the gradient has passed it. Differentiable once.
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, encoder: Encoder, wanted: Sequence[str]) -> tuple[Tensor, ...]:
        ctx.encoder, ctx.wanted, ctx.kept = encoder, wanted, []
        ctx.set_materialize_grads(False)
        return encoder._activations(image, wanted, ctx.kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None]:
        if not ctx.kept:
            raise RuntimeError("Encoder: the gradient was asked for twice; run the encoder again")
        return ctx.encoder._image_gradient(ctx.kept, ctx.wanted, grads), None, None


def _turned(weight: Tensor) -> Tensor:
    """The weights (I, O, 3, 3) of the gradient of a convolution with weights (O, I, 3, 3)."""
    return weight.transpose(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)


def _turned_for_tiles(weight: Tensor) -> Tensor:
    return convolution_weights(_turned(weight))


def _filled(x: Tensor, multiple: int) -> Tensor:
    """x with zeros after its first dimension, which becomes a multiple of `multiple`."""
    missing = -len(x) % multiple
    return torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing else x


def _added(total: Tensor | None, grad: Tensor, like: Tensor) -> Tensor:
    """total + grad, in place; grad lacks the channels that fill up `like`."""
    if total is not None:
        total[:, : grad.shape[1]].add_(grad)
        return total
    if grad.shape[1] == like.shape[1]:
        return grad.clone(memory_format=torch.channels_last)  # the caller's gradient stays as it is
    total = torch.zeros_like(like)
    total[:, : grad.shape[1]] = grad
    return total


def load_encoder(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    channel_multiple: int = 1,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Encoder:
    """An encoder by name: "embedded", which comes with the package, "vgg19-16x" or "vgg19".

    weights: a file (see `fastphoto.weights.read_weights` for the formats), else the cache or a download.
    dtype, channel_multiple: see `Encoder`.

    Raises InputError for an unknown name and FileError for weights that cannot be had.
    """
    if name not in ENCODERS:
        raise InputError(f"encoder {name!r}: unknown; give one of {', '.join(ENCODERS)}")
    if name == "embedded":
        if weights is not None:
            raise InputError("weights: the embedded encoder has its own; name the encoder of the file with encoder=")
        return Encoder(read_weights(EMBEDDED), dtype, channel_multiple)
    return Encoder(load_weights(name, weights, progress=progress), dtype, channel_multiple)
