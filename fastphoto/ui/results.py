"""The results of a tab: pictures to look at, planes to cut from, and all that is needed to make each again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.ui.recipe import Recipe
from fastphoto.ui.tab_photo import encode_view, write_planes
from fastphoto.ui.transfers import Inputs, heat_map, small

MOST = 12
"""Results that a tab keeps."""
PLANES_BYTES = 2**31
"""Bytes on disk for the planes of a tab's results; those of older results are given up first."""


@dataclass(eq=False)
class Result:
    """One result. `views` are JPEGs and one PNG for the page, `planes` files at the photo's full size.

    Their names: "result"; "start", the result at a strength of 0; "calm", that at the other end of photorealism; and
    "heat".
    """

    number: int
    recipe: Recipe
    inputs: Inputs
    names: tuple[str, ...]  # of its regions
    edit: Any  # the page's own record of what was painted, to go back to
    notes: Sequence[str] = ()
    views: dict[str, bytes] = field(default_factory=dict)
    planes: dict[str, Path] = field(default_factory=dict)
    _small: Tensor | None = None  # the result at the size of the content's small copy, until the heat is made

    def keep(self, name: str, folder: Path, pixels: Tensor) -> None:
        """Keep pixels (3, H, W) as a view, and as planes: exact ones of the result, rounded ones of the others."""
        self.views[name] = encode_view(pixels, self.inputs.content.work.alpha)
        self.planes[name] = folder / f"result-{self.number}-{name}.planes"
        write_planes(self.planes[name], pixels, np.float32 if name == "result" else np.uint8)
        if name == "result":
            self._small = small(self.inputs.content, pixels)

    def add_heat(self) -> None:
        """Make the picture of invented structure, which takes longer than all other views."""
        if self._small is not None:
            self.views["heat"], self._small = heat_map(self.inputs.content, self._small), None

    def facts(self) -> dict[str, Any]:
        """Return what the page shows."""
        recipe = {name: getattr(self.recipe, name) for name in Recipe.__dataclass_fields__}
        height, width = self.inputs.content.size
        return {
            "number": self.number,
            "recipe": recipe,
            "width": width,
            "height": height,
            "pictures": sorted(self.views),
            "whole": "result" in self.planes,
            "edit": self.edit,
            "notes": list(self.notes),
            "output": self.inputs.content.output,
            "drawn": self.inputs.masks is not None,
        }

    def give_up_planes(self) -> None:
        """Remove the files of the planes."""
        for path in self.planes.values():
            path.unlink(missing_ok=True)
        self.planes = {}


class Results:
    """The results of a tab, oldest first."""

    def __init__(self) -> None:
        self._results: dict[int, Result] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results.values())

    def new_number(self) -> int:
        """Return the number of the next result."""
        self._count += 1
        return self._count

    def get(self, number: int) -> Result:
        """Return a result; raises InputError if there is none of that number."""
        if number not in self._results:
            raise InputError(f"result {number}: there is none of this number any more")
        return self._results[number]

    def add(self, result: Result) -> None:
        """Add a result, and give up the oldest ones, or their planes, beyond what a tab may keep."""
        self._results[result.number] = result
        while len(self._results) > MOST:
            self._results.pop(next(iter(self._results))).give_up_planes()
        self.trim()

    def trim(self) -> None:
        """Give up planes of older results beyond what a tab may keep on disk."""
        total = 0
        for result in reversed(self._results.values()):
            total += sum(path.stat().st_size for path in result.planes.values() if path.exists())
            if total > PLANES_BYTES and result is not next(reversed(self._results.values())):
                result.give_up_planes()
