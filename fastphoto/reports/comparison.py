"""Methods side by side on one photo pair: their results, times and scores, written as a web page."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastphoto.errors import InputError
from fastphoto.evaluation.scores import PUBLISHED_SIZE, evaluate
from fastphoto.methods.registry import METHODS, Method, RunOptions, apply_method, check_run, find_method
from fastphoto.ops.library import build_info
from fastphoto.optimisation.progress import Progress
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import enlarge, same_aspect
from fastphoto.regions.masks import MaskSource
from fastphoto.regions.matching import Orphans
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.regions.scenes import scene_regions
from fastphoto.reports.contact_sheet import make_contact_sheet
from fastphoto.reports.page import Page
from fastphoto.reports.page_pictures import image_of_pixels
from fastphoto.reports.results import (
    RESULT_COLUMNS,
    SCORES_EXPLAINED,
    TABLE_CAPTION,
    Result,
    reference_explained,
    result_row,
    scores_note,
)
from fastphoto.runtime.device import choose_device
from fastphoto.runtime.files import check_folder, text_writer, write_files
from fastphoto.runtime.host_state import apart_from_host

SIZE = PUBLISHED_SIZE
"""Default long side, in pixels, of the photos that methods are compared on: the size at which results are measured."""

MethodCallback = Callable[[str, Progress | None], object]
"""Called with a method's name and None when the method begins, and then with the name and each of its `Progress`."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The results of one or more methods on one photo pair."""

    pair: PhotoPair
    """Content, style and regions, at the size that all methods worked at."""
    results: Mapping[str, Result]
    """The results by the names of their methods, in the order in which the methods ran."""
    matched_frame: bool = False
    """Whether a matched frame was given; only "time-of-day" uses one."""

    def write(self, folder: str | os.PathLike[str], inputs: Sequence[object] = ()) -> Path:
        """Write `index.html`, `contact-sheet.jpg`, `comparison.json`, and content, style and each METHOD as PNG files.

        The page is one file that loads nothing.

        Args:
            folder: folder to write; made if it does not exist. Files of an earlier comparison are replaced.
            inputs: sources of the photos and masks; they are never overwritten.

        Returns:
            The path of the page.

        Raises:
            InputError: a file to be written is one of the inputs.
            FileError: the folder cannot be made, or a file cannot be written.
        """
        target = check_folder(folder, written_files(self.results), inputs)
        sheet = make_contact_sheet(self.rows())
        description = json.dumps(self._description(), indent=1, allow_nan=False) + "\n"
        *pictures, sheet_name, description_name, page_name = (target / name for name in written_files(self.results))
        files: dict[Path, Callable[[BinaryIO], object]] = {
            path: partial(image.save, format="PNG", optimize=True)
            for path, image in zip(pictures, self.images(), strict=True)
        }
        files[sheet_name] = partial(sheet.save, format="JPEG", quality=92)
        files[description_name] = text_writer(description)
        files[page_name] = text_writer(self._page().html())
        write_files(files)
        return page_name

    def titles(self) -> list[str]:
        """Return the titles of content, style and methods."""
        return ["Content", "Style", *(result.method.title for result in self.results.values())]

    def images(self) -> list[Image.Image]:
        """Return content, style and results as 8-bit images."""
        results = (result.pixels for result in self.results.values())
        return [image_of_pixels(pixels) for pixels in (self.pair.content, self.pair.style, *results)]

    def rows(self, columns: int = 4) -> list[list[tuple[str, Image.Image]]]:
        """Return (title, image) of content, style and results in rows, for a contact sheet."""
        cells = list(zip(self.titles(), self.images(), strict=True))
        return [cells[first : first + columns] for first in range(0, len(cells), columns)]

    def add_pictures(self, page: Page, note: Callable[[Result], str] = scores_note) -> None:
        """Add content, style and results to a page, each result with a note below it."""
        notes = ["", "", *map(note, self.results.values())]
        page.gallery(list(zip(self.titles(), self.images(), notes, strict=True)))

    def add_table(self, page: Page, by_stains: bool = False) -> None:
        """Add the table of scores and measures to a page; by stains, the fewest first, or as the methods ran."""
        results = list(self.results.values())
        if by_stains:
            results.sort(key=lambda result: result.evaluation.scores.stains)
        page.table(RESULT_COLUMNS, [result_row(result) for result in results], caption=TABLE_CAPTION)

    def _page(self) -> Page:
        page = Page("Methods side by side", _introduction(measured_sides(self.pair)))
        titles = self.titles()
        page.viewer(list(zip(titles, self.images(), strict=True)), left="Content", right=titles[2])
        self.add_pictures(page)
        self.add_table(page, by_stains=True)
        for result in self.results.values():
            settings = result.settings().items()
            page.details(result.method.title, [(name, _setting_text(value)) for name, value in settings])
        return page

    def _description(self) -> dict[str, Any]:
        """Return what `comparison.json` holds."""
        methods = {
            name: {
                "file": f"{name}.png",
                "title": result.method.title,
                "seconds": round(result.seconds, 3),
                "scores": asdict(result.evaluation.scores),
                "measures": asdict(result.evaluation.measures),
                "settings": {key: _json_value(value) for key, value in result.settings().items()},
            }
            for name, result in self.results.items()
        }
        height, width = self.pair.content.shape[1:]
        return {
            "content": "content.png",
            "style": "style.png",
            "size": {"width": width, "height": height},
            "regions": list(self.pair.names),
            "matched_frame": self.matched_frame,
            "versions": {"fastphoto": build_info()["version"], "torch": torch.__version__},
            "methods": methods,
        }


@apart_from_host
def compare(
    content: PhotoSource,
    style: PhotoSource,
    content_mask: MaskSource = None,
    style_mask: MaskSource = None,
    *,
    methods: Sequence[str] | None = None,
    size: int = SIZE,
    matched_frame: PhotoSource | None = None,
    orphans: Orphans = "merge",
    encoder: str = "embedded",
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    report: MethodCallback | None = None,
) -> Comparison:
    """Run several methods on one pair of photos, and measure and score their results.

    Args:
        content: photo to change, of any type that `fastphoto.transfer` takes.
        style: photo whose look is taken.
        content_mask: regions of the content, as `fastphoto.transfer` takes them.
        style_mask: regions of the style; give both masks or neither. Without masks, methods that work by region get the
            regions that `fastphoto.transfer` finds.
        methods: names of methods, see `fastphoto.methods.registry.METHODS`; None: all of them.
        size: long side in pixels, at least 16, that both photos are shrunk to before any method runs.
        matched_frame: photo for the method "time-of-day": the scene of the style at the content's time of day, by the
            same camera, of any size. None: it is made from the style.
        orphans: what happens to a content region that the style lacks, "merge", "global", "drop" or "error"; see
            `fastphoto.regions.matching.match_regions`.
        encoder: encoder of the methods that optimise, as `fastphoto.transfer` takes it; like the next three.
        weights: path of the encoder's weight file.
        device: device that the methods run on.
        seed: seed of noise starts.
        report: callback with the progress of each method; what it returns is ignored.

    Returns:
        The results in the order of `methods`. They are measured at 350 pixels, smaller ones at their own size, with the
        embedded encoder, and scored against the medians of the results that Deep Photo Style Transfer published, which
        hold at 350 pixels.

    Raises:
        InputError: an unknown method, a matched frame that no method uses or whose aspect is not the style's (within
            2 %), and whatever `fastphoto.transfer` and `fastphoto.evaluate` refuse.
        FileError: a file that cannot be read, or weights that a method needs and that cannot be loaded. Options and
            weights are checked before the first method runs; without an optimisation no weights are read.

    Example:
        >>> import numpy as np
        >>> noise = np.random.default_rng(0)
        >>> content, style = noise.random((24, 32, 3)), noise.random((32, 32, 3))
        >>> comparison = compare(content, style, methods=["monge-kantorovich", "reinhard"])
        >>> list(comparison.results)
        ['monge-kantorovich', 'reinhard']
        >>> tuple(comparison.results["reinhard"].pixels.shape)
        (3, 24, 32)
        >>> comparison.write("comparison")  # doctest: +SKIP
        PosixPath('comparison/index.html')
    """
    chosen = find_methods(methods)
    if matched_frame is not None and not any(method.recolour_with_frame for method in chosen.values()):
        uses = [name for name, method in METHODS.items() if method.recolour_with_frame]
        raise InputError(f"matched frame: no chosen method uses one; add {' or '.join(uses)}, or leave the frame out")
    content, style = read_photo(content, "content"), read_photo(style, "style")
    pair = prepare_pair(content, style, content_mask, style_mask, size, orphans)
    if content_mask is None and style_mask is None:
        pair = scene_regions(pair)
    frame = None
    if matched_frame is not None:
        frame = _frame_pixels(read_photo(matched_frame, "matched frame"), style, pair)
    options = RunOptions(encoder=encoder, weights=weights, device=device, seed=seed)
    return compare_methods(pair, chosen, matched_frame=frame, options=options, report=report)


@apart_from_host
def compare_methods(
    pair: PhotoPair,
    methods: Mapping[str, Method],
    *,
    matched_frame: Tensor | None = None,  # (3, h', w'), the size of the pair's style
    options: RunOptions | None = None,
    report: MethodCallback | None = None,
) -> Comparison:
    """Run methods on a prepared pair, as `compare` does; the methods may be your own."""
    options = RunOptions() if options is None else options
    check_run([(method, pair) for method in methods.values()], options)
    options = replace(options, device=str(choose_device(options.device)))
    pixels, seconds = {}, {}
    for name, method in methods.items():
        callback = None
        if report is not None:
            report(name, None)
            callback = _progress_callback(report, name)
        started = time.perf_counter()
        pixels[name] = apply_method(method, pair, matched_frame=matched_frame, options=options, callback=callback)
        seconds[name] = time.perf_counter() - started
    evaluations = evaluate(pair.content, pair.style, pixels, *_measured_masks(pair), size=SIZE)
    results = {
        name: Result(method, pixels[name], seconds[name], evaluations[name], options)
        for name, method in methods.items()
    }
    return Comparison(pair, results, matched_frame is not None)


def find_methods(names: Sequence[str] | None = None) -> dict[str, Method]:
    """Return methods by their names, all of them for None; raise InputError for an empty list and an unknown name."""
    if names is not None and not names:
        raise InputError(f"methods: none given; give some of {', '.join(METHODS)}")
    return {name: find_method(name) for name in (METHODS if names is None else names)}


def written_files(methods: Iterable[str]) -> list[str]:
    """Return the names of the files that the comparison of some methods is written to, the page last."""
    pictures = [f"{name}.png" for name in ("content", "style", *methods)]
    return [*pictures, "contact-sheet.jpg", "comparison.json", "index.html"]


def measured_sides(pair: PhotoPair) -> list[int]:
    """Return the long sides in pixels that the results and the style of a pair are measured at."""
    return [min(SIZE, max(photo.shape[1:])) for photo in (pair.content, pair.style)]


def _frame_pixels(frame: Photo, style: Photo, pair: PhotoPair) -> Tensor:
    """Return a frame of the style's scene, (3, h', w'), in the size of the pair's style."""
    if not same_aspect(frame.size, style.size):
        (height, width), (style_height, style_width) = frame.size, style.size
        raise InputError(
            f"{frame.name}: {width}x{height} pixels do not fit the style's {style_width}x{style_height}; "
            "give two frames of one camera"
        )
    return enlarge(frame.pixels, (pair.style.shape[1], pair.style.shape[2]))


def _progress_callback(report: MethodCallback, name: str) -> Callable[[Progress], None]:
    """Return a callback for `apply_method` that never stops a run, whatever `report` returns."""

    def callback(progress: Progress) -> None:
        report(name, progress)

    return callback


_Masks = dict[str, np.ndarray[Any, Any]]


def _measured_masks(pair: PhotoPair) -> tuple[_Masks, _Masks]:
    """Return the masks {region: (h, w)} of content and style that results are measured with.

    A region that the style lacks has the whole style as its mask, which would leave no pixel for the other regions.
    Such regions are left out, unless there are no others.
    """
    measured = [name for name in pair.names if name not in pair.orphans] or pair.names
    rows = [pair.names.index(name) for name in measured]
    content, style = (
        {name: masks[row].numpy() for name, row in zip(measured, rows, strict=True)}
        for masks in (pair.content_masks, pair.style_masks)
    )
    return content, style


def _introduction(long_sides: Iterable[int]) -> str:
    return (
        "This page compares methods that give one photo, the content, the look of another photo, the style. Scores are "
        f"ratios: lower is better{reference_explained(long_sides)} {SCORES_EXPLAINED}"
    )


def _json_value(value: Any) -> Any:
    """Return a setting as a value that JSON can hold: infinity becomes text, which `--set` reads back."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _setting_text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
