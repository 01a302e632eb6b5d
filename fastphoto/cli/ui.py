"""`fastphoto ui`: a page in the browser to paint what belongs together, and see the result grow."""

from __future__ import annotations

import argparse
import logging
import os
from functools import partial
from pathlib import Path

from fastphoto.cli.messages import say
from fastphoto.cli.options import Commands, memory_size, message_options
from fastphoto.errors import FileError, printable
from fastphoto.runtime.device import choose_device
from fastphoto.ui.libraries import check_libraries


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "ui",
        parents=[message_options()],
        help="open a page to paint regions, watch the result grow, and compare",
        description="Serve a page of this machine alone, until Ctrl-C. The first line printed is its address.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("content", metavar="CONTENT", nargs="?", help="photo to begin with")
    parser.add_argument("style", metavar="STYLE", nargs="?", help="style to begin with")
    parser.add_argument("--port", type=int, metavar="N", help="port to listen at (default: 8350, or any free one)")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen at (default: %(default)s)"
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")
    parser.add_argument(
        "--max-memory",
        type=memory_size,
        metavar="SIZE",
        help="most memory that a transfer may take beyond its photos and the network, such as 500M or 4G",
    )


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto ui`."""
    check_libraries()
    from fastphoto.ui.server import open_browser, serve
    from fastphoto.ui.tab_photo import SIDES
    from fastphoto.ui.transfers import Machine

    choose_device(args.device)
    given = {side: Path(path) for side in SIDES if (path := getattr(args, side)) is not None}
    for path in given.values():
        if not os.access(path, os.R_OK) or not path.is_file():
            raise FileError(f"{printable(path)}: no such file, or it cannot be read")
    logging.getLogger("fastphoto").setLevel(logging.WARNING)  # the page shows what a transfer would print
    serve(
        given,
        Machine(args.device, args.max_memory),
        host=args.host,
        port=args.port,
        started=partial(_announce, args, open_browser),
    )


def _announce(args: argparse.Namespace, open_browser: object, address: str) -> None:
    print(address, flush=True)
    if not args.quiet:
        say("open this address; Ctrl-C ends the server")
    if not args.no_browser and callable(open_browser):
        open_browser(address)
