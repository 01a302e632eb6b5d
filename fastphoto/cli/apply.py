"""`fastphoto apply`: the colours of a 3D LUT given to a photo."""

from __future__ import annotations

import argparse
import time

from fastphoto.cli.options import Commands, image_output_options, message_options
from fastphoto.cli.standard_streams import INPUT_HELP, check_result, input_files, write_result
from fastphoto.colour.lut import apply_lut, read_lut
from fastphoto.photos.read import read_photo


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "apply", parents=[image_output_options(), message_options()], help="give a photo the colours of a 3D LUT"
    )
    parser.set_defaults(run=run, takes_dash=True)
    parser.add_argument("lut", metavar="LUT", help="3D LUT, a .cube file such as `fastphoto transfer --lut` writes")
    parser.add_argument("photo", metavar="PHOTO", help=f"photo to change; {INPUT_HELP}")
    parser.add_argument(
        "--strength", type=float, default=1, metavar="S", help="how far to go, 0 to 1 or beyond (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto apply`."""
    inputs = input_files(args, ["photo", "lut"])
    check_result(args, inputs)
    started = time.perf_counter()
    lut, photo = read_lut(inputs[1]), read_photo(inputs[0], "photo")
    pixels = photo.pixels.lerp(apply_lut(lut, photo.pixels), args.strength)
    write_result(args, photo, pixels, started)
