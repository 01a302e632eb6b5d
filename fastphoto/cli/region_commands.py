"""`fastphoto regions`: masks found, grown from strokes or checked, to look at and to edit."""

from __future__ import annotations

import argparse
import time
from typing import Any

from fastphoto.cli.messages import say, wrote
from fastphoto.cli.options import folder_options, mask_options, message_options, orphan_options, segmentation_options
from fastphoto.errors import InputError, printable
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions.export import check_targets, write_regions
from fastphoto.regions.find import find_regions
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.mismatch import HOPELESS, overall_unlikeness, region_unlikeness
from fastphoto.regions.reading import read_masks
from fastphoto.regions.scribbles import grow_scribbles
from fastphoto.runtime.files import output_folder


def add(commands: Any) -> None:
    """Add the command to those of the parser."""
    command = commands.add_parser(
        "regions",
        parents=[folder_options(), segmentation_options(), mask_options(), orphan_options(), message_options()],
        help="write the regions of one photo, or those that two share, as masks to edit",
    )
    command.set_defaults(run=_regions)
    command.add_argument("content", metavar="PHOTO")
    command.add_argument("style", metavar="STYLE", nargs="?", help="the photo whose regions are to match")
    command.add_argument(
        "--regions", choices=("auto", "semantic"), help="how they are found, without masks and strokes (default: auto)"
    )
    command.add_argument(
        "--scribbles", metavar="FILE", help="a transparent picture with a few strokes in each region of PHOTO, to grow"
    )
    command.add_argument("--style-scribbles", metavar="FILE", help="the same for STYLE, in the same colours")
    command.add_argument(
        "--size",
        type=int,
        default=700,
        metavar="PX",
        help="long side that regions are found at; masks and strokes keep the photo's own (default: %(default)s)",
    )
    command.add_argument(
        "--device", default="auto", help="of a semantic network: cpu, cuda, ... (default: %(default)s)"
    )
    command.add_argument("--overwrite", action="store_true", help="also masks and names that are there already")


def _regions(options: argparse.Namespace) -> None:
    """`fastphoto regions`"""
    started = time.perf_counter()
    given = [("content", options.content, options.content_mask, options.scribbles, "scribbles")]
    second = ("style", options.style, options.style_mask, options.style_scribbles, "style-scribbles")
    if options.style is not None:
        given.append(second)
    elif any(second[2:4]):
        raise InputError("a mask or strokes of a style, but no style; give its photo, or leave them out")
    for role, _, mask, strokes, option in given:
        if mask and strokes:
            raise InputError(f"--{option}: there is a --{role}-mask too; leave out one or the other")
    drawn = any(strokes or mask for *_, mask, strokes, _ in given)
    if drawn and options.regions:
        raise InputError(f"--regions {options.regions}: finds regions, but masks or strokes are given; leave it out")
    if drawn and not all(strokes or mask for *_, mask, strokes, _ in given):
        raise InputError("a mask or strokes for one of the photos only; give them for both, or one photo alone")
    inputs = [path for _, *paths, _ in given for path in paths if path]
    with output_folder(options.output) as folder:
        check_targets(folder, [role for role, *_ in given], inputs, options.overwrite)
        photos = {role: read_photo(path, role) for role, path, *_ in given}
        masks = [
            _grown(photos[role], strokes, role, option) if strokes else mask for role, _, mask, strokes, option in given
        ]
        labels = find_regions(
            *photos.values(),
            *[None] * (2 - len(photos)),
            *masks,
            regions="masks" if drawn else options.regions or "auto",
            segmentation_model=options.segmentation_model,
            # What is drawn keeps the borders that it has.
            size=max(max(photo.size) for photo in photos.values()) if drawn else options.size,
            orphans=options.orphans,
            device=options.device,
        )
        found = {role: (photos[role], regions) for role, regions in zip(photos, labels, strict=False)}
        write_regions(folder, found)
    wrote(options, folder, started)
    if len(found) == 2 and not options.quiet:
        (content, first), (style, second) = found.values()
        unlike = region_unlikeness(content.pixels, style.pixels, first.masks, second.masks)
        each = ", ".join(f"{name} {value:.3f}" for name, value in zip(first.names, unlike.tolist(), strict=True))
        total = overall_unlikeness(unlike, first.masks)
        say(f"unlikeness {total:.3f} (hopeless above {HOPELESS:g}): {each}")


def _grown(photo: Photo, path: str, role: Any, option: str) -> RegionMasks:
    """Regions of a photo, grown from the strokes of a picture."""
    strokes = read_masks(path, photo.size, role, kind="strokes")
    if bool(strokes.masks.amax(0).all()):
        raise InputError(f"--{option} {printable(path)}: every pixel is painted; leave all but the strokes transparent")
    try:
        return grow_scribbles(photo.pixels, strokes)
    except InputError as error:
        raise InputError(f"--{option} {printable(path)}: {error}") from error
