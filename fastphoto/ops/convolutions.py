"""3 x 3 convolutions on the CPU by Winograd's minimal filtering."""

from __future__ import annotations

import torch
from torch import Tensor

from fastphoto.ops.library import native

# Neither operator has a gradient registered: the encoder computes its whole image gradient as one function.

# ---- convolution_weights


def convolution_weights(weight: Tensor) -> Tensor:
    """Transform filters for :func:`convolution`: G w G^T of each filter, which takes four times the memory.

    Args:
        weight: filters, (O, I, 3, 3), float32 or float64, on the CPU.

    Returns:
        Transformed filters, (36, ceil(O / 16), I, 16): points of the transform, panels of 16 output channels, input
        channels, channels of the panel; the last panel is padded with zeros.

    Raises:
        RuntimeError: a wrong shape or dtype.

    Example:
        >>> convolution_weights(torch.rand(20, 8, 3, 3)).shape
        torch.Size([36, 2, 8, 16])
    """
    return native.convolution_weights.default(weight)


# The fake kernel: torch.compile traces without data, and needs the shape of the result.
@torch.library.register_fake("fastphoto::convolution_weights")
def _fake_convolution_weights(weight: Tensor) -> Tensor:
    return weight.new_empty((36, -(-weight.shape[0] // 16), weight.shape[1], 16))


# ---- convolution


def convolution(
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    out_channels: int,
    padding: int = 1,
    reflect: bool = False,
    relu: bool = False,
) -> Tensor:
    """Convolve with 3 x 3 filters and stride 1 on the CPU by Winograd's F(4 x 4, 3 x 3), Lavin and Gray (CVPR 2016).

    For each 4 x 4 tile of the output, y = A^T [(G w G^T) . (B^T x B)] A needs a quarter of the definition's products.
    In float32 the error is about 1e-6 of the output's magnitude. On a GPU, use PyTorch's own convolution.

    Autograd does not differentiate the result. Without `reflect` and `relu`, the gradient with respect to x is the
    convolution of the incoming gradient with `weight.transpose(0, 1).flip(2, 3)` and padding 2 - padding.

    Args:
        x: activations, (B, I, H, W) in dense channels-last memory, float32 or float64.
        weights: transformed filters from :func:`convolution_weights`, same dtype.
        bias: one number for each output channel, (O,), or None.
        out_channels: number of output channels, O.
        padding: pixels added around x, 0, 1 or 2.
        reflect: whether these pixels mirror x; if not, they are zeros.
        relu: whether negative outputs become 0.

    Returns:
        Outputs, (B, O, H + 2 padding - 2, W + 2 padding - 2), channels-last.

    Raises:
        RuntimeError: a wrong shape, dtype, memory format or number.

    Example:
        >>> x = torch.rand(1, 8, 6, 7).to(memory_format=torch.channels_last)
        >>> weight, bias = torch.rand(20, 8, 3, 3), torch.rand(20)
        >>> y = convolution(x, convolution_weights(weight), bias, out_channels=20)
        >>> torch.allclose(y, torch.nn.functional.conv2d(x, weight, bias, padding=1), atol=1e-4)
        True
    """
    return native.convolution.default(x, weights, bias, out_channels, padding, reflect, relu)


@torch.library.register_fake("fastphoto::convolution")
def _fake_convolution(
    x: Tensor, weights: Tensor, bias: Tensor | None, out_channels: int, padding: int, reflect: bool, relu: bool
) -> Tensor:
    batch, _, height, width = x.shape
    grown = 2 * padding - 2
    return x.new_empty((batch, height + grown, width + grown, out_channels)).permute(0, 3, 1, 2)
