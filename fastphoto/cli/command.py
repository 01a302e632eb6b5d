"""The command `fastphoto`; the only place that prints."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from fastphoto import __version__
from fastphoto.cli import region_commands, report_commands, transfer_commands
from fastphoto.cli.messages import Parser, one_line, reported_warnings, say
from fastphoto.cli.signals import Stopped, stoppable
from fastphoto.errors import FastPhotoError, FileError, InputError
from fastphoto.runtime.threads import keep_freed_memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: those of the process) and return its exit status.

    0: done. 2: input, a file or an option cannot be used. 130: interrupted, 143: terminated. 1: any other failure, also
    of a run whose losses do not stay finite.
    """
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    try:
        with stoppable(), reported_warnings(options):
            options.run(options)
            sys.stdout.flush()
        return 0
    except Stopped as stopped:
        say(str(stopped))
        return stopped.status
    except KeyboardInterrupt:  # where no signal could be caught
        say("interrupted")
        return 130
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        if isinstance(error, FastPhotoError):
            say(f"error: {one_line(error)}")
            return 2 if isinstance(error, (InputError, FileError)) else 1
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            say("error: not enough memory; use a smaller --size")
            return 2
        what = f"{type(error).__name__}: {one_line(error)}"
        say(f"error: {what}" + ("" if options.debug else "; run again with --debug to see where"))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="fastphoto", description="Photorealistic style transfer between photographs.")
    parser.add_argument("--version", action="version", version=f"fastphoto {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    transfer_commands.add(commands)
    region_commands.add(commands)
    report_commands.add(commands)
    return parser
