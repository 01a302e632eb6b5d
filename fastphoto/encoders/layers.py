"""The layers of VGG-19 by name: which there are, and where each lies in the network."""

from __future__ import annotations

import re
from typing import NamedTuple

from fastphoto.errors import InputError

BLOCKS = (2, 2, 4, 4, 4)
"""Convolutions in each of the five blocks of VGG-19; a pooling lies between one block and the next."""
VGG19_CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the convolutions in each block of VGG-19."""
CONVOLUTIONS = tuple(f"conv{block}_{index}" for block, count in enumerate(BLOCKS, 1) for index in range(1, count + 1))
"""Names of all convolutions, first to last."""

_NAME = re.compile(r"(?:relu|conv)([1-5])_([1-4])")


class Layer(NamedTuple):
    """A convolution of VGG-19 by its position, or the activation that follows it; layers sort by depth."""

    block: int  # 1 to 5
    index: int  # 1 to 4, within the block

    @staticmethod
    def parse(name: str) -> Layer:
        """Return the position of a layer by its name.

        Args:
            name: relu1_1 to relu5_4, or conv1_1 to conv5_4.

        Raises:
            InputError: any other name.

        Example:
            >>> Layer.parse("relu4_2")
            Layer(block=4, index=2)
        """
        match = _NAME.fullmatch(name)
        if match is None or int(match[2]) > BLOCKS[int(match[1]) - 1]:
            raise InputError(f"layer {name!r}: not a convolution of VGG-19; give relu1_1 to relu5_4")
        return Layer(int(match[1]), int(match[2]))

    @property
    def convolution(self) -> str:
        return f"conv{self.block}_{self.index}"

    @property
    def activation(self) -> str:
        return f"relu{self.block}_{self.index}"


def is_layer(name: str) -> bool:
    """Return whether `Layer.parse` knows a name."""
    match = _NAME.fullmatch(name)
    return match is not None and int(match[2]) <= BLOCKS[int(match[1]) - 1]
