"""`fastphoto video`: a clip takes on the look of a photo."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable

from fastphoto.cli.messages import say_written
from fastphoto.cli.options import Commands, progress_report
from fastphoto.cli.signals import defer_signals
from fastphoto.cli.transfer import transfer_arguments, transfer_options
from fastphoto.video.progress import VideoProgress
from fastphoto.video.transfer import INTERVAL, SIZE, transfer_video


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "video",
        parents=transfer_options(SIZE, "long side at which keyframes are transferred; frames keep their own size"),
        help="make a clip take on the look of a photo, without flicker",
    )
    parser.set_defaults(run=run)
    parser.add_argument("clip", metavar="CLIP", help="video file; folder of images, or a pattern such as in/%%04d.png")
    parser.add_argument("style", metavar="STYLE", help="photo whose look it takes on")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="video file to write: .mp4, .m4v, .mov, .mkv or .webm; for images a folder, or a pattern",
    )
    parser.add_argument(
        "--regions",
        choices=("auto", "semantic", "none"),
        default="auto",
        help="where the regions of a shot come from: auto (found by the network in the package), semantic (found by a "
        "large network), none (the whole frame is one region) (default: %(default)s)",
    )
    parser.add_argument(
        "--segmentation-model", metavar="MODEL", help="network for --regions semantic, as in fastphoto transfer"
    )
    parser.add_argument(
        "--interval",
        type=int,
        default=INTERVAL,
        metavar="N",
        help="frames from one keyframe to the next (default: %(default)s)",
    )
    parser.add_argument(
        "--codec", help="codec to write: h264, hevc, vp9, av1, or an encoder of FFmpeg (default: that of the container)"
    )
    parser.add_argument(
        "--quality",
        type=int,
        metavar="N",
        help="constant rate factor, from 0 (best) to 63 (default: no difference shows)",
    )
    parser.add_argument(
        "--save-partial",
        action="store_true",
        help="when interrupted, write the frames so far; a second interrupt ends at once",
    )


def run(args: argparse.Namespace) -> None:
    """Run `fastphoto video`."""
    started = time.perf_counter()
    with defer_signals() if args.save_partial else contextlib.nullcontext() as interrupted:
        with progress_report(args) as report:
            transfer_video(
                args.clip,
                args.style,
                args.output,
                regions=args.regions,
                segmentation_model=args.segmentation_model,
                interval=args.interval,
                codec=args.codec,
                quality=args.quality,
                callback=_callback(report.frame if report else None, interrupted),
                **transfer_arguments(args),
            )
        say_written(args, args.output, started)


def _callback(
    report: Callable[[VideoProgress], None] | None, interrupted: Callable[[], bool] | None
) -> Callable[[VideoProgress], bool]:
    """Return a callback that reports progress and asks to stop once `interrupted` returns True."""

    def callback(progress: VideoProgress) -> bool:
        if report is not None:
            report(progress)
        return interrupted is not None and interrupted()

    return callback
