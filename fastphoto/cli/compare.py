"""`fastphoto compare`: several methods on one pair of photos, as a web page."""

from __future__ import annotations

import argparse
import time

from fastphoto.cli.messages import say_written
from fastphoto.cli.options import (
    Commands,
    folder_output_options,
    message_options,
    orphan_options,
    pair_options,
    progress_report,
    run_arguments,
    run_options,
    size_options,
    split_names,
)
from fastphoto.methods.registry import METHODS
from fastphoto.photos.read import read_photo
from fastphoto.reports.comparison import SIZE, compare, find_methods, written_files
from fastphoto.runtime.files import check_folder, output_folder


def add_parser(commands: Commands) -> None:
    """Add the command."""
    size = size_options(SIZE, "long side that both photos are shrunk to")
    parser = commands.add_parser(
        "compare",
        parents=[folder_output_options(), pair_options(), size, run_options(), orphan_options(), message_options()],
        help="run several methods on one pair of photos and write a web page of the results",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--methods", metavar="A,B,...", help=f"methods to run, from {', '.join(METHODS)} (default: all)"
    )
    parser.add_argument(
        "--matched-frame",
        metavar="FILE",
        help="photo for time-of-day: the scene of the style at the content's time of day, by the same camera",
    )


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto compare`."""
    started = time.perf_counter()
    inputs = (args.content, args.style, args.content_mask, args.style_mask, args.matched_frame)
    names = split_names(args.methods)
    methods = find_methods(names)
    content, style = read_photo(args.content, "content"), read_photo(args.style, "style")
    with output_folder(args.output), progress_report(args) as report:
        check_folder(args.output, written_files(methods), inputs)
        comparison = compare(
            content,
            style,
            args.content_mask,
            args.style_mask,
            methods=names,
            size=args.size,
            matched_frame=args.matched_frame,
            orphans=args.orphans,
            report=report.job if report else None,
            **run_arguments(args),
        )
    say_written(args, comparison.write(args.output, inputs), started)
