"""Methods side by side on one photo pair: their results, what they took, and what they are measured to be."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.evaluation.scores import Evaluation, evaluate
from fastphoto.methods.registry import METHODS, Method, apply_method, find_method
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import enlarge
from fastphoto.photos.write import check_output, write_image
from fastphoto.pipeline import Progress
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.reports.contact_sheet import make_contact_sheet
from fastphoto.reports.page import Column, Page
from fastphoto.runtime.device import choose_device
from fastphoto.runtime.files import make_folder, write_text

SIZE = 350
"""Pixels of the long side that methods are compared at by default: the size that results are measured at."""

_ASPECT_TOLERANCE = 0.02  # of the ratio of two aspects, that of masks

Report = Callable[[str, Progress | None], object]
"""Called with a method's name when it begins, and with each of its `Progress`."""


@dataclass(frozen=True, eq=False)
class Result:
    """What one method made of a pair."""

    method: Method
    pixels: Tensor  # (3, h, w), [0, 1]
    seconds: float
    evaluation: Evaluation


@dataclass(frozen=True, eq=False)
class Comparison:
    """The results of one or more methods, by name, on one pair."""

    pair: PhotoPair
    results: Mapping[str, Result]

    def write(self, folder: str | os.PathLike, inputs: Sequence[object] = ()) -> Path:
        """Write `index.html`, `contact-sheet.jpg`, `comparison.json`, and content, style and METHOD as PNG files.

        The page is one file and loads nothing. inputs: sources of the pair; a file that is one of them is refused.
        Returns the page's path. Raises as `check_folder` does, and FileError where writing fails.
        """
        target = check_folder(folder, self.results, inputs)
        for name, image in zip(["content", "style", *self.results], self.images(), strict=True):
            write_image(target / f"{name}.png", image, "PNG", {"optimize": True})
        write_image(target / "contact-sheet.jpg", make_contact_sheet(self.rows()), "JPEG", {"quality": 92})
        write_text(target / "comparison.json", json.dumps(self._described(), indent=1, allow_nan=False) + "\n")
        page = Page("Methods side by side", _INTRODUCTION)
        page.viewer(list(zip(self.titles(), self.images(), strict=True)), left="Content", right=self.titles()[2])
        self.show_pictures(page)
        self.show_table(page)
        for result in self.results.values():
            told = [(name, _shown_setting(value)) for name, value in result.method.described().items()]
            page.details(result.method.title, told)
        page.write(target / "index.html")
        return target / "index.html"

    def titles(self) -> list[str]:
        """Content, style, and the methods."""
        return ["Content", "Style", *(result.method.title for result in self.results.values())]

    def images(self) -> list[Image.Image]:
        """8-bit pictures of content, style and results."""
        return [picture_of(x) for x in (self.pair.content, self.pair.style, *(r.pixels for r in self.results.values()))]

    def rows(self, columns: int = 4) -> list[list[tuple[str, Image.Image]]]:
        """Titles and pictures in rows, for a contact sheet."""
        cells = list(zip(self.titles(), self.images(), strict=True))
        return [cells[at : at + columns] for at in range(0, len(cells), columns)]

    def show_pictures(self, page: Page, note: Callable[[Result], str] | None = None) -> None:
        """Add all pictures to a page; below results their scores, or what else `note` says of them."""
        notes = ["", "", *((note or _scored)(result) for result in self.results.values())]
        page.gallery(list(zip(self.titles(), self.images(), notes, strict=True)))

    def show_table(self, page: Page) -> None:
        """Add the table of scores and measures to a page."""
        page.table(COLUMNS, [measured_row(result) for result in self.results.values()], caption=_CAPTION)

    def _described(self) -> dict[str, Any]:
        methods = {
            name: {
                "file": f"{name}.png",
                "title": result.method.title,
                "seconds": round(result.seconds, 3),
                "scores": asdict(result.evaluation.scores),
                "measures": asdict(result.evaluation.measures),
                "settings": {key: _json_value(value) for key, value in result.method.described().items()},
            }
            for name, result in self.results.items()
        }
        size = list(self.pair.content.shape[1:])
        return {"content": "content.png", "style": "style.png", "size": size, "methods": methods}


def compare(
    content: PhotoSource,
    style: PhotoSource,
    content_mask: Any = None,
    style_mask: Any = None,
    *,
    methods: Sequence[str] | None = None,
    size: int = SIZE,
    matched_frame: PhotoSource | None = None,
    orphans: str = "merge",
    encoder: str = "embedded",
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    report: Report | None = None,
) -> Comparison:
    """Run methods on one pair of photos, and measure what they make of it.

    Args:
        content, style, content_mask, style_mask, encoder, weights, device, seed: as `fastphoto.transfer` takes them.
        methods: names in `fastphoto.methods.METHODS`; None: all of them.
        size: long side in pixels that both photos are shrunk to before any method sees them.
        matched_frame: for the method "time-of-day", the style's scene at the content's time of day, in any size.
        orphans: what happens to a content region that the style lacks; see `fastphoto.regions.match_regions`.
        report: see `Report`.

    Returns:
        The results, in the order of `methods`, scored at 350 pixels against the medians of the paper's published
        results with the embedded encoder; `Comparison.write` makes a page of them.

    Raises:
        InputError: an unknown method, a matched frame of another aspect than the style's (by more than 2 %), and what
            `fastphoto.transfer` and `fastphoto.evaluate` refuse.
    """
    chosen = find_methods(methods)
    photos = read_photo(content, "content"), read_photo(style, "style")
    pair = prepare_pair(*photos, content_mask, style_mask, size, orphans)
    frame = None
    if matched_frame is not None:
        frame = _frame(read_photo(matched_frame, "matched frame"), photos[1], pair)
    return compare_methods(pair, chosen, report, frame, encoder=encoder, weights=weights, device=device, seed=seed)


def compare_methods(
    pair: PhotoPair,
    methods: Mapping[str, Method],
    report: Report | None = None,
    matched_frame: Tensor | None = None,
    **options: Any,
) -> Comparison:
    """`compare` for a pair that is prepared already, and methods of one's own; options as `apply_method` takes them."""
    choose_device(options.get("device", "auto"))  # before the first method that needs one
    pixels, seconds = {}, {}
    for name, method in methods.items():
        if report is not None:
            report(name, None)
        started = time.perf_counter()
        watch = _reporting(report, name) if report is not None else None
        pixels[name] = apply_method(method, pair, matched_frame=matched_frame, callback=watch, **options)
        seconds[name] = time.perf_counter() - started
    evaluations = evaluate(pair.content, pair.style, pixels, *named_masks(pair), size=SIZE)
    return Comparison(
        pair, {name: Result(methods[name], pixels[name], seconds[name], evaluations[name]) for name in methods}
    )


def find_methods(names: Sequence[str] | None = None) -> dict[str, Method]:
    """Methods by their names, None for all of them; raises InputError for no name and an unknown one."""
    if names is not None and not names:
        raise InputError(f"methods: none given; give some of {', '.join(METHODS)}")
    return {name: find_method(name) for name in (METHODS if names is None else names)}


def check_folder(
    folder: str | os.PathLike, methods: Sequence[str] | Mapping[str, Any], inputs: Sequence[object]
) -> Path:
    """Make the folder of a comparison, and refuse, before any work, files in it that could not be written.

    Raises FileError for a folder that cannot be made or written, InputError for a file that is one of the inputs.
    """
    target = make_folder(folder)
    for name in ["content.png", "style.png", "contact-sheet.jpg", *(f"{method}.png" for method in methods)]:
        check_output(target / name, inputs)
    return target


def named_masks(pair: PhotoPair) -> tuple[dict[str, Any], dict[str, Any]]:
    """The masks of a pair as `evaluate` takes them, {region: (h, w)}, without regions that the style lacks.

    Those have the whole style, which would leave the other regions none of it; all stay where the style has none.
    """
    measured = [name for name in pair.names if name not in pair.orphans] or pair.names
    content, style = (
        {name: masks[pair.names.index(name)].numpy() for name in measured}
        for masks in (pair.content_masks, pair.style_masks)
    )
    return content, style


def picture_of(pixels: Tensor) -> Image.Image:
    """(3, H, W) in [0, 1] as an 8-bit picture."""
    return Image.fromarray(pixels.mul(255).round_().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy())


COLUMNS = (
    Column("Method"),
    Column("style", "low", ".2f"),
    Column("photorealism", "low", ".2f"),
    Column("worse of both", "low", ".2f"),
    Column("Gram", "low", ".3f"),
    Column("colour", "low", ".2f"),
    Column("contrast", "low", ".3f"),
    Column("affine", "low", ".2f"),
    Column("edges", "high", ".3f"),
    Column("SSIM", "high", ".3f"),
    Column("seconds", "low", ".1f"),
)
"""Of a table with a row `measured_row` for each result."""


def measured_row(result: Result) -> list[Any]:
    """Title, scores, measures and seconds of one result, for `COLUMNS`."""
    s, m = result.evaluation.scores, result.evaluation.measures
    worse = max(s.style, s.photorealism)
    measures = [m.gram, m.colour, m.contrast, m.affine, m.edge, m.ssim]
    return [result.method.title, s.style, s.photorealism, worse, *measures, result.seconds]


def _frame(frame: Photo, style: Photo, pair: PhotoPair) -> Tensor:
    """A frame of the style's scene in the size that the style was prepared at."""
    (height, width), (style_height, style_width) = frame.size, style.size
    if abs(math.log(height * style_width / (width * style_height))) > _ASPECT_TOLERANCE:
        raise InputError(
            f"{frame.name}: {width}x{height} pixels do not fit the style's {style_width}x{style_height}; "
            "give two frames of one camera"
        )
    return enlarge(frame.pixels, (pair.style.shape[1], pair.style.shape[2]))


def _scored(result: Result) -> str:
    scores = result.evaluation.scores
    return f"style {scores.style:.2f}, photorealism {scores.photorealism:.2f}"


_INTRODUCTION = (
    "What different methods make of one photo, the content, to give it the look of another, the style. Scores are "
    "distances: 1.00 is the median of the results that Deep Photo Style Transfer published, and lower is better. Style "
    "is how far the regions' Gram matrices, colours and local contrast are from the style's; photorealism how far the "
    "result is from a local recolouring of the content, and how much its edges have changed. A content left as it was "
    "is perfectly photorealistic, so that only the two together say anything."
)
_CAPTION = "Lower is better, but for edges and SSIM. Click a heading to sort."


def _reporting(report: Report, name: str) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        report(name, progress)

    return watch


def _json_value(value: Any) -> Any:
    """A setting as JSON has it, which knows no infinity; `--set` takes the text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _shown_setting(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
