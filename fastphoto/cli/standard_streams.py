"""Standard input and output: the path `-`, which stands for them in place of a file, and streams that are closed."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from fastphoto.cli.messages import say_written
from fastphoto.errors import FileError, InputError
from fastphoto.photos.photo import Photo
from fastphoto.photos.write import check_output, encode_photo, write_photo

INPUT_HELP = "- reads it from standard input, which only one input can be"
_DASH = "-"


class _Nowhere(io.TextIOWrapper):
    """The null device, in place of a stream that is closed."""

    def __init__(self) -> None:
        super().__init__(io.BufferedWriter(io.FileIO(os.devnull, "w")))


@contextlib.contextmanager
def open_streams() -> Iterator[None]:
    """Give messages somewhere to go in a process whose streams are closed or, without a console, None."""
    with contextlib.ExitStack() as stack:
        if sys.stdout is None:
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(_Nowhere())))
        if sys.stderr is None:
            stack.enter_context(contextlib.redirect_stderr(stack.enter_context(_Nowhere())))
        yield


def refuse_dash(args: argparse.Namespace) -> None:
    """Raise InputError if an argument is `-` in a command that does not say `takes_dash`."""
    if getattr(args, "takes_dash", False):
        return
    for name, value in vars(args).items():
        if value == _DASH or (isinstance(value, list) and _DASH in value):
            raise InputError(
                f"{name.replace('_', ' ')} -: only transfer, invert, look and apply take - as standard input or "
                "output; give a path"
            )


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
    elif isinstance(sys.stdout, _Nowhere):
        raise InputError("-: standard output is closed; redirect it, or give a path")
    elif sys.stdout.isatty():
        raise InputError("-: standard output is a terminal; redirect it, or give a path")


def write_result(args: argparse.Namespace, photo: Photo, pixels: Tensor, started: float) -> None:
    """Write a result to --output, as a PNG file if that is standard output, and say so; see `say_written`."""
    if args.output == _DASH:
        name = "standard output"
        _write_standard_output(encode_photo(photo, pixels, "PNG", name), name)
        say_written(args, f"to {name}", started)
    else:
        write_photo(args.output, photo, pixels)
        say_written(args, args.output, started)


def _write_standard_output(data: bytes, name: str) -> None:
    try:
        # A stream of its own: Python would try again at the end what sys.stdout could not write.
        with open(sys.stdout.fileno(), "wb", closefd=False) as stream:
            stream.write(data)
    except BrokenPipeError:  # other than a listing, a picture without its end is worth nothing
        raise FileError(f"{name}: the reader has ended before the end of the picture") from None
    except OSError as error:
        raise FileError(f"{name}: cannot be written ({error.strerror})") from error
