"""`fastphoto batch`: many photos take on a look, on this machine or on a Ray cluster."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from fastphoto.batch.jobs import Job, find_jobs, read_manifest
from fastphoto.batch.run import BatchCallback, BatchProgress, BatchSummary, transfer_many
from fastphoto.batch.storage import is_url, joined
from fastphoto.cli.messages import one_line, say
from fastphoto.cli.options import Commands, segmentation_options
from fastphoto.cli.transfer import limit_arguments, limit_options, transfer_arguments, transfer_options
from fastphoto.errors import FastPhotoError, InputError, printable
from fastphoto.photos.formats import WRITE_FORMATS
from fastphoto.regions.find import REGION_SOURCES

_RECORD = "fastphoto-record.jsonl"


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "batch",
        parents=[*transfer_options(), limit_options(), segmentation_options()],
        help="make many photos take on a look, and record each",
        description="Photos are files, folders or patterns, or the rows of a manifest; all may be URLs such as s3://. "
        "The same command again goes on where it stopped, and leaves out what has not changed.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help="photos to change: files, folders, patterns")
    parser.add_argument("--style", metavar="STYLE", help="photo whose look they take on")
    parser.add_argument("--style-mask", metavar="FILE", help="mask image of the style; the photos then need masks")
    parser.add_argument(
        "--content-masks", metavar="DIR", help="folder of the photos' masks, with their names and the extension .png"
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        help="table of photos instead, .csv or .jsonl: content, style, output, content_mask, style_mask, and options",
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="folder of the results; made if it does not exist")
    parser.add_argument("--recursive", action="store_true", help="look into the folders of folders too")
    parser.add_argument(
        "--format", choices=[name.lstrip(".") for name in WRITE_FORMATS], help="of the results (default: the photo's)"
    )
    parser.add_argument("--regions", choices=REGION_SOURCES, help="where regions come from, as in transfer")
    parser.add_argument(
        "--record",
        metavar="FILE",
        help=f"JSON Lines file of what was done (default: {_RECORD} in the folder of the results or of the manifest)",
    )
    parser.add_argument("--force", action="store_true", help="do all photos anew, also those that are done")
    parser.add_argument("--fail-fast", action="store_true", help="stop at the first photo that fails")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="(default: %(default)s)")
    parser.add_argument("--address", metavar="ADDRESS", help="Ray cluster to join, such as auto or HOST:6379")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: as cores and memory allow)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of each process")
    parser.add_argument(
        "--attempts",
        type=int,
        default=3,
        metavar="N",
        help="how often a photo is tried whose process dies (default: %(default)s)",
    )
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds for one photo, then its process is ended")


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto batch`."""
    jobs = _jobs(args)
    record = args.record if args.record is not None else _record_beside(args)
    with _shown(args, len(jobs)) as callback:
        summary = transfer_many(
            jobs,
            record=record,
            engine=args.engine,
            address=args.address,
            workers=args.workers,
            threads=args.threads,
            device=args.device,
            attempts=args.attempts,
            timeout=args.timeout,
            force=args.force,
            fail_fast=args.fail_fast,
            callback=callback,
        )
    _report(args, summary, record)


def _jobs(args: argparse.Namespace) -> list[Job]:
    defaults = _defaults(args)
    if args.manifest is not None:
        if args.photos or args.content_masks or args.recursive or args.format:
            raise InputError("--manifest: photos, masks and outputs stand in it; leave out what finds or names photos")
        return read_manifest(args.manifest, defaults, args.output)
    if not args.photos:
        raise InputError("batch: no photos; give files, folders or patterns, or --manifest")
    for name in ("style", "output"):
        if getattr(args, name) is None:
            raise InputError(f"batch: no --{name}; give one")
    if args.content_masks is not None and args.style_mask is None:
        raise InputError("--content-masks: the style needs a mask, too; give --style-mask")
    return find_jobs(
        args.photos,
        args.output,
        defaults,
        recursive=args.recursive,
        extension=args.format and f".{args.format}",
        content_masks=args.content_masks,
    )


def _defaults(args: argparse.Namespace) -> dict[str, Any]:
    """Return what holds for all photos: the style, and the options that were given."""
    options = transfer_arguments(args) | limit_arguments(args)
    options |= {"regions": args.regions, "segmentation_model": args.segmentation_model}
    options.pop("device")
    named = {"style": args.style, "style_mask": args.style_mask}
    return {name: value for name, value in (named | options).items() if value is not None}


def _record_beside(args: argparse.Namespace) -> str:
    folder = args.output if args.output is not None else os.path.dirname(args.manifest)
    if is_url(folder):
        raise InputError("batch: results or manifest are in another storage; give --record, a file on this machine")
    return joined(folder, _RECORD)


@contextmanager
def _shown(args: argparse.Namespace, total: int) -> Iterator[BatchCallback]:
    """Yield a callback that shows progress, and each photo that failed, unless --quiet."""
    bar = tqdm(
        total=total,
        unit="photo",
        file=sys.stderr,
        dynamic_ncols=True,
        smoothing=0.05,
        disable=args.quiet or not sys.stderr.isatty(),
    )

    def show(progress: BatchProgress) -> None:
        entry = progress.entry
        bar.update()
        if entry["status"] == "failed":
            bar.set_postfix_str(f"{progress.failed} failed", refresh=False)
            name, message = printable(entry["content"]), one_line(entry["error"]["message"])
            say(f"failed: {message}" if message.startswith(name) else f"failed: {name}: {message}")
        elif not args.quiet and bar.disable and entry["status"] == "done":
            say(
                f"{progress.done + progress.unchanged + progress.failed} of {progress.total}: wrote "
                f"{_shown_path(entry['output'])} in {entry['seconds']:.1f} s{_time_left(progress)}"
            )

    with bar:
        yield show


def _shown_path(path: str) -> str:
    """Return a path as it would be written from the current folder, if it lies below it."""
    return printable(path.removeprefix(os.getcwd() + os.sep))


def _time_left(progress: BatchProgress) -> str:
    if not progress.seconds_left:
        return ""
    minutes = progress.seconds_left / 60
    left = f"{progress.seconds_left:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else ""
    return f"; {progress.rate:.2f} a second, {left or f'{minutes / 60:.1f} h'} left"


def _report(args: argparse.Namespace, summary: BatchSummary, record: str) -> None:
    """Say what became of the batch; raise FastPhotoError if any photo failed."""
    count = len(summary.failures)
    if not args.quiet:
        unchanged = f", {summary.unchanged} done before and unchanged" if summary.unchanged else ""
        say(f"{summary.done} done in {summary.seconds:.1f} s{unchanged}; record: {printable(record)}")
    if count:
        raise FastPhotoError(
            f"{count} {'photo' if count == 1 else 'photos'} failed, see {printable(record)}; the same command tries "
            "them again"
        )
