"""`fastphoto survey`: the figures of the field's survey, made again."""

from __future__ import annotations

import argparse
import time

from fastphoto.cli.messages import say_written
from fastphoto.cli.options import (
    Commands,
    folder_output_options,
    message_options,
    progress_report,
    run_arguments,
    run_options,
    size_options,
    split_names,
)
from fastphoto.methods.registry import RunOptions
from fastphoto.reports.survey import SIZE, make_survey
from fastphoto.reports.survey_figures import FIGURES
from fastphoto.runtime.files import output_folder


def add_parser(commands: Commands) -> None:
    """Add the command."""
    size = size_options(SIZE, "long side that all photos are shrunk to")
    parser = commands.add_parser(
        "survey",
        parents=[folder_output_options(), size, run_options(), message_options()],
        help="make the figures of the field's survey again",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--figures", metavar="A,B,...", help=f"figures to make, from {', '.join(FIGURES)} (default: all)"
    )


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto survey`."""
    started = time.perf_counter()
    with output_folder(args.output), progress_report(args) as report:
        page = make_survey(
            args.output,
            split_names(args.figures),
            size=args.size,
            report=report.job if report else None,
            options=RunOptions(**run_arguments(args)),
        )
    say_written(args, page, started)
