"""What the transfer of a clip reports after each frame: the type `VideoProgress`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class VideoProgress:
    """The state of the transfer of a clip, as its callback receives it after each written frame."""

    frames: int
    """Frames written so far."""
    total: int | None
    """Frames of the clip, as far as the file says; None: unknown."""
    shots: int
    """Shots begun so far."""
    keyframes: int
    """Keyframes transferred so far."""
    seconds: float
    """Seconds since the start."""

    @property
    def frames_per_second(self) -> float:
        """Mean speed so far, keyframes included."""
        return self.frames / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at that speed; None: unknown."""
        if self.total is None or self.frames == 0:
            return None
        return max(0, self.total - self.frames) / self.frames_per_second


VideoCallback = Callable[[VideoProgress], bool | None]
"""Receives a `VideoProgress` after each frame; returning True ends the output there, complete."""
