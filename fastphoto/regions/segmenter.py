"""The segmentation network that comes with the package: what each part of a photo shows, as 32 classes."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fastphoto.errors import FileError, InputError, error_text, printable

SCENE_CLASSES = (
    *("other", "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "window", "grass", "cabinet"),
    *("sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water"),
    *("painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair"),
)
"""Classes of the network, in the order of its channels: the 31 most frequent of ADE20K, and "other"."""
SEGMENTER = Path(__file__).with_name("embedded") / "segmenter.safetensors"
"""Weight file that comes with the package; MODEL_CARD.md in the same folder describes it."""

_INPUT_SIDE = 512  # pixels of the square that the network sees
_MINIMUM_SIDE = 16  # pixels; a smaller photo shows nothing that could be named


class BottleneckShape(NamedTuple):
    """Shape of one bottleneck; `expanded` is its width before pruning."""

    inputs: int
    expanded: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1


BOTTLENECKS = (
    BottleneckShape(32, 96, 32, stride=2),
    BottleneckShape(32, 64, 32),
    BottleneckShape(32, 160, 64, kernel=5, stride=2),
    BottleneckShape(64, 192, 64),
    BottleneckShape(64, 128, 64),
    BottleneckShape(64, 192, 64),
    BottleneckShape(64, 384, 128, kernel=5, stride=2),
    BottleneckShape(128, 384, 128),
    BottleneckShape(128, 384, 128),
    BottleneckShape(128, 384, 128),
    BottleneckShape(128, 768, 160),
    BottleneckShape(160, 640, 160),
    BottleneckShape(160, 960, 192),
    BottleneckShape(192, 384, 96, kernel=5, dilation=2),
    BottleneckShape(96, 384, 96, kernel=5, dilation=2),
    BottleneckShape(96, 384, 96, kernel=5, dilation=2),
)
"""Shapes of the bottlenecks of MOSAIC R4, in network order."""

_FINE, _MIDDLE = 1, 5  # bottlenecks whose expanded channels, at 1/4 and 1/8 of the input, draw the borders
_WINDOWS = (8, 4, 2)  # of the averages that see a wide context, in pixels at 1/16 of the input
_CONTEXT, _MIXED, _FUSED, _DECODED = 448, 64, 128, 64  # channels of the decoder


class Convolution(nn.Module):
    """A convolution with the padding "SAME" of TensorFlow, which puts an odd row at the bottom and column at the right.

    Weight and bias are constants (buffers), uninitialised until they are loaded.

    Example:
        >>> Convolution(3, 32, kernel=3, stride=2)(torch.zeros(1, 3, 64, 48)).shape
        torch.Size([1, 32, 32, 24])
    """

    weight: Tensor  # (outputs, inputs / groups, kernel, kernel)
    bias: Tensor  # (outputs,)

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.stride, self.dilation, self.groups = stride, dilation, groups
        self.register_buffer("weight", torch.empty(outputs, inputs // groups, kernel, kernel, dtype=torch.float32))
        self.register_buffer("bias", torch.empty(outputs, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x, (B, inputs, H, W), at 1/stride of its size, rounded up."""
        reach = (self.weight.shape[2] - 1) * self.dilation
        if self.stride == 1:
            return F.conv2d(x, self.weight, self.bias, 1, reach // 2, self.dilation, self.groups)
        pads: list[int] = []
        for n in (x.shape[3], x.shape[2]):
            total = max((-(-n // self.stride) - 1) * self.stride + reach + 1 - n, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Bottleneck(nn.Module):
    """An inverted bottleneck: 1x1 to more channels, a convolution of each channel, 1x1 to fewer channels.

    The input is added to the output where both have the same shape.

    Args:
        shape: shape of the bottleneck.
        expanded: number of channels that remain of `shape.expanded`.
    """

    def __init__(self, shape: BottleneckShape, expanded: int) -> None:
        super().__init__()
        self.adds = shape.stride == 1 and shape.inputs == shape.outputs
        self.expand = Convolution(shape.inputs, expanded)
        self.depth = Convolution(
            *(expanded, expanded), kernel=shape.kernel, stride=shape.stride, dilation=shape.dilation, groups=expanded
        )
        self.project = Convolution(expanded, shape.outputs)

    def hidden(self, x: Tensor) -> Tensor:
        """Return the expanded channels of x, (B, expanded, h, w)."""
        return self.depth(self.expand(x).relu_()).relu_()

    def close(self, hidden: Tensor, x: Tensor) -> Tensor:
        """Return the output, (B, outputs, h, w), from the expanded channels of x."""
        return self.project(hidden) + x if self.adds else self.project(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output, (B, outputs, h, w), of x, (B, inputs, H, W)."""
        return self.close(self.hidden(x), x)


class Scale(nn.Module):
    """The context averaged over windows of one size: each half of the channels through kernels of 3 or 5 averages.

    Args:
        window: side of the windows in pixels.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        half = _CONTEXT // 2
        self.depth3, self.mix3 = Convolution(half, half, kernel=3, groups=half), Convolution(half, _MIXED)
        self.depth5, self.mix5 = Convolution(half, half, kernel=5, groups=half), Convolution(half, _MIXED)

    def forward(self, context: Tensor) -> Tensor:
        """Return (B, 128, h, w) for a context of (B, 448, h, w)."""
        narrow, wide = F.avg_pool2d(context, self.window).chunk(2, 1)
        mixed = [self.mix3(self.depth3(narrow).relu_()), self.mix5(self.depth5(wide).relu_())]
        return enlarge_from_corner(torch.cat(mixed, 1).relu_(), (context.shape[2], context.shape[3]))


class Decoder(nn.Module):
    """The second part of the network: from the last bottleneck, and channels of two earlier ones, to the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.context = Convolution(BOTTLENECKS[-1].outputs, _CONTEXT)
        self.refine = Convolution(BOTTLENECKS[_FINE].expanded, len(SCENE_CLASSES))
        self.scales = nn.ModuleList(Scale(window) for window in _WINDOWS)
        self.fuse = Convolution(_CONTEXT + 2 * _MIXED * len(_WINDOWS), _FUSED)
        self.decode = Convolution(_FUSED + BOTTLENECKS[_MIDDLE].expanded, _DECODED)
        self.depth = Convolution(_DECODED, _DECODED, kernel=3, groups=_DECODED)
        self.score = Convolution(_DECODED, len(SCENE_CLASSES))

    def forward(self, x: Tensor, middle: Tensor, fine: Tensor) -> Tensor:
        """Return logits (B, 32, 4h, 4w) for x (B, 96, h, w), middle (B, 192, 2h, 2w) and fine (B, 64, 4h, 4w)."""
        context = self.context(x).relu_()
        fused = self.fuse(torch.cat([*(scale(context) for scale in self.scales), context], 1)).relu_()
        joined = torch.cat([enlarge_from_corner(fused, (middle.shape[2], middle.shape[3])), middle], 1)
        scores = self.score(self.depth(self.decode(joined).relu_()).relu_()).relu_()
        return enlarge_from_corner(scores, (fine.shape[2], fine.shape[3])) + self.refine(fine).relu_()


class SceneNetwork(nn.Module):
    """MOSAIC R4, a network for semantic segmentation, with as many expanded channels as pruning has left.

    Args:
        expanded: number of expanded channels of each of the 16 bottlenecks. None: those of the published network.

    Example:
        >>> load_segmenter()(torch.zeros(3, 300, 400)).shape
        torch.Size([32, 128, 128])
    """

    def __init__(self, expanded: Sequence[int] | None = None) -> None:
        super().__init__()
        widths = expanded or [shape.expanded for shape in BOTTLENECKS]
        self.stem = Convolution(3, BOTTLENECKS[0].inputs, kernel=3, stride=2)
        self.blocks = nn.ModuleList(Bottleneck(*pair) for pair in zip(BOTTLENECKS, widths, strict=True))
        self.decoder = Decoder()

    def forward(self, photo: Tensor) -> Tensor:
        """Return the logits of the classes.

        Args:
            photo: photo, (3, H, W), sRGB in [0, 1], of any size; stretched to a square of 512 pixels.

        Returns:
            Logits in the order of SCENE_CLASSES, (32, 128, 128); the rows and columns divide the photo evenly.
        """
        square = F.interpolate(photo[None], (_INPUT_SIDE, _INPUT_SIDE), mode="bilinear", antialias=True)
        return self.decoder(*self.features(square)).squeeze(0)

    def features(self, squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the decoder reads, for squares (B, 3, 512, 512), sRGB in [0, 1]."""
        x = self.stem(squares * 2 - 1).relu_()
        kept = {}
        for number, block in enumerate(cast(Iterable[Bottleneck], self.blocks)):
            hidden = block.hidden(x)
            if number in (_FINE, _MIDDLE):
                kept[number] = hidden
            x = block.close(hidden, x)
        return x, kept[_MIDDLE], kept[_FINE]


def enlarge_from_corner(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge bilinearly with the positions that the network was trained with: pixel i of m shows position i * n / m.

    So the corners at the top left coincide, and the last row and column are repeated. PyTorch's `interpolate` has
    other positions.

    Args:
        x: images, (..., h, w).
        size: height and width of the result.

    Returns:
        Images, (..., H, W).

    Example:
        >>> enlarge_from_corner(torch.tensor([[0.0, 1.0]]), (1, 4))
        tensor([[0.0000, 0.5000, 1.0000, 1.0000]])
    """
    for dim, m in zip((-2, -1), size, strict=True):
        n = x.shape[dim]
        position = torch.arange(m, dtype=torch.float32) * (n / m)
        low = position.long()
        share = (position - low).to(x).reshape(-1, *(1,) * (-1 - dim))
        x = torch.lerp(x.index_select(dim, low), x.index_select(dim, (low + 1).clamp(max=n - 1)), share)
    return x


def scene_scores(photo: Tensor) -> Tensor:
    """Return what a photo shows, as log-probabilities of the classes.

    Args:
        photo: photo, (3, H, W), sRGB in [0, 1], at least 16 pixels high and wide, floating point.

    Returns:
        Log-probabilities in the order of SCENE_CLASSES, (32, 128, 128) float32 on the CPU. The rows and columns divide
        the photo evenly, whatever its aspect.

    Raises:
        InputError: the photo has another shape or dtype.
        FileError: the weight file of the package is damaged.

    Example:
        >>> scores = scene_scores(torch.rand(3, 60, 80))
        >>> scores.shape, round(float(scores.exp().sum(0).mean()), 3)
        (torch.Size([32, 128, 128]), 1.0)
    """
    shape = tuple(photo.shape)
    if len(shape) != 3 or shape[0] != 3 or min(shape) < 3 or min(shape[1:]) < _MINIMUM_SIDE:
        raise InputError(f"photo: got shape {shape}; give (3, H, W), H and W at least {_MINIMUM_SIDE}")
    if not photo.is_floating_point():
        raise InputError(f"photo: got dtype {photo.dtype}; give floating point in [0, 1]")
    with torch.no_grad():
        logits: Tensor = load_segmenter()(photo.detach().to("cpu", torch.float32))
        return logits.log_softmax(0)


@functools.cache
def load_segmenter() -> SceneNetwork:
    """Return the network that comes with the package, on the CPU; read once.

    Raises:
        FileError: the weight file is damaged.

    Example:
        >>> len(load_segmenter().blocks)
        16
    """
    return read_segmenter(SEGMENTER)


def read_segmenter(path: str | os.PathLike[str]) -> SceneNetwork:
    """Read a network from a weight file of whole numbers.

    Each convolution NAME has NAME.weight, int8, or uint8 with two numbers of 4 bits in each byte; NAME.scale, float16,
    which its output channels are multiplied by; and NAME.bias, float16.

    Args:
        path: safetensors file.

    Returns:
        The network, its weights float32.

    Raises:
        FileError: the file cannot be read or is not such a file.

    Example:
        >>> read_segmenter(SEGMENTER).stem.weight.shape
        torch.Size([32, 3, 3, 3])
    """
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        blocks = range(len(BOTTLENECKS))
        network = SceneNetwork([stored[f"blocks.{number}.expand.bias"].numel() for number in blocks])
        layers = {name.rpartition(".")[0] for name in network.state_dict()}
        if stored.keys() != {f"{name}.{part}" for name in layers for part in ("weight", "scale", "bias")}:
            raise ValueError("its tensors have other names")
        for name in layers:
            convolution = network.get_submodule(name)
            weight, scale, bias = (stored[f"{name}.{part}"] for part in ("weight", "scale", "bias"))
            values = {"weight": unpack_weight(weight, scale), "bias": bias.float()}
            for part, value in values.items():
                if value.shape != getattr(convolution, part).shape or not value.isfinite().all():
                    raise ValueError(f"{name}.{part} has another shape, or values that are not finite")
                setattr(convolution, part, value)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise FileError(
            f"{printable(path)}: not the weights of a segmentation network ({error_text(error)}); "
            "reinstall fastphoto, or give another file"
        ) from error
    return network.requires_grad_(False).eval()


def unpack_weight(weight: Tensor, scale: Tensor) -> Tensor:
    """Return the weight (outputs, inputs, kernel, kernel) float32 of a convolution from its numbers in a file.

    Args:
        weight: int8, (outputs, inputs, kernel, kernel); or uint8, (outputs, inputs / 2, 1, 1), where each byte has 8
            plus the weight of an even input in its lower four bits, and 8 plus that of the next input in the others.
        scale: factor of each output, (outputs,).

    Raises:
        ValueError: a tensor has another dtype or number of dimensions.

    Example:
        >>> packed = torch.tensor([7 + 8 + 16 * (-7 + 8)], dtype=torch.uint8).reshape(1, 1, 1, 1)
        >>> unpack_weight(packed, torch.tensor([0.5])).flatten()
        tensor([ 3.5000, -3.5000])
    """
    if weight.dtype not in (torch.int8, torch.uint8) or weight.ndim != 4 or scale.shape != weight.shape[:1]:
        raise ValueError(f"a weight is {weight.dtype} {tuple(weight.shape)} with {tuple(scale.shape)} factors")
    if weight.dtype == torch.uint8:
        weight = torch.stack([weight & 15, weight >> 4], 2).flatten(1, 2).to(torch.int8) - 8
    return weight.float() * scale.float()[:, None, None, None]
