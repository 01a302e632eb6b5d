"""Options that several commands share, and what follows from them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

from fastphoto.cli.messages import Report
from fastphoto.encoders.download import watched_downloads
from fastphoto.encoders.encoder import ENCODERS

ORPHANS = ("merge", "global", "drop", "error")


def folder_options() -> argparse.ArgumentParser:
    """Where several files go."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("-o", "--output", required=True, metavar="DIR", help="folder, made where it does not exist")
    return options


def message_options(quiet: bool = True) -> argparse.ArgumentParser:
    """How much is said."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--debug", action="store_true", help="show where an error comes from")
    if quiet:
        options.add_argument("--quiet", action="store_true", help="print nothing but errors")
    else:
        options.set_defaults(quiet=False)
    return options


def encoder_options() -> argparse.ArgumentParser:
    """The network."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--encoder", choices=ENCODERS, default="embedded", help="default: %(default)s")
    options.add_argument("--weights", metavar="FILE", help="weight file of the encoder, instead of its own")
    return options


def run_options() -> argparse.ArgumentParser:
    """The network, where it runs, and the seed of noise."""
    options = argparse.ArgumentParser(add_help=False, parents=[encoder_options()])
    options.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    return options


def mask_options() -> argparse.ArgumentParser:
    """The regions of both photos."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--content-mask", metavar="M", help="image of the content's regions, by colour")
    options.add_argument("--style-mask", metavar="N", help="image of the style's regions, same colours")
    return options


def segmentation_options() -> argparse.ArgumentParser:
    """The network that finds semantic regions."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--segmentation-model",
        metavar="MODEL",
        help="of --regions semantic: a name on the Hugging Face Hub or a folder with its files",
    )
    return options


def orphan_options() -> argparse.ArgumentParser:
    """Regions that the style lacks."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--orphans",
        choices=ORPHANS,
        default="merge",
        help="what to do with a region of the content that the style lacks (default: %(default)s)",
    )
    return options


@contextlib.contextmanager
def progress(options: argparse.Namespace) -> Iterator[Report | None]:
    """Progress on stderr, of downloads too, unless it is to be quiet."""
    with contextlib.ExitStack() as stack:
        report = None
        if not options.quiet:
            report = stack.enter_context(Report())
            stack.enter_context(watched_downloads(report.downloading))
        yield report


def run_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """`run_options` as functions take them."""
    return {name: getattr(options, name) for name in ("encoder", "weights", "device", "seed")}
