"""Options that several commands share, as parent parsers, and the arguments that functions take from them."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from fastphoto.cli.messages import ProgressReport
from fastphoto.encoders.download import watched_downloads
from fastphoto.encoders.encoder import ENCODERS
from fastphoto.regions.matching import ORPHANS

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `add_subparsers` returns; argparse gives its type no public name."""


# ---- where results go, and what is printed


def image_output_options() -> argparse.ArgumentParser:
    """Return a parser of --output, the image file to write."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="image file to write: .png, .jpg, .tif or .webp; - writes a PNG to standard output",
    )
    return parser


def folder_output_options() -> argparse.ArgumentParser:
    """Return a parser of --output, the folder to write."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder to write; created if it does not exist"
    )
    return parser


def message_options(quiet: bool = True) -> argparse.ArgumentParser:
    """Return a parser of --debug and, if `quiet`, of --quiet."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    if quiet:
        parser.add_argument("--quiet", action="store_true", help="print nothing but errors and results")
    else:
        parser.set_defaults(quiet=False)
    return parser


# ---- photos, and how to run


def pair_options() -> argparse.ArgumentParser:
    """Return a parser of both photos and their masks."""
    parser = argparse.ArgumentParser(add_help=False, parents=[mask_options()])
    parser.add_argument("content", metavar="CONTENT", help="content photo")
    parser.add_argument("style", metavar="STYLE", help="style photo")
    return parser


def size_options(default: int, description: str) -> argparse.ArgumentParser:
    """Return a parser of --size, a long side in pixels."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--size", type=int, default=default, metavar="PX", help=f"{description} (default: %(default)s)")
    return parser


def setting_options() -> argparse.ArgumentParser:
    """Return a parser of --set."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting; may be repeated"
    )
    return parser


def encoder_options() -> argparse.ArgumentParser:
    """Return a parser of --encoder and --weights."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--encoder",
        choices=ENCODERS,
        default="embedded",
        help="network whose activations are matched (default: %(default)s)",
    )
    parser.add_argument("--weights", metavar="FILE", help="weight file to use instead of the encoder's own")
    return parser


def run_options() -> argparse.ArgumentParser:
    """Return a parser of the options that `run_arguments` reads: --encoder, --weights, --device and --seed."""
    parser = argparse.ArgumentParser(add_help=False, parents=[encoder_options()])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the start image, if that is noise (default: %(default)s)",
    )
    return parser


def run_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the values of `run_options` as keyword arguments of `transfer`, `invert` and `compare`."""
    return {name: getattr(args, name) for name in ("encoder", "weights", "device", "seed")}


# ---- regions


def mask_options(more_help: str = "") -> argparse.ArgumentParser:
    """Return a parser of the masks of both photos; `more_help` is true of each of them."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--content-mask",
        metavar="FILE",
        help=f"mask image of the content: one colour or number for each region{more_help}",
    )
    parser.add_argument(
        "--style-mask",
        metavar="FILE",
        help=f"mask image of the style, with the same colours or numbers{more_help}",
    )
    return parser


def segmentation_options() -> argparse.ArgumentParser:
    """Return a parser of --segmentation-model."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--segmentation-model",
        metavar="MODEL",
        help="network for --regions semantic: a Hugging Face Hub name or a local folder",
    )
    return parser


def orphan_options() -> argparse.ArgumentParser:
    """Return a parser of --orphans."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--orphans",
        choices=ORPHANS,
        default="merge",
        help="what to do with a content region that the style lacks: merge (it joins the nearest region), global (it "
        "takes the whole style), drop (it keeps its look), error (stop) (default: %(default)s)",
    )
    return parser


# ---- values read from options


def split_names(text: str | None) -> list[str] | None:
    """Return the names in a list separated by commas; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def memory_size(text: str) -> int:
    """Return a size of memory in bytes; K, M and G stand for powers of 1024.

    Example:
        >>> memory_size("1.5G") == 1.5 * 2**30
        True
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = round(float(match[1]) * 1024 ** " KMG".index(match[2].upper() or " ")) if match else 0
    if size <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: give a size above 0, such as 500M or 4G")
    return size


@contextlib.contextmanager
def progress_report(args: argparse.Namespace) -> Iterator[ProgressReport | None]:
    """Show progress on stderr, of downloads too; yield None, and show nothing, if --quiet."""
    if args.quiet:
        yield None
        return
    with ProgressReport() as report, watched_downloads(report.downloading):
        yield report
