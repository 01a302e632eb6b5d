"""`fastphoto compare`, `evaluate`, `survey` and `study`: results as pages, tables and charts."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastphoto.cli.messages import wrote
from fastphoto.cli.options import (
    encoder_options,
    folder_options,
    mask_options,
    message_options,
    orphan_options,
    progress,
    run_arguments,
    run_options,
)
from fastphoto.evaluation.scores import evaluate
from fastphoto.methods.registry import METHODS
from fastphoto.photos.read import read_photo
from fastphoto.reports import comparison, survey
from fastphoto.reports.study import TITLE, make_study, method_titles, read_answers
from fastphoto.runtime.files import output_folder


def add(commands: Any) -> None:
    """Add the commands of this file to those of the parser."""
    folder = folder_options()
    network = [run_options(), message_options()]
    pair = argparse.ArgumentParser(add_help=False, parents=[mask_options()])
    pair.add_argument("content", metavar="CONTENT")
    pair.add_argument("style", metavar="STYLE")

    command = commands.add_parser(
        "compare",
        parents=[pair, folder, _size(comparison.SIZE), *network, orphan_options()],
        help="run several methods on one pair of photos, and make a web page of the results",
    )
    command.set_defaults(run=_compare)
    command.add_argument("--methods", metavar="A,B,...", help=f"some of {', '.join(METHODS)} (default: all)")
    command.add_argument(
        "--matched-frame",
        metavar="FILE",
        help='for "time-of-day": the scene of the style at the time of day of the content, by the same camera',
    )

    command = commands.add_parser(
        "evaluate",
        parents=[pair, _size(comparison.SIZE), encoder_options(), message_options()],
        help="measure and score results",
    )
    command.set_defaults(run=_evaluate)
    command.add_argument("results", metavar="RESULT", nargs="+")
    command.add_argument("--reference", metavar="FILE", help="the result that scores are ratios to")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")

    command = commands.add_parser(
        "survey", parents=[folder, _size(survey.SIZE), *network], help="make the figures of the field's survey anew"
    )
    command.set_defaults(run=_survey)
    command.add_argument("--figures", metavar="A,B,...", help=f"some of {', '.join(survey.FIGURES)} (default: all)")

    parts = commands.add_parser("study", help="a blind user study").add_subparsers(metavar="PART", required=True)
    command = parts.add_parser(
        "make", parents=[folder, message_options()], help="make the page for participants from what `compare` wrote"
    )
    command.set_defaults(run=_make_study)
    command.add_argument("comparisons", metavar="DIR", nargs="+", help="folders that `fastphoto compare` wrote")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the images' names (default: %(default)s)")
    command.add_argument("--title", default=TITLE, help="of the page (default: %(default)s)")
    command.add_argument("--introduction", default="", metavar="TEXT", help="for the page's beginning")
    command = parts.add_parser(
        "charts", parents=[folder, message_options()], help="make bar charts of what participants answered"
    )
    command.set_defaults(run=_chart_answers)
    command.add_argument("key", metavar="KEY", help="the key.json of the study")
    command.add_argument("answers", metavar="ANSWERS", nargs="+", help="files that participants saved")


def _size(default: int) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--size", type=int, default=default, metavar="PX", help="long side of the photos (default: %(default)s)"
    )
    return options


def _compare(options: argparse.Namespace) -> None:
    """`fastphoto compare`"""
    started = time.perf_counter()
    sources = (options.content, options.style, options.content_mask, options.style_mask, options.matched_frame)
    names = _names(options.methods)
    methods = comparison.find_methods(names)
    content, style = read_photo(options.content, "content"), read_photo(options.style, "style")
    with output_folder(options.output), progress(options) as report:
        comparison.check_folder(options.output, methods, sources)
        found = comparison.compare(
            content,
            style,
            options.content_mask,
            options.style_mask,
            methods=names,
            size=options.size,
            matched_frame=options.matched_frame,
            orphans=options.orphans,
            report=report and report.job,
            **run_arguments(options),
        )
    wrote(options, found.write(options.output, sources), started)


def _evaluate(options: argparse.Namespace) -> None:
    """`fastphoto evaluate`"""
    results = {path: path for path in options.results}
    with progress(options):
        found = evaluate(
            options.content,
            options.style,
            results,
            options.content_mask,
            options.style_mask,
            reference=options.reference,
            size=options.size,
            encoder=options.encoder,
            weights=options.weights,
        )
    if options.json:
        print(json.dumps({name: asdict(evaluation) for name, evaluation in found.items()}, indent=1))
        return
    rows = [(name, *asdict(e.scores).values(), *asdict(e.measures).values()) for name, e in found.items()]
    heads = ("result", "style", "photorealism", "Gram", "colour", "contrast", "affine", "edges", "SSIM")
    wide = max(len(row[0]) for row in [heads, *rows])
    print(f"{heads[0]:<{wide}}" + "".join(f"  {head:>{max(7, len(head))}}" for head in heads[1:]))
    for name, *numbers in rows:
        print(
            f"{name:<{wide}}" + "".join(f"  {n:>{max(7, len(h))}.3f}" for n, h in zip(numbers, heads[1:], strict=True))
        )


def _survey(options: argparse.Namespace) -> None:
    """`fastphoto survey`"""
    started = time.perf_counter()
    with output_folder(options.output), progress(options) as report:
        told = run_arguments(options)
        figures = _names(options.figures)
        page = survey.make_survey(options.output, figures, size=options.size, report=report and report.job, **told)
    wrote(options, page, started)


def _make_study(options: argparse.Namespace) -> None:
    """`fastphoto study make`"""
    started = time.perf_counter()
    folders = [Path(folder) for folder in options.comparisons]
    page = make_study(folders, Path(options.output), options.seed, options.title, options.introduction)
    wrote(options, page, started)


def _chart_answers(options: argparse.Namespace) -> None:
    """`fastphoto study charts`"""
    from fastphoto.reports.study_scores import chart_answers

    started = time.perf_counter()
    key = Path(options.key)
    answers = read_answers(key, [Path(path) for path in options.answers])
    wrote(options, chart_answers(answers, Path(options.output), method_titles(key)), started)


def _names(text: str | None) -> list[str] | None:
    """Names that commas part."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
