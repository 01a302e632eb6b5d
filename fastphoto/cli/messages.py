"""What the command prints on stderr: messages, progress, warnings and errors of usage, each on one line."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import NoReturn, TextIO

from tqdm import tqdm

from fastphoto.errors import FastPhotoWarning
from fastphoto.optimisation.progress import Progress
from fastphoto.video.progress import VideoProgress

_SECONDS_BETWEEN_LINES = 10


def say(text: str) -> None:
    """Print one line on stderr, above a progress bar if one is shown."""
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        tqdm.write(f"fastphoto: {text}", file=sys.stderr)


def say_written(args: argparse.Namespace, path: object, started: float) -> None:
    """Print that a file was written and how many seconds have passed since `started`, unless --quiet.

    Args:
        args: the parsed arguments.
        path: path of the file or folder.
        started: value of `time.perf_counter()` at the start.
    """
    if not args.quiet:
        say(f"wrote {path} in {time.perf_counter() - started:.1f} s")


def one_line(message: object) -> str:
    """Return a message without line breaks, or the name of its type if it is empty."""
    return " ".join(str(message).split()) or type(message).__name__


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that prints an error of usage as one line, as `say` does."""

    def error(self, message: str) -> NoReturn:
        say(f"error: {message}; see {self.prog} --help")
        self.exit(2)


class ProgressReport:
    """Show progress on stderr: a bar on a terminal, otherwise one line at the start of each stage, level or job."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None
        self._title = ""
        self._line_at = 0.0  # seconds of a clip's last line

    def __enter__(self) -> ProgressReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __call__(self, progress: Progress) -> None:
        """Show the progress of one transfer."""
        self._show_step(progress, "")

    def job(self, name: str, progress: Progress | None) -> None:
        """Show the progress of one of several jobs; None announces its start."""
        if progress is None:
            self._close()
            say(f"running {name}")
        elif sys.stderr.isatty():
            self._show_step(progress, f"{name}: ")

    def frame(self, progress: VideoProgress) -> None:
        """Show the progress of a clip: on a terminal with speed and time left, otherwise a line every ten seconds."""
        if sys.stderr.isatty():
            self._show("transferring", progress.frames, progress.total, unit="frame")
        elif progress.seconds - self._line_at >= _SECONDS_BETWEEN_LINES or progress.frames == 1:
            self._line_at = progress.seconds
            of = f" of {progress.total}" if progress.total else ""
            left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
            say(f"{progress.frames}{of} frames, {progress.frames_per_second:.1f} a second{left}")

    def downloading(self, name: str, done: int, total: int | None) -> None:
        """Show the progress of a download, in bytes; None: its total is unknown."""
        self._show(f"downloading {name}", done, total, unit="B", unit_scale=True)

    def _show_step(self, progress: Progress, prefix: str) -> None:
        if not progress.is_step and not sys.stderr.isatty():  # a line for each would be noise in a log
            return
        height, width = progress.scale
        title = f"{prefix}{progress.stage} {width}x{height}"
        self._show(title, progress.step, progress.total, unit="step", loss=lambda: sum(progress.losses.values()))

    def _show(
        self,
        title: str,
        done: int,
        total: int | None,
        unit: str,
        unit_scale: bool = False,
        loss: Callable[[], float] | None = None,
    ) -> None:
        is_new, self._title = title != self._title, title
        if not sys.stderr.isatty():
            if is_new:
                say(title)
            return
        if self.bar is None or self.bar.total != total:
            self._close()
            self.bar = tqdm(
                total=total, unit=unit, unit_scale=unit_scale, file=sys.stderr, leave=False, dynamic_ncols=True
            )
        if is_new:
            self.bar.set_description(title)
        # The losses are on the device, and reading them waits for it: do it only when the bar is about to be drawn.
        if loss and time.time() - self.bar.last_print_t >= self.bar.mininterval:
            self.bar.set_postfix_str(f"loss {loss():.4g}", refresh=False)
        self.bar.update(done - self.bar.n)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class _Remarks(logging.Handler):
    """Print what the package logs, one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        say(one_line(record.getMessage()))


@contextlib.contextmanager
def print_remarks(args: argparse.Namespace) -> Iterator[None]:
    """Print what the package logs, such as the regions it found, unless --quiet."""
    logger, remarks = logging.getLogger("fastphoto"), _Remarks()
    level = logger.level
    if not args.quiet:
        logger.addHandler(remarks)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(remarks)
        logger.setLevel(level)


@contextlib.contextmanager
def print_warnings(args: argparse.Namespace) -> Iterator[None]:
    """Print each FastPhotoWarning as one line unless --quiet; with --debug print those of other libraries too."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not args.quiet:
            say(f"warning: {one_line(message)}")

    with warnings.catch_warnings():
        if not args.debug:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", FastPhotoWarning)
        warnings.showwarning = show
        yield
