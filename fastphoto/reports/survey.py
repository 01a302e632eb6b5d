"""The survey's page: figures of the literature, made again on the photo pairs in the package."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from fastphoto.errors import InputError
from fastphoto.methods.registry import RunOptions, check_run
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import write_image
from fastphoto.regions.pair import PhotoPair, prepare_pair
from fastphoto.reports.comparison import MethodCallback, compare_methods, measured_sides
from fastphoto.reports.contact_sheet import make_contact_sheet
from fastphoto.reports.page import Page
from fastphoto.reports.results import SCORES_EXPLAINED, reference_explained
from fastphoto.reports.survey_figures import FIGURES, PairChoice
from fastphoto.runtime.files import check_folder
from fastphoto.runtime.host_state import apart_from_host

SIZE = 200
"""Default long side of the photos, in pixels."""


@apart_from_host
def make_survey(
    folder: str | os.PathLike[str],
    figures: Sequence[str] | None = None,
    *,
    size: int = SIZE,
    options: RunOptions | None = None,
    report: MethodCallback | None = None,
) -> Path:
    """Make figures of the survey: write `index.html`, a page that loads nothing, and FIGURE.jpg, a sheet for each.

    Args:
        folder: folder to write; made if it does not exist.
        figures: names in `FIGURES`; None: all of them, which takes ten minutes on two cores.
        size: long side in pixels, at least 16, that all photos are shrunk to.
        options: encoder, weights, device and seed of all runs; None: the defaults.
        report: callback with the progress of each method, whose name is FIGURE/METHOD; what it returns is ignored.

    Returns:
        The path of the page.

    Raises:
        InputError: an unknown figure, or options and sizes that cannot be used.
        FileError: a file that cannot be written, or weights that cannot be read. All is checked before any method runs.

    Example:
        >>> make_survey("survey", ["lambda", "methods"], size=350)  # doctest: +SKIP
        PosixPath('survey/index.html')
    """
    names = list(FIGURES) if figures is None else list(figures)
    if unknown := [name for name in names if name not in FIGURES]:
        raise InputError(f"figure {unknown[0]!r}: unknown; give some of {', '.join(FIGURES)}")
    target = check_folder(folder, [*(f"{name}.jpg" for name in names), "index.html"])
    pairs = _prepared_pairs(size)
    figures_of_pairs = [(FIGURES[name], pair) for name in names for pair in pairs[FIGURES[name].pairs]]
    jobs = [(method, pair) for figure, pair in figures_of_pairs for method in figure.methods.values()]
    check_run(jobs, options or RunOptions())
    sides = {side for _, pair in figures_of_pairs for side in measured_sides(pair)}
    page = Page("Photo style transfer: the survey's figures", _introduction(sides))
    for name in names:
        figure = FIGURES[name]
        page.section(figure.title, figure.text)
        rows = []
        for pair in pairs[figure.pairs]:
            figure_report = None if report is None else _with_figure(report, name)
            comparison = compare_methods(pair, figure.methods, options=options, report=figure_report)
            comparison.add_pictures(page, figure.note)
            comparison.add_table(page)
            rows += comparison.rows()
        write_image(target / f"{name}.jpg", make_contact_sheet(rows), "JPEG", {"quality": 92})
    page.section("Photographs", _CREDITS)
    page.write(target / "index.html")
    return target / "index.html"


def _prepared_pairs(size: int) -> dict[PairChoice, list[PhotoPair]]:
    """Return the photo pairs that figures choose from, shrunk to a long side of `size` pixels."""
    folders = demo_pairs()
    contents = [read_photo(folder / "content.jpg", "content") for folder in folders]
    styles = [read_photo(folder / "style.jpg", "style") for folder in folders]
    pairs = [
        prepare_pair(content, style, folder / "content_mask.png", folder / "style_mask.png", size)
        for content, style, folder in zip(contents, styles, folders, strict=True)
    ]
    next_styles = styles[1:] + styles[:1]
    unrelated = [
        prepare_pair(content, style, None, None, size) for content, style in zip(contents, next_styles, strict=True)
    ]
    return {"first": pairs[:1], "all": pairs, "unrelated": unrelated}


def _with_figure(report: MethodCallback, figure: str) -> MethodCallback:
    """Return a callback that calls `report` with FIGURE/METHOD as the method's name."""
    return lambda method, progress: report(f"{figure}/{method}", progress)


def _introduction(long_sides: Iterable[int]) -> str:
    return (
        "This page shows figures of the literature on photo style transfer, made again by one program on the same "
        "photos. Every method is either an optimisation with its own losses, start image and schedule, or a colour "
        f"transfer.\n\nScores are ratios: lower is better{reference_explained(long_sides)} {SCORES_EXPLAINED}"
    )


_CREDITS = (
    "Lake Sherburne, Beacon Street at sunset, and hikers on a dune: Budgie Desktop Developers, CC0 1.0. Picos de "
    "Europa: Aitzol Berasategi, 2018, CC BY 4.0; scaled, and recoloured in the results."
)
