"""`fastphoto invert`: an image made from what one layer of the encoder keeps of a photo."""

from __future__ import annotations

import argparse
import time

from fastphoto.cli.options import (
    Commands,
    image_output_options,
    message_options,
    progress_report,
    run_arguments,
    run_options,
    setting_options,
    size_options,
)
from fastphoto.cli.setting_values import parse_settings
from fastphoto.cli.standard_streams import check_result, input_files, write_result
from fastphoto.cli.transfer import SIZE_HELP
from fastphoto.photos.read import read_photo
from fastphoto.pipeline import invert


def add_parser(commands: Commands) -> None:
    """Add the command."""
    size = size_options(350, SIZE_HELP)
    parser = commands.add_parser(
        "invert",
        parents=[image_output_options(), size, run_options(), setting_options(), message_options()],
        help="make an image from what one layer of the encoder keeps of a photo",
    )
    parser.set_defaults(run=run, takes_dash=True)
    parser.add_argument("photo", metavar="PHOTO", help="photo to invert; - reads it from standard input")
    parser.add_argument("--layer", default="relu4_1", help="layer to match, relu1_1 to relu5_1 (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto invert`."""
    inputs = input_files(args, ["photo"])
    check_result(args, inputs)
    started = time.perf_counter()
    photo = read_photo(inputs[0], "photo")
    named = run_arguments(args) | parse_settings(args.set)
    with progress_report(args) as report:
        pixels = invert(photo, args.layer, size=args.size, callback=report, **named)
    write_result(args, photo, pixels, started)
