"""`fastphoto regions`: regions found, grown from strokes or given as masks, written as masks to check and edit."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fastphoto.cli.messages import say, say_written
from fastphoto.cli.options import (
    Commands,
    folder_output_options,
    mask_options,
    message_options,
    orphan_options,
    segmentation_options,
    size_options,
)
from fastphoto.errors import InputError, printable
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions.export import check_targets, write_regions
from fastphoto.regions.find import REGION_SOURCES, find_regions
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.mismatch import match_in_words, region_unlikeness
from fastphoto.regions.reading import read_mask_pair, read_masks
from fastphoto.regions.scribbles import grow_scribbles
from fastphoto.runtime.files import output_folder


@dataclass(frozen=True)
class Side:
    """One of the two photos, and the mask or strokes given for it; all are paths."""

    role: Literal["content", "style"]
    photo: str
    mask: str | None
    strokes: str | None

    @property
    def drawn(self) -> bool:
        """Whether the user has drawn regions for this photo."""
        return bool(self.mask or self.strokes)

    @property
    def strokes_option(self) -> str:
        """The option that gives the strokes."""
        return "--scribbles" if self.role == "content" else "--style-scribbles"


def add_parser(commands: Commands) -> None:
    """Add the command."""
    size = size_options(700, "long side at which to find regions; masks and strokes keep the photo's own size")
    parser = commands.add_parser(
        "regions",
        parents=[
            folder_output_options(), size, segmentation_options(), mask_options(), orphan_options(), message_options()
        ],
        help="write the regions of one photo, or those that two photos share, as masks to edit",
    )  # fmt: skip
    parser.set_defaults(run=run)
    parser.add_argument("content", metavar="PHOTO", help="photo whose regions to write")
    parser.add_argument("style", metavar="STYLE", nargs="?", help="second photo, whose regions are to match")
    parser.add_argument(
        "--regions",
        choices=[source for source in REGION_SOURCES if source not in ("masks", "none")],
        help="how to find regions without masks and strokes: auto (by the network in the package), semantic (by "
        "a large network) (default: auto)",
    )
    parser.add_argument(
        "--scribbles", metavar="FILE", help="transparent image with a few strokes in each region of PHOTO, to grow"
    )
    parser.add_argument(
        "--style-scribbles", metavar="FILE", help="the same for STYLE, with the same colours for the same regions"
    )
    parser.add_argument(
        "--device", default="auto", help="device of the segmentation network: cpu, cuda, ... (default: %(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="overwrite existing masks and names.json")


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto regions`."""
    started = time.perf_counter()
    sides = _sides(args)
    _check(sides, args.regions)
    inputs = [path for side in sides for path in (side.photo, side.mask, side.strokes) if path]
    with output_folder(args.output) as folder:
        check_targets(folder, [side.role for side in sides], inputs, args.overwrite)
        photos = [read_photo(side.photo, side.role) for side in sides]
        regions = _find(args, sides, photos)
        write_regions(folder, {s.role: (photo, r) for s, photo, r in zip(sides, photos, regions, strict=True)})
    say_written(args, folder, started)
    if len(sides) == 2 and not args.quiet:
        _say_matches(photos, regions)


def _sides(args: argparse.Namespace) -> list[Side]:
    """Return the content, and the style if there is one."""
    content = Side("content", args.content, args.content_mask, args.scribbles)
    if args.style is not None:
        return [content, Side("style", args.style, args.style_mask, args.style_scribbles)]
    if args.style_mask or args.style_scribbles:
        raise InputError("a mask or strokes for the style, but no style photo; give the photo, or leave them out")
    return [content]


def _check(sides: Sequence[Side], regions: str | None) -> None:
    """Raise InputError for masks, strokes and --regions that contradict each other."""
    for side in sides:
        if side.mask and side.strokes:
            raise InputError(f"{side.strokes_option}: there is a --{side.role}-mask too; leave out one or the other")
    drawn = [side.drawn for side in sides]
    if any(drawn) and regions:
        raise InputError(f"--regions {regions}: finds regions, but masks or strokes are given; leave it out")
    if any(drawn) and not all(drawn):
        raise InputError("a mask or strokes for one of the photos only; give them for both, or one photo alone")


def _find(args: argparse.Namespace, sides: Sequence[Side], photos: Sequence[Photo]) -> list[RegionMasks]:
    """Return the regions of each photo: those that are drawn, or else those that --regions finds."""
    drawn = sides[0].drawn
    strokes = _read_strokes(sides, photos)
    masks = [
        _grow(photo, side, marked) if marked else side.mask
        for side, photo, marked in zip(sides, photos, strokes, strict=True)
    ]
    found = find_regions(
        photos[0],
        photos[1] if len(photos) == 2 else None,
        *masks,
        regions="masks" if drawn else args.regions or "auto",
        segmentation_model=args.segmentation_model,
        size=args.size,
        orphans=args.orphans,
        device=args.device,
    )
    return list(found[: len(photos)])


def _read_strokes(sides: Sequence[Side], photos: Sequence[Photo]) -> list[RegionMasks | None]:
    """Return the strokes of each photo, None without; those of two photos are read in one form."""
    if all(side.strokes for side in sides) and len(sides) == 2:
        sizes = photos[0].size, photos[1].size
        return list(read_mask_pair((sides[0].strokes, sides[1].strokes), sizes, sizes, kind="strokes"))
    return [
        read_masks(side.strokes, photo.size, side.role, kind="strokes") if side.strokes else None
        for side, photo in zip(sides, photos, strict=True)
    ]


def _grow(photo: Photo, side: Side, strokes: RegionMasks) -> RegionMasks:
    """Return the regions that grow from the strokes of one photo."""
    assert side.strokes is not None
    name = f"{side.strokes_option} {printable(side.strokes)}"
    if bool(strokes.masks.amax(0).all()):
        raise InputError(f"{name}: every pixel is painted; leave all but the strokes transparent")
    try:
        return grow_scribbles(photo.pixels, strokes)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _say_matches(photos: Sequence[Photo], regions: Sequence[RegionMasks]) -> None:
    """Print how well the matched regions of the two photos match, with the share of the content that each covers."""
    (content, style), (content_regions, style_regions) = photos, regions
    each = region_unlikeness(content.pixels, style.pixels, content_regions.masks, style_regions.masks).tolist()
    shares = content_regions.masks.mean((1, 2)).tolist()
    listed = ", ".join(
        f"{name} {match_in_words(unlikeness)} ({share:.0%} of the photo)"
        for name, unlikeness, share in zip(content_regions.names, each, shares, strict=True)
    )
    say(f"matches: {listed}")
