"""The points of the scaling law: sizes of whole transfers along four axes, and which of them a run measures.

Imports neither torch nor fastphoto.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

AXES = ("pixels", "regions", "threads", "photos")
UNITS = {"pixels": "megapixels", "regions": "regions", "threads": "threads", "photos": "photos"}


@dataclass(frozen=True)
class Point:
    """One transfer, or one batch of them."""

    axis: str
    megapixels: float = 0.33  # the demo pair at 700 px
    regions: int = 0  # 0: the demo pair's masks
    threads: int = 0  # 0: as many as there are cores
    photos: int = 0  # 0: a single call of transfer()

    @property
    def at(self) -> float:
        """The place on the axis."""
        return self.megapixels if self.axis == "pixels" else float(getattr(self, self.axis))

    @property
    def name(self) -> str:
        return f"{self.at:g} {UNITS[self.axis]}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def points(full: bool, dry_run: bool) -> Iterator[Point]:
    """Yield the points of a run, the small ones of an axis first."""
    if dry_run:
        yield from (Point("pixels", megapixels=size) for size in (0.002, 0.004, 0.008))
        yield from (Point("regions", 0.004, regions=count) for count in (1, 3))
        yield Point("threads", 0.004, threads=1)
        yield from (Point("photos", 0.002, photos=count) for count in (1, 2))
        return
    sizes = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if full else (0.1, 0.3, 1, 3, 10)
    yield from (Point("pixels", megapixels=size) for size in sizes)
    regions = (1, 2, 4, 8, 16, 32, 64) if full else (1, 4, 16, 64)
    yield from (Point("regions", regions=count) for count in regions)
    cores = os.cpu_count() or 1
    threads = sorted({1 << power for power in range(cores.bit_length()) if 1 << power <= cores} | {cores})
    yield from (Point("threads", 12 if full else 2, threads=count) for count in threads)
    photos = (1, 3, 10, 30, 100, 300, 1000) if full else (1, 3, 10)
    yield from (Point("photos", 0.082, photos=count) for count in photos)  # 350 px


def repetitions(point: Point, full: bool, dry_run: bool) -> int:
    """Return how often a point is measured: batches of a hundred photos and more only once."""
    return 1 if dry_run or point.photos >= 100 else 3 if full else 2
