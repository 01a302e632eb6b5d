"""Encoders: frozen convolutional networks of VGG-19's shape that turn a photo into activations."""

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

from fastphoto.encoders.download import DownloadProgress
from fastphoto.encoders.layers import Layer
from fastphoto.encoders.weights import EncoderWeights, caffe_normalisation, load_weights, read_weights
from fastphoto.errors import InputError
from fastphoto.ops import convolution, convolution_weights, max_pool, max_pool_backward
from fastphoto.runtime.host_state import apart_from_host

ENCODERS = ("embedded", "vgg19-16x", "vgg19")
"""Names that `load_encoder` accepts."""
EMBEDDED = Path(__file__).with_name("embedded") / "encoder.safetensors"
"""Weight file that comes with the package; MODEL_CARD.md in the same folder describes it."""

_MINIMUM_CHANNELS = 8  # of the input; with fewer, its transform for `ops.convolution` costs more than it saves


class Encoder(nn.Module):
    """A network of VGG-19's shape: a 1x1 normalisation, then blocks of 3x3 convolutions with ReLU and 2x2 max-pooling.

    Layers have the names of VGG-19: "relu4_2" is the activation of the second convolution of block 4. The weights are
    constants (buffers); gradients flow to the image.

    Args:
        weights: weights, padding and pooling of the network; copied, never changed.
        dtype: dtype of the activations and of the convolutions' weights.
        channel_multiple: divisor of every layer's channel count, reached by adding zero channels, because some
            convolutions need it. Activations are returned without the zero channels.

    Attributes:
        names: names of the convolutions, "conv1_1" and so on, in network order.
        channels: {layer: number of its channels}, in network order, without zero channels.
        padding: padding of the input of each convolution, "zeros" or "reflect".
        pooling: rounding of odd sizes by the pooling, "max_ceil" or "max_floor".
        published_scale: whether the input is prepared as for the Caffe network of the paper (BGR, x256, minus the mean
            colour). The published loss weights were chosen for the activations of that network.

    Example:
        >>> encoder = load_encoder("embedded")
        >>> encoder(torch.zeros(3, 64, 96), ["relu1_1", "relu2_1"])["relu2_1"].shape
        torch.Size([28, 32, 48])
    """

    matrix: Tensor  # (3, 3), or (channel_multiple, 3): the colours that conv1_1 expects, from RGB
    offset: Tensor  # (3,), or (channel_multiple,)

    def __init__(self, weights: EncoderWeights, dtype: torch.dtype = torch.float32, channel_multiple: int = 1) -> None:
        super().__init__()
        self.padding = weights.padding
        self.pooling = weights.pooling
        self.names = tuple(weights.convolutions)
        self.channels = {Layer.parse(name).activation: len(bias) for name, (_, bias) in weights.convolutions.items()}
        matrix, offset = weights.normalise
        same = functools.partial(torch.allclose, rtol=1e-4)
        self.published_scale = all(map(same, weights.normalise, caffe_normalisation()))
        fill = functools.partial(_with_zero_channels, multiple=channel_multiple)
        self.register_buffer("matrix", fill(matrix).clone())
        self.register_buffer("offset", fill(offset).clone())
        for name, (weight, bias) in weights.convolutions.items():
            weight = fill(fill(weight.transpose(0, 1)).transpose(0, 1)).to(dtype)
            self.register_buffer(f"{name}_weight", weight.contiguous(memory_format=torch.channels_last))
            self.register_buffer(f"{name}_bias", fill(bias).to(dtype, copy=True))
        # {(convolution, transform): (weight, version of the weight then, transformed weight)}
        self._transformed: dict[tuple[str, Callable[[Tensor], Tensor]], tuple[Tensor, int, Tensor]] = {}

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the activations."""
        return self._weight(self.names[0]).dtype

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that `forward` can return, in network order."""
        return tuple(self.channels)

    def check(self, layers: Sequence[str]) -> None:
        """Raise InputError if this encoder lacks one of the layers."""
        for layer in layers:
            if layer not in self.channels:
                raise InputError(f"layer {layer!r}: not in this encoder; it has {', '.join(self.layers)}")

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the activations of an image or of a batch of images.

        Layers beyond the deepest requested one are not computed. The gradient of the image can be computed once.

        Args:
            image: image or batch of images, (3, H, W) or (B, 3, H, W), sRGB in [0, 1].
            layers: names of the requested layers, from `self.layers`, see `check`.

        Returns:
            {layer: (C, h, w) or (B, C, h, w)} in channels-last memory, in network order.
        """
        requested = [layer for layer in self.layers if layer in set(layers)]
        batch = image if image.ndim == 4 else image[None]
        trained = any(self._weight(name).requires_grad for name in self.names)
        if torch.is_grad_enabled() and image.requires_grad and not trained:
            activations = _ImageGradient.apply(batch, self, requested)  # type: ignore[no-untyped-call]
        else:
            activations = self._activations(batch, requested, None)
        return {layer: x if image.ndim == 4 else x.squeeze(0) for layer, x in zip(requested, activations, strict=True)}

    def _weight(self, name: str) -> Tensor:
        weight: Tensor = getattr(self, f"{name}_weight")
        return weight

    def _activations(self, image: Tensor, requested: Sequence[str], saved: list[Tensor] | None) -> tuple[Tensor, ...]:
        """Return the requested activations of a batch.

        The activations of all computed layers, zero channels included, are appended to `saved`.
        """
        x = self._normalise(image)
        activations: list[Tensor] = []
        block = 1
        for name in self.names[: self.layers.index(requested[-1]) + 1] if requested else ():
            layer = Layer.parse(name)
            if layer.block != block:
                x = self._pool(x)
                block = layer.block
            x = self._convolve(x, name)
            if saved is not None:
                saved.append(x)
            if layer.activation in requested:
                activations.append(x[:, : self.channels[layer.activation]])
        return tuple(activations)

    def _normalise(self, image: Tensor) -> Tensor:
        """Return the colours that conv1_1 expects, in channels-last memory, by a matrix product over the pixels."""
        pixels = image.permute(0, 2, 3, 1)
        colours = torch.addmm(self.offset, pixels.reshape(-1, 3), self.matrix.t())
        return colours.to(self.dtype).view(*pixels.shape[:3], -1).permute(0, 3, 1, 2)

    def _pool(self, x: Tensor) -> Tensor:
        ceil = self.pooling == "max_ceil"
        if x.requires_grad:  # the weights are being trained; autograd does not differentiate `max_pool`
            return F.max_pool2d(x, 2, ceil_mode=ceil)
        return max_pool(x, ceil)

    def _convolve(self, x: Tensor, name: str) -> Tensor:
        """Return relu(convolution(pad(x)))."""
        weight, bias = self._weight(name), getattr(self, f"{name}_bias")
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
        return x.contiguous(memory_format=torch.channels_last)  # a copy only on backends that return another format

    def _by_tiles(self, x: Tensor, weight: Tensor) -> bool:
        """Return whether `ops.convolution` applies: on a CPU, to enough channels, and without autograd."""
        supported = x.dtype in (torch.float32, torch.float64)
        differentiated = torch.is_grad_enabled() and (weight.requires_grad or x.requires_grad)
        return x.device.type == "cpu" and supported and not differentiated and x.shape[1] >= _MINIMUM_CHANNELS

    def _transform(self, name: str, transform: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a convolution's transformed weight; cached until the weight changes."""
        weight = self._weight(name)
        version = 0 if weight.is_inference() else weight._version  # inference tensors have no version and do not change
        cached = self._transformed.get((name, transform))
        if cached is None or cached[0] is not weight or cached[1] != version:
            cached = weight, version, transform(weight)
            self._transformed[name, transform] = cached
        return cached[2]

    def _image_gradient(self, saved: list[Tensor], requested: Sequence[str], grads: Sequence[Tensor | None]) -> Tensor:
        """Return the image gradient (B, 3, H, W) from the gradients of the requested activations, and empty `saved`."""
        incoming = {layer: grad for layer, grad in zip(requested, grads, strict=True) if grad is not None}
        total: Tensor | None = None  # gradient of the current layer's activation, or of its pooled activation
        following: Layer | None = None
        for name in reversed(self.names[: len(saved)]):
            layer, x = Layer.parse(name), saved.pop()
            behind_relu = False
            if total is not None and following is not None and following.block != layer.block:
                total = max_pool_backward(total, x)  # also applies the ReLU's gradient
                behind_relu = True
            following = layer
            if layer.activation in incoming:
                total = _add(total, incoming.pop(layer.activation), x)
                behind_relu = False
            if total is None:
                continue
            if not behind_relu:
                total = torch.ops.aten.threshold_backward.grad_input(total, x, 0, grad_input=total)
            total = self._convolution_gradient(total, name)
        if total is None:
            return torch.zeros((), dtype=torch.float32)
        colours = total.permute(0, 2, 3, 1)
        pixels = colours.reshape(-1, colours.shape[3]).to(self.matrix.dtype) @ self.matrix
        return pixels.view(*colours.shape[:3], 3).permute(0, 3, 1, 2)

    def _convolution_gradient(self, grad: Tensor, name: str) -> Tensor:
        """Return the gradient of a convolution's input: the convolution of `grad` with the flipped weights."""
        weight = self._weight(name)
        padding = 1 if self.padding == "zeros" else 2
        if self._by_tiles(grad, weight):
            grad = convolution(grad, self._transform(name, _flipped_for_tiles), None, weight.shape[1], padding)
        else:
            grad = F.conv2d(grad, self._transform(name, _flipped), padding=padding)
            grad = grad.contiguous(memory_format=torch.channels_last)
        if self.padding == "zeros":
            return grad
        # Reflection copied the second row into the border, or the first row if there is only one. The border's gradient
        # is therefore added to that row. The same holds for the last rows and for the columns.
        source = 2 if min(grad.shape[2:]) > 3 else 1
        for dim in (2, 3):
            last = grad.shape[dim] - 1
            grad.narrow(dim, source, 1).add_(grad.narrow(dim, 0, 1))
            grad.narrow(dim, last - source, 1).add_(grad.narrow(dim, last, 1))
        return grad[:, :, 1:-1, 1:-1].contiguous(memory_format=torch.channels_last)


class _ImageGradient(torch.autograd.Function):
    """The activations as one function of the image, which saves only activations for the backward pass.

    The backward pass frees each activation after its use, so the gradient can be computed only once.
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, encoder: Encoder, requested: Sequence[str]) -> tuple[Tensor, ...]:
        ctx.encoder, ctx.requested, ctx.saved = encoder, requested, []
        ctx.set_materialize_grads(False)
        return encoder._activations(image, requested, ctx.saved)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None]:
        if not ctx.saved:
            raise RuntimeError("Encoder: the gradient was asked for twice; run the encoder again")
        return ctx.encoder._image_gradient(ctx.saved, ctx.requested, grads), None, None


def _flipped(weight: Tensor) -> Tensor:
    """Return the weight (I, O, 3, 3) that computes the input gradient of a convolution with `weight` (O, I, 3, 3)."""
    return weight.transpose(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)


def _flipped_for_tiles(weight: Tensor) -> Tensor:
    return convolution_weights(_flipped(weight))


def _with_zero_channels(x: Tensor, multiple: int) -> Tensor:
    """Return x with zeros appended to its first dimension, up to a multiple of `multiple`."""
    missing = -len(x) % multiple
    return torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing else x


def _add(total: Tensor | None, grad: Tensor, like: Tensor) -> Tensor:
    """Return total + grad, with total changed in place; `grad` lacks the zero channels that `like` has."""
    if total is not None:
        total[:, : grad.shape[1]].add_(grad)
        return total
    if grad.shape[1] == like.shape[1]:
        return grad.clone(memory_format=torch.channels_last)  # the caller's gradient must not change
    total = torch.zeros_like(like)
    total[:, : grad.shape[1]] = grad
    return total


@apart_from_host
def load_encoder(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    channel_multiple: int = 1,
    progress: DownloadProgress | None = None,
) -> Encoder:
    """Load an encoder by name.

    Args:
        name: encoder name, "embedded" (comes with the package), "vgg19-16x" or "vgg19".
        weights: path of the weight file, see `fastphoto.encoders.weights.read_weights` for the formats. None: the
            cached file, or a download. Not for "embedded".
        dtype: dtype of the activations, see `Encoder`.
        channel_multiple: divisor of every layer's channel count, see `Encoder`.
        progress: function called during a download with the file's name, bytes so far, and total bytes or None.

    Returns:
        The encoder, on the CPU.

    Raises:
        InputError: the name is unknown, or `weights` is given for "embedded".
        FileError: the weights cannot be read, downloaded or verified.

    Example:
        >>> load_encoder("embedded").layers[:3]
        ('relu1_1', 'relu1_2', 'relu2_1')
    """
    if name not in ENCODERS:
        raise InputError(f"encoder {name!r}: unknown; give one of {', '.join(ENCODERS)}")
    if name == "embedded":
        if weights is not None:
            raise InputError("weights: the embedded encoder has its own; name the encoder of the file with encoder=")
        return Encoder(read_weights(EMBEDDED), dtype, channel_multiple)
    return Encoder(load_weights(name, weights, progress=progress), dtype, channel_multiple)
