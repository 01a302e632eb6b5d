"""A callback that hears of the steps of an optimisation alone."""

from __future__ import annotations

from collections.abc import Callable

from fastphoto import Progress


def steps_alone(callback: Callable[[Progress], object]) -> Callable[[Progress], bool]:
    """Return a callback that passes steps on, and not what comes before and after them."""
    return lambda progress: progress.is_step and bool(callback(progress))
