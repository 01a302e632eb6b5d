"""Fixtures of the user study: comparisons of two photo pairs, and the study that is made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from markup import Markup
from PIL import Image
from rendered_photos import Rendered, day, dusk

from fastphoto.reports.study import make_study


@dataclass(frozen=True)
class Comparisons:
    """Folders as `fastphoto compare` writes them, of two photo pairs and three methods."""

    root: Path
    pairs: tuple[str, ...] = ("harbourpair", "volcanopair")
    titles: Mapping[str, str] = field(
        default_factory=lambda: {
            "zebraoptimiser": "Zebra & sons <2001>",
            "mediannoise": "Median $x_1$ noise",
            "quaggatransfer": "Quagga",
        }
    )
    content: Rendered = field(default_factory=lambda: day(50, 70))
    style: Rendered = field(default_factory=lambda: dusk(50, 70))

    @property
    def folders(self) -> list[Path]:
        return [self.root / pair for pair in self.pairs]

    def result(self, pair: int, method: int) -> Rendered:
        """Return the result of a method on a pair, which is like no other result."""
        return (day, dusk)[pair](40 + 8 * method, 60)

    def write(self, folder: Path, pair: int = 0, titles: Mapping[str, str] | None = None) -> Path:
        """Write the folder of one comparison."""
        folder.mkdir(parents=True)
        Image.fromarray(self.content.array).save(folder / "secretcontent.png")
        Image.fromarray(self.style.array).save(folder / f"secretstyle{pair}.png")
        methods = {}
        for number, (name, title) in enumerate((self.titles if titles is None else titles).items()):
            Image.fromarray(self.result(pair, number).array).save(folder / f"{name}-file.png")
            scores = {"stains": 0.5 + 0.1 * number, "look": 0.9 - 0.1 * number}
            methods[name] = {"file": f"{name}-file.png", "title": title, "seconds": 1.5, "scores": scores}
        description = {"content": "secretcontent.png", "style": f"secretstyle{pair}.png", "methods": methods}
        (folder / "comparison.json").write_text(json.dumps(description))
        return folder


@dataclass(frozen=True)
class Study:
    """The folder of a study."""

    folder: Path

    @property
    def page(self) -> Path:
        return self.folder / "study.html"

    @property
    def key(self) -> Path:
        return self.folder / "key.json"

    def read_key(self) -> dict[str, Any]:
        return json.loads(self.key.read_text())

    def read_data(self) -> dict[str, Any]:
        """Return what the page's script shows."""
        return json.loads(Markup(self.page.read_text()).one("script", id="data").words)

    def save_answers(self, path: Path, **changes: object) -> Path:
        """Write a participant's file, complete but for the changes."""
        key = self.read_key()
        answers = [{"image": image, "photorealism": 3, "faithfulness": 2} for image in key["images"]]
        path.write_text(json.dumps({"study": key["study"], "participant": "p1", "answers": answers} | changes))
        return path


@pytest.fixture
def comparisons(tmp_path) -> Comparisons:
    found = Comparisons(tmp_path / "comparisons")
    for number, folder in enumerate(found.folders):
        found.write(folder, number)
    return found


@pytest.fixture
def study(comparisons, tmp_path) -> Study:
    page = make_study(comparisons.folders, tmp_path / "study", introduction="Hello & welcome <all>.\n\nMore.")
    return Study(page.parent)
