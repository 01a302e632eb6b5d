"""The entry point of the command: its parser, and the exit status of each kind of failure."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from fastphoto.cli import (
    apply,
    batch,
    compare,
    demo,
    evaluate,
    info,
    invert,
    look,
    regions,
    study,
    survey,
    transfer,
    ui,
    video,
)
from fastphoto.cli.messages import OneLineParser, one_line, print_remarks, print_warnings, say
from fastphoto.cli.signals import Stopped, raise_on_signals
from fastphoto.cli.standard_streams import open_streams, refuse_dash
from fastphoto.errors import FastPhotoError, FileError, InputError
from fastphoto.ops.library import build_info
from fastphoto.runtime.memory import keep_freed_memory
from fastphoto.runtime.torch_loading import keep_loaded_modules

# In the order of --help.
_COMMANDS = (transfer, ui, look, apply, batch, video, demo, invert, info, regions, compare, evaluate, survey, study)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        words: arguments after the command's name. None: those of this process.

    Returns:
        0: done. 2: an input, a file or an option cannot be used. 130: interrupted; 143: terminated. 1: any other
        failure, for example losses that do not stay finite.

    Raises:
        SystemExit: status 2 after an error of usage, 0 after --help and --version.

    Example:
        >>> main(["transfer", "no-such-photo.jpg", "style.jpg", "--output", "no-such-folder/out.png"])
        2
    """
    if words is None:  # the process is the command's own
        keep_loaded_modules()
    with open_streams():
        return _run(words)


def _run(words: Sequence[str] | None) -> int:
    args = _parser().parse_args(words)
    keep_freed_memory()
    try:
        with raise_on_signals(), print_warnings(args), print_remarks(args):
            refuse_dash(args)
            args.run(args)
            sys.stdout.flush()
        return 0
    except Stopped as stopped:
        say(str(stopped))
        return stopped.status
    except KeyboardInterrupt:  # Ctrl-C while no handler is set
        say("interrupted")
        return 130
    except BrokenPipeError:  # the reader of a listing has ended, for example `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _report_failure(error, args.debug)


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = OneLineParser(
        prog="fastphoto", description="Photorealistic style transfer between photographs."
    )
    parser.add_argument("--version", action="version", version=f"fastphoto {build_info()['version']}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def _report_failure(error: Exception, debug: bool) -> int:
    """Print an error as one line, with its traceback before it if `debug`; return the exit status."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, FastPhotoError):
        say(f"error: {one_line(error)}")
        return 2 if isinstance(error, (InputError, FileError)) else 1
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's class
        say("error: not enough memory; use a smaller --size")
        return 2
    advice = "" if debug else "; run again with --debug to see where"
    say(f"error: {type(error).__name__}: {one_line(error)}{advice}")
    return 1
