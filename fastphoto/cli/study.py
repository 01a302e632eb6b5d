"""`fastphoto study`: a blind user study, from the page for participants to the charts of their answers."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from fastphoto.cli.messages import say_written
from fastphoto.cli.options import Commands, folder_output_options, message_options
from fastphoto.reports.study import TITLE, make_study
from fastphoto.reports.study_answers import method_titles, read_answers, scores_of_results
from fastphoto.reports.study_scores import chart_answers
from fastphoto.runtime.files import output_folder


def add_parser(commands: Commands) -> None:
    """Add the command and its two parts."""
    parts = commands.add_parser("study", help="run a blind user study").add_subparsers(metavar="PART", required=True)
    _add_make(parts)
    _add_charts(parts)


def _add_make(parts: Commands) -> None:
    parser = parts.add_parser(
        "make",
        parents=[folder_output_options(), message_options()],
        help="make the page for participants from folders that `fastphoto compare` wrote",
    )
    parser.set_defaults(run=run_make)
    parser.add_argument("comparisons", metavar="DIR", nargs="+", help="folder that `fastphoto compare` wrote")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the names of the images (default: %(default)s)"
    )
    parser.add_argument("--title", default=TITLE, help="title of the page (default: %(default)s)")
    parser.add_argument(
        "--introduction", default="", metavar="TEXT", help="text at the beginning of the page (default: none)"
    )


def _add_charts(parts: Commands) -> None:
    parser = parts.add_parser(
        "charts",
        parents=[folder_output_options(), message_options()],
        help="make bar charts of the answers of the participants",
    )
    parser.set_defaults(run=run_charts)
    parser.add_argument("key", metavar="KEY", help="key.json of the study")
    parser.add_argument("answers", metavar="ANSWERS", nargs="+", help="file that a participant saved")


def run_make(args: argparse.Namespace) -> None:
    """Run `fastphoto study make`."""
    started = time.perf_counter()
    comparisons = [Path(folder) for folder in args.comparisons]
    with output_folder(args.output) as folder:
        page = make_study(comparisons, folder, args.seed, args.title, args.introduction)
    say_written(args, page, started)


def run_charts(args: argparse.Namespace) -> None:
    """Run `fastphoto study charts`."""
    started = time.perf_counter()
    key = Path(args.key)
    answers = read_answers(key, [Path(path) for path in args.answers])
    with output_folder(args.output) as folder:
        page = chart_answers(answers, folder, method_titles(key), scores_of_results(key))
    say_written(args, page, started)
