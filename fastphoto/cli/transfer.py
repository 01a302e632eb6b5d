"""`fastphoto transfer`: one photo takes on the look of another."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from torch import Tensor

from fastphoto.cli.messages import say
from fastphoto.cli.options import (
    Commands,
    image_output_options,
    mask_options,
    memory_size,
    message_options,
    orphan_options,
    progress_report,
    run_arguments,
    run_options,
    segmentation_options,
    setting_options,
    size_options,
)
from fastphoto.cli.setting_values import parse_settings
from fastphoto.cli.signals import defer_signals
from fastphoto.cli.standard_streams import INPUT_HELP, check_result, input_files, write_result
from fastphoto.colour.lut import fit_lut_of_photo, write_lut
from fastphoto.errors import InputError, printable
from fastphoto.optimisation.presets import PRESETS
from fastphoto.optimisation.progress import Progress
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.pipeline import transfer
from fastphoto.regions.find import REGION_SOURCES
from fastphoto.regions.look import is_look
from fastphoto.runtime.files import check_target

SIZE_HELP = "long side at which to optimise; the result has the photo's own size"


def transfer_options(default_size: int = 700, size_help: str = SIZE_HELP) -> list[argparse.ArgumentParser]:
    """Return parsers of the options that `transfer_arguments` reads, and of messages."""
    preset = argparse.ArgumentParser(add_help=False)
    preset.add_argument(
        "--preset", choices=PRESETS, default="fast", help="settings to begin with (default: %(default)s)"
    )
    strength = argparse.ArgumentParser(add_help=False)
    strength.add_argument(
        "--strength",
        type=float,
        default=1,
        metavar="S",
        help="how far to go from the recoloured photo, 0, to the optimised one, 1, or beyond (default: %(default)s)",
    )
    size = size_options(default_size, size_help)
    return [preset, strength, size, run_options(), orphan_options(), setting_options(), message_options()]


def limit_options() -> argparse.ArgumentParser:
    """Return a parser of the options that `limit_arguments` reads."""
    limits = argparse.ArgumentParser(add_help=False)
    limits.add_argument(
        "--deadline",
        type=float,
        metavar="S",
        help="end the optimisation of a photo after this many seconds, with the best image so far",
    )
    limits.add_argument(
        "--max-memory",
        type=memory_size,
        metavar="SIZE",
        help="most memory that a transfer may take beyond its photos and the network, such as 500M or 4G",
    )
    return limits


def limit_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the values of `limit_options` as keyword arguments of `fastphoto.transfer`."""
    return {name: getattr(args, name) for name in ("deadline", "max_memory")}


def transfer_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the values of `transfer_options` as keyword arguments of `fastphoto.transfer`."""
    named = {name: getattr(args, name) for name in ("preset", "strength", "size", "orphans")}
    return named | run_arguments(args) | parse_settings(args.set)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parents = [image_output_options(), *transfer_options(), limit_options()]
    parents += [mask_options(f"; {INPUT_HELP}"), segmentation_options()]
    parser = commands.add_parser("transfer", parents=parents, help="make one photo take on the look of another")
    parser.set_defaults(run=run, takes_dash=True)
    parser.add_argument("content", metavar="CONTENT", help=f"photo to change; {INPUT_HELP}")
    parser.add_argument(
        "style", metavar="STYLE", help=f"photo whose look it takes on, or the path of a look; {INPUT_HELP}"
    )
    parser.add_argument(
        "--regions",
        choices=REGION_SOURCES,
        help="where regions come from: masks (the given masks), auto (found by the network in the package), semantic "
        "(found by a large network), none (the whole photo is one region) (default: masks if given, or else auto)",
    )
    parser.add_argument(
        "--save-partial",
        action="store_true",
        help="when interrupted, write the best image so far; a second interrupt ends at once",
    )
    parser.add_argument(
        "--lut",
        metavar="FILE",
        help="also write the closest 3D LUT, a .cube file for other programs, and say how close it is",
    )


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto transfer`."""
    inputs = input_files(args, ("content", "style", "content_mask", "style_mask"))
    check_result(args, inputs)
    if args.lut is not None:
        check_target(args.lut, inputs)
        if os.path.splitext(args.lut)[1].lower() != ".cube":
            raise InputError(f"{printable(args.lut)}: a 3D LUT is a .cube file; give it that extension")
    started = time.perf_counter()
    content = read_photo(inputs[0], "content")
    style = inputs[1] if is_look(inputs[1]) else read_photo(inputs[1], "style")
    with defer_signals() if args.save_partial else contextlib.nullcontext() as interrupted:
        with progress_report(args) as report:
            options = transfer_arguments(args) | limit_arguments(args)
            pixels: Tensor = transfer(
                content,
                style,
                *inputs[2:],
                regions=args.regions,
                segmentation_model=args.segmentation_model,
                callback=_stop_when(interrupted, report) if interrupted else report,
                **options,
            )
        write_result(args, content, pixels, started)
        if args.lut is not None:
            _write_lut(args, content, pixels)


def _write_lut(args: argparse.Namespace, content: Photo, pixels: Tensor) -> None:
    lut, error = fit_lut_of_photo(content, pixels)
    write_lut(args.lut, lut, os.path.basename(args.lut))
    if not args.quiet:
        say(f"wrote {args.lut}: {error.mean:.1f} delta E from the result on average, 95 % below {error.worst:.1f}")


def _stop_when(
    interrupted: Callable[[], bool], report: Callable[[Progress], None] | None
) -> Callable[[Progress], bool]:
    """Return a callback that reports progress and asks the transfer to stop once `interrupted` returns True."""

    def callback(progress: Progress) -> bool:
        if report is not None:
            report(progress)
        return interrupted()

    return callback
