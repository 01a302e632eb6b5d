"""Standard input and output where a file is asked for: the path `-`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from fastphoto.cli.messages import say_written
from fastphoto.errors import FileError, InputError
from fastphoto.photos.photo import Photo
from fastphoto.photos.write import check_output, encode_photo, write_photo

_DASH = "-"


def input_files(args: argparse.Namespace, names: Sequence[str]) -> list[Any]:
    """Return the values of arguments that are paths of inputs, a stream for one that is `-`, standard input.

    Raises:
        InputError: two are `-`, or standard input is a terminal or closed.
    """
    values = [getattr(args, name) for name in names]
    if piped := [name.replace("_", " ") for name, value in zip(names, values, strict=True) if value == _DASH]:
        if len(piped) > 1:
            raise InputError(f"-: standard input can be only one of {' and '.join(piped)}; give paths of the others")
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError(f"{piped[0]}: nothing is piped into standard input; give a path")
    return [sys.stdin.buffer if value == _DASH else value for value in values]


def check_result(args: argparse.Namespace, inputs: Sequence[object]) -> None:
    """Check, before any work, that `write_result` can write; see `fastphoto.photos.write.check_output`."""
    if args.output != _DASH:
        check_output(args.output, inputs)
    elif sys.stdout is None or sys.stdout.isatty():
        raise InputError("-: standard output is a terminal; redirect it, or give a path")


def write_result(args: argparse.Namespace, photo: Photo, pixels: Tensor, started: float) -> None:
    """Write a result to --output, as a PNG file if that is standard output, and say so; see `say_written`."""
    if args.output == _DASH:
        name = "standard output"
        _write_standard_output(encode_photo(photo, pixels, "PNG", name), name)
    else:
        name = args.output
        write_photo(name, photo, pixels)
    say_written(args, name, started)


def _write_standard_output(data: bytes, name: str) -> None:
    try:
        # A stream of its own: Python would try again at the end what sys.stdout could not write.
        with open(sys.stdout.fileno(), "wb", closefd=False) as stream:
            stream.write(data)
    except BrokenPipeError:  # the reader has ended; fastphoto.cli.command handles it
        raise
    except OSError as error:
        raise FileError(f"{name}: cannot be written ({error.strerror})") from error
