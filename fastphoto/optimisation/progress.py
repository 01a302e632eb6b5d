"""What a transfer reports before each part of its work and after each step: the type `Progress`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import Tensor

from fastphoto.optimisation.descent import Report
from fastphoto.optimisation.settings import Stage


class LossValues(Mapping[str, float]):
    """Losses by name; each is read from the device only when it is looked up, because reading waits for the device."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> float:
        return float(self._tensors[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


@dataclass(frozen=True)
class Progress:
    """The state of a transfer, as its callback receives it."""

    stage: Literal[Stage, "loading", "regions", "result"]
    """What the transfer is about to do: "loading" the network, finding the "regions", or making the "result" at the
    photo's own size; "style" or "photorealism" after a step of that stage of the optimisation."""
    scale: tuple[int, int]
    """(height, width) in pixels of the image so far."""
    step: int
    """Steps so far, over all levels."""
    total: int
    """Steps of the whole run."""
    losses: Mapping[str, float]
    """Weighted losses by name after a step: "content", "style", "photorealism", ...; read from the device when looked
    up. Empty if this is not the report of a step."""
    _best: Tensor = field(repr=False)

    @property
    def is_step(self) -> bool:
        """Whether this is the report of a step; the others tell what begins."""
        return self.stage in get_args(Stage)

    def preview(self) -> Tensor:
        """Return the best image so far, (3, h, w) in [0, 1], before the final smoothing.

        Before the first step that is the shrunk content.
        """
        return self._best.detach().clamp(0, 1)


Callback = Callable[[Progress], bool | None]
"""Receives a `Progress` before each part of the work and after each step. Returning True ends the optimisation with the
best image so far; it then receives no more."""


class Reporter:
    """Calls the callback, and remembers whether it asked to stop.

    Args:
        callback: function to call; None: no progress is reported.
        total: steps of the run.
    """

    def __init__(self, callback: Callback | None, total: int) -> None:
        self._callback, self._total = callback, total
        self.done = 0
        """Steps of the levels before the current one."""
        self.stopped = False

    def announce(self, stage: Literal["loading", "regions", "result"], image: Tensor) -> None:
        """Report that a part of the work begins, with the image so far, (3, h, w)."""
        if self._callback is not None and not self.stopped:
            size = image.shape[1], image.shape[2]
            self.stopped = bool(self._callback(Progress(stage, size, self.done, self._total, {}, image)))

    def of_level(self, stage: Stage, size: tuple[int, int], image_of: Callable[[Tensor], Tensor]) -> Report | None:
        """Return the function that reports the steps of one level, or None without a callback.

        Args:
            stage: stage of the level.
            size: (height, width) of the level.
            image_of: function from unknowns to the image that they stand for.
        """
        callback = self._callback
        if callback is None:
            return None

        def report(step: int, best: Tensor, losses: Mapping[str, Tensor]) -> bool:
            progress = Progress(stage, size, self.done + step, self._total, LossValues(losses), image_of(best))
            self.stopped = bool(callback(progress))
            return self.stopped

        return report
