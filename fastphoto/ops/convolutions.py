"""3 x 3 convolutions on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.ops.library import native


def convolution_weights(weight: Tensor) -> Tensor:
    """Filters as :func:`convolution` wants them: G w G^T of each, 4 times the memory.

    Args:
        weight: (O, I, 3, 3), float32 or float64, on the CPU.

    Returns:
        (36, ceil(O / 16), I, 16): points of the transform, panels of output channels, filled up with zeros.
    """
    return native.convolution_weights.default(weight)


@torch.library.register_fake("fastphoto::convolution_weights")
def _(weight: Tensor) -> Tensor:
    return weight.new_empty((36, -(-weight.shape[0] // 16), weight.shape[1], 16))


def convolution(
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    out_channels: int,
    padding: int = 1,
    reflect: bool = False,
    relu: bool = False,
) -> Tensor:
    """3 x 3 convolution with stride 1 on the CPU by Winograd's F(4 x 4, 3 x 3), Lavin and Gray (CVPR 2016).

    y = A^T [(G w G^T) . (B^T x B)] A for each 4 x 4 tile of the output: a quarter of the definition's products,
    and in float32 an error of about 1e-6 relative to the output's size. Not differentiable itself: the gradient
    in x is the convolution with the filters turned round, `weight.transpose(0, 1).flip(2, 3)`. On a GPU cuDNN
    has as good ones.

    Args:
        x: (B, I, H, W) in dense channels-last memory, float32 or float64.
        weights: of :func:`convolution_weights`; same dtype. out_channels: O.
        bias: (O,) or None. relu: whether negative outputs become 0.
        padding: 0, 1 or 2 pixels around x, zeros or, with `reflect`, x mirrored.

    Returns:
        (B, O, H + 2 padding - 2, W + 2 padding - 2), channels-last.
    """
    return native.convolution.default(x, weights, bias, out_channels, padding, reflect, relu)


@torch.library.register_fake("fastphoto::convolution")
def _(
    x: Tensor, weights: Tensor, bias: Tensor | None, out_channels: int, padding: int, reflect: bool, relu: bool
) -> Tensor:
    batch, _, height, width = x.shape
    grown = 2 * padding - 2
    return x.new_empty((batch, height + grown, width + grown, out_channels)).permute(0, 3, 1, 2)
