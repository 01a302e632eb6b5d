"""`fastphoto transfer`, `invert`, `demo` and `info`: results as photographs."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from fastphoto import __version__
from fastphoto.cli.messages import say, wrote
from fastphoto.cli.options import (
    mask_options,
    message_options,
    orphan_options,
    progress,
    run_arguments,
    run_options,
    segmentation_options,
)
from fastphoto.cli.setting_values import parse_settings
from fastphoto.cli.signals import stoppable_later
from fastphoto.encoders.download import KNOWN, cache_folder, find_cached
from fastphoto.encoders.encoder import ENCODERS
from fastphoto.ops import build_info
from fastphoto.optimisation.presets import PRESETS
from fastphoto.optimisation.settings import Settings
from fastphoto.photos.demo import demo_pairs
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import check_output, write_image, write_photo
from fastphoto.pipeline import Progress, invert, transfer
from fastphoto.regions.find import REGION_SOURCES
from fastphoto.reports.contact_sheet import make_contact_sheet
from fastphoto.runtime.files import output_folder


def add(commands: Any) -> None:
    """Add the commands of this file to those of the parser."""
    settings = argparse.ArgumentParser(add_help=False)
    settings.add_argument("--preset", choices=PRESETS, default="fast", help="default: %(default)s")
    shared = [settings, _size_options(700), run_options(), orphan_options(), _set_options(), message_options()]

    command = commands.add_parser(
        "transfer",
        parents=[*shared, mask_options(), segmentation_options()],
        help="make one photo take on the look of another",
    )
    command.set_defaults(run=_transfer)
    command.add_argument(
        "--regions",
        choices=REGION_SOURCES,
        default="masks",
        help="those of the masks; found in both photos by clustering, or by a semantic network; or the whole photo as "
        "one (default: %(default)s)",
    )
    command.add_argument("content", metavar="CONTENT", help="the photo to change")
    command.add_argument("style", metavar="STYLE", help="the photo whose look it takes on")
    command.add_argument("-o", "--output", required=True, metavar="OUT", help="png, jpg, tif or webp")
    command.add_argument(
        "--save-partial", action="store_true", help="when interrupted, write the best image so far; once more to end"
    )

    command = commands.add_parser("demo", parents=shared, help="run the pairs in the package")
    command.set_defaults(run=_demo)
    command.add_argument(
        "-o", "--output", default="fastphoto-demo", metavar="DIR", help="folder (default: %(default)s)"
    )

    command = commands.add_parser(
        "invert",
        parents=[_size_options(350), run_options(), _set_options(), message_options()],
        help="make an image from what one layer of the encoder keeps of a photo",
    )
    command.set_defaults(run=_invert)
    command.add_argument("photo", metavar="PHOTO")
    command.add_argument("-o", "--output", required=True, metavar="OUT", help="png, jpg, tif or webp")
    command.add_argument("--layer", default="relu4_1", help="relu1_1 to relu5_1 (default: %(default)s)")

    command = commands.add_parser(
        "info", parents=[message_options(quiet=False)], help="versions, devices, encoders and the cache"
    )
    command.set_defaults(run=_info)


def _size_options(default: int) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--size",
        type=int,
        default=default,
        metavar="PX",
        help="long side to optimise at; the result has the photo's own size (default: %(default)s)",
    )
    return options


def _set_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting; may be repeated"
    )
    return options


def _transfer(options: argparse.Namespace) -> None:
    """`fastphoto transfer`"""
    sources = (options.content, options.style, options.content_mask, options.style_mask)
    check_output(options.output, sources)
    started = time.perf_counter()
    content = read_photo(options.content, "content")
    style = read_photo(options.style, "style")
    masks = options.content_mask, options.style_mask
    told = {"regions": options.regions, "segmentation_model": options.segmentation_model}
    with stoppable_later() if options.save_partial else contextlib.nullcontext() as stopped:
        pixels = _transferred(options, content, style, *masks, stopped=stopped, **told)
        write_photo(options.output, content, pixels)
        wrote(options, options.output, started)


def _invert(options: argparse.Namespace) -> None:
    """`fastphoto invert`"""
    check_output(options.output, [options.photo])
    started = time.perf_counter()
    photo = read_photo(options.photo, "photo")
    settings = parse_settings(options.set, Settings)
    with progress(options) as report:
        told = run_arguments(options) | settings
        pixels = invert(photo, options.layer, size=options.size, callback=report, **told)
    write_photo(options.output, photo, pixels)
    wrote(options, options.output, started)


def _demo(options: argparse.Namespace) -> None:
    """`fastphoto demo`"""
    with output_folder(options.output) as folder:
        rows = []
        for pair in demo_pairs():
            started = time.perf_counter()
            content, style = read_photo(pair / "content.jpg", "content"), read_photo(pair / "style.jpg", "style")
            pixels = _transferred(options, content, style, pair / "content_mask.png", pair / "style_mask.png")
            result = folder / f"{pair.name}.jpg"
            write_photo(result, content, pixels)
            rows.append([("", Image.open(path)) for path in (pair / "content.jpg", pair / "style.jpg", result)])
            wrote(options, result, started)
        sheet = folder / "contact-sheet.jpg"
        write_image(sheet, make_contact_sheet(rows), "JPEG", {"quality": 92})
        if not options.quiet:
            say(f"wrote {sheet}: content, style, result")


def _info(options: argparse.Namespace) -> None:
    """`fastphoto info`"""
    print(f"fastphoto    {__version__}")
    print(f"python       {sys.version.split()[0]}, torch {torch.__version__}")
    for name, value in build_info().items():
        print(f"built with   {name}: {' '.join(value) if isinstance(value, list) else value}")
    print(f"device       cpu, {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        print(f"device       cuda:{index}, {device.name}, {device.total_memory / 2**30:.0f} GiB")
    print("encoder      embedded: comes with the package; MIT")
    for encoder in ENCODERS[1:]:
        known = next(known for known in KNOWN if known.encoder == encoder)
        place = find_cached(encoder) or f"not here yet, would be loaded from {known.url}"
        print(f"encoder      {encoder}: {place}; {known.licence}")
    print(f"cache        {cache_folder()}")


def _transferred(
    options: argparse.Namespace,
    content: Photo,
    style: Photo,
    *masks: str | Path | None,
    stopped: Callable[[], bool] | None = None,
    **regions: Any,
) -> Any:
    """One transfer with the options both commands share, until it is stopped; returns pixels (3, H, W)."""
    told = {"preset": options.preset, "size": options.size, "orphans": options.orphans} | regions
    told |= run_arguments(options) | parse_settings(options.set, Settings)
    with progress(options) as report:

        def reported(progress: Progress) -> bool:
            if report is not None:
                report(progress)
            return bool(stopped and stopped())

        return transfer(content, style, *masks, callback=reported if stopped else report, **told)
