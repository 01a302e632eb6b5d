"""`fastphoto demo`: transfers of the photo pairs in the package, and a contact sheet of them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from PIL import Image

from fastphoto.cli.messages import say, say_written
from fastphoto.cli.options import Commands, progress_report
from fastphoto.cli.transfer import limit_arguments, limit_options, transfer_arguments, transfer_options
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import write_image, write_photo
from fastphoto.pipeline import transfer
from fastphoto.reports.contact_sheet import make_contact_sheet
from fastphoto.runtime.files import check_folder, output_folder


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo", parents=[*transfer_options(), limit_options()], help="transfer the photo pairs in the package"
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "-o",
        "--output",
        default="fastphoto-demo",
        metavar="DIR",
        help="folder to write; created if it does not exist (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto demo`."""
    pairs = demo_pairs()
    with output_folder(args.output) as folder:
        check_folder(folder, [*(f"{pair.name}.jpg" for pair in pairs), "contact-sheet.jpg"])
        rows = []
        for pair in pairs:
            result = _transfer_pair(args, pair, folder)
            rows.append([("", Image.open(path)) for path in (pair / "content.jpg", pair / "style.jpg", result)])
        sheet = folder / "contact-sheet.jpg"
        write_image(sheet, make_contact_sheet(rows), "JPEG", {"quality": 92})
        if not args.quiet:
            say(f"wrote {sheet}: content, style, result")


def _transfer_pair(args: argparse.Namespace, pair: Path, folder: Path) -> Path:
    """Write the result of one pair into the folder; return its path."""
    started = time.perf_counter()
    content, style = read_photo(pair / "content.jpg", "content"), read_photo(pair / "style.jpg", "style")
    masks = pair / "content_mask.png", pair / "style_mask.png"
    with progress_report(args) as report:
        options = transfer_arguments(args) | limit_arguments(args)
        pixels = transfer(content, style, *masks, callback=report, **options)
    result = folder / f"{pair.name}.jpg"
    write_photo(result, content, pixels)
    say_written(args, result, started)
    return result
