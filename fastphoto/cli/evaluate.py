"""`fastphoto evaluate`: measures and scores of results, as a table or JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict

from fastphoto.cli.messages import say
from fastphoto.cli.options import (
    Commands,
    encoder_options,
    message_options,
    pair_options,
    progress_report,
    size_options,
)
from fastphoto.evaluation.scores import PUBLISHED_SIZE, Evaluation, evaluate
from fastphoto.photos.read import read_photo
from fastphoto.reports.results import reference_explained

_SCORES = ("stains", "look", "photorealism", "style")
_MEASURES = ("stains", "look", "invented", "affine", "edges", "SSIM", "contrast", "Gram")
_WIDTH = 7  # characters of a column of numbers, at least
_GAP = "  "  # between columns


def add_parser(commands: Commands) -> None:
    """Add the command."""
    size = size_options(PUBLISHED_SIZE, "long side that all photos are shrunk to")
    parser = commands.add_parser(
        "evaluate",
        parents=[pair_options(), size, encoder_options(), message_options()],
        help="measure and score results",
    )
    parser.set_defaults(run=run)
    parser.add_argument("results", metavar="RESULT", nargs="+", help="result to measure")
    parser.add_argument(
        "--reference",
        metavar="FILE",
        help=f"result that scores are relative to (default: medians of published results at {PUBLISHED_SIZE} pixels)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto evaluate`."""
    content, style = read_photo(args.content, "content"), read_photo(args.style, "style")
    with progress_report(args):
        evaluations = evaluate(
            content,
            style,
            {path: path for path in args.results},
            args.content_mask,
            args.style_mask,
            reference=args.reference,
            size=args.size,
            encoder=args.encoder,
            weights=args.weights,
        )
    sides = [min(args.size, max(photo.size)) for photo in (content, style)]
    if args.reference is None and set(sides) != {PUBLISHED_SIZE} and not args.quiet:
        say(f"scores are ratios{reference_explained(sides)}")
    if args.json:
        print(json.dumps({name: asdict(evaluation) for name, evaluation in evaluations.items()}, indent=1))
    else:
        _print_table(evaluations)


def _print_table(evaluations: Mapping[str, Evaluation]) -> None:
    """Print one line for each result, its name, its scores and its measures in aligned columns."""
    name_width = max(map(len, ["result", *evaluations]))
    widths = [max(_WIDTH, len(head)) for head in _SCORES + _MEASURES]
    scores_width = sum(widths[: len(_SCORES)]) + len(_GAP) * (len(_SCORES) - 1)
    print(_GAP.join([" " * name_width, f"{'RATIOS':<{scores_width}}", "MEASURES"]))
    heads = [f"{head:>{width}}" for head, width in zip(_SCORES + _MEASURES, widths, strict=True)]
    print(_GAP.join([f"{'result':<{name_width}}", *heads]))
    for name, evaluation in evaluations.items():
        numbers = *asdict(evaluation.scores).values(), *asdict(evaluation.measures).values()
        cells = [f"{number:>{width}.3f}" for number, width in zip(numbers, widths, strict=True)]
        print(_GAP.join([f"{name:<{name_width}}", *cells]))
