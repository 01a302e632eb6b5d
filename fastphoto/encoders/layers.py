"""The layers of VGG-19: their names, and the position in the network that each name stands for."""

from __future__ import annotations

import re
from typing import NamedTuple

from fastphoto.errors import InputError

BLOCKS = (2, 2, 4, 4, 4)
"""Number of convolutions in each of the five blocks of VGG-19; one pooling separates each block from the next."""
VGG19_CHANNELS = (64, 128, 256, 512, 512)
"""Output channels of every convolution in each block of VGG-19."""
CONVOLUTIONS = tuple(f"conv{block}_{number}" for block, count in enumerate(BLOCKS, 1) for number in range(1, count + 1))
"""Names of all convolutions, "conv1_1" to "conv5_4", in network order."""

_NAME = re.compile(r"(?:relu|conv)([1-5])_([1-4])")


class Layer(NamedTuple):
    """Position of a convolution in VGG-19, and of the activation that follows it. Layers sort by depth."""

    block: int  # 1 to 5
    number: int  # 1 to 4, counted within the block

    @staticmethod
    def parse(name: str) -> Layer:
        """Return the layer with the given name.

        Args:
            name: layer name, relu1_1 to relu5_4 or conv1_1 to conv5_4.

        Raises:
            InputError: the name is no such layer.

        Example:
            >>> Layer.parse("relu4_2")
            Layer(block=4, number=2)
            >>> Layer.parse("conv1_2") < Layer.parse("relu2_1")
            True
        """
        layer = _parsed(name)
        if layer is None:
            raise InputError(f"layer {name!r}: not a convolution of VGG-19; give relu1_1 to relu5_4")
        return layer

    @property
    def convolution(self) -> str:
        """Name of the convolution, such as "conv4_2"."""
        return f"conv{self.block}_{self.number}"

    @property
    def activation(self) -> str:
        """Name of the ReLU activation after the convolution, such as "relu4_2"."""
        return f"relu{self.block}_{self.number}"


def is_layer(name: str) -> bool:
    """Return whether `Layer.parse` accepts a name."""
    return _parsed(name) is not None


def _parsed(name: str) -> Layer | None:
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    layer = Layer(int(match[1]), int(match[2]))
    return layer if layer.number <= BLOCKS[layer.block - 1] else None
