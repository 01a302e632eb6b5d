"""What every kind of clip has in common: frames to read, and an output that takes their results in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor


class Frame(Protocol):
    """One frame of a clip; it holds what was decoded, and computes pixels when asked."""

    def pixels(self) -> Tensor:
        """Return the colours, (H, W, 3) float32 in [0, 1]."""

    def shrunk(self, size: tuple[int, int]) -> Tensor:
        """Return the colours averaged to a size (height, width), (3, h, w) float32 in [0, 1]."""


class Clip(Protocol):
    """A clip that is open for reading."""

    name: str
    """Name in messages."""
    size: tuple[int, int]
    """(height, width) of the frames as they are stored."""
    quarter_turns: int
    """Counter-clockwise quarter turns that bring a stored frame upright."""
    expected_frames: int | None
    """Number of frames that the clip promises; None: unknown."""

    def frames(self) -> Iterator[Frame]:
        """Decode the frames in the order of display."""


class ClipOutput(Protocol):
    """The output of a clip, which gets its name only when it is complete."""

    def write(self, frame: Frame, pixels: Tensor) -> None:
        """Write the result of a frame, (H, W, 3) in [0, 1]."""

    def complete(self) -> None:
        """Finish the output and give it its name."""

    def discard(self) -> None:
        """Delete what is not complete; nothing if `complete` has run."""
