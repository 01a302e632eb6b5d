"""`fastphoto look`: a style photo reduced to a file of some ten kilobytes, which can stand for it."""

from __future__ import annotations

import argparse
import time

from fastphoto.cli.messages import say_written
from fastphoto.cli.options import Commands, message_options
from fastphoto.cli.standard_streams import INPUT_HELP, input_files
from fastphoto.runtime.files import check_target
from fastphoto.session import Session


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "look",
        parents=[message_options()],
        help="keep what a transfer needs of a style in a small file, without the photo",
        description="Give the file in place of the style: fastphoto transfer photo.jpg dusk.fastphoto -o result.jpg",
    )
    parser.set_defaults(run=run, takes_dash=True)
    parser.add_argument("style", metavar="STYLE", help=f"style photo; {INPUT_HELP}")
    parser.add_argument(
        "--style-mask", metavar="FILE", help="its regions (default: kinds of scene, found by a network)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write, such as dusk.fastphoto")


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto look`."""
    inputs = input_files(args, ["style", "style_mask"])
    check_target(args.output, inputs)
    started = time.perf_counter()
    Session(*inputs).save_look(args.output)
    say_written(args, args.output, started)
