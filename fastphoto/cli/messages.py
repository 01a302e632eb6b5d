"""What the command says on stderr: lines of its own, progress, warnings and errors of usage."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

from tqdm import tqdm

from fastphoto.errors import FastPhotoWarning
from fastphoto.pipeline import Progress


def say(text: str) -> None:
    """One line on stderr."""
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        tqdm.write(f"fastphoto: {text}", file=sys.stderr)


def wrote(options: argparse.Namespace, path: object, started: float) -> None:
    """That a file was written, and in how many seconds since `time.perf_counter()` was `started`."""
    if not options.quiet:
        say(f"wrote {path} in {time.perf_counter() - started:.1f} s")


def one_line(message: object) -> str:
    """A message without line breaks; its type's name where it is empty."""
    return " ".join(str(message).split()) or type(message).__name__


class Parser(argparse.ArgumentParser):
    """Errors of usage are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        say(f"error: {message}; see {self.prog} --help")
        self.exit(2)


class Report:
    """Progress on stderr: a bar where that is a terminal, else one line when a stage, or one of many jobs, begins."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.stage: tuple[Any, ...] = ()

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __call__(self, progress: Progress) -> None:
        """Of one transfer."""
        self._progress(progress, "")

    def job(self, name: str, progress: Progress | None) -> None:
        """Of one job of many: None when it begins."""
        if progress is None:
            self._close()
            say(f"running {name}")
        elif sys.stderr.isatty():
            self._progress(progress, f"{name}: ")

    def downloading(self, name: str, done: int, total: int | None) -> None:
        """Of a file, in bytes."""
        self._show(f"downloading {name}", done, total, unit="B", unit_scale=True)

    def _progress(self, progress: Progress, prefix: str) -> None:
        height, width = progress.scale
        self._show(
            f"{prefix}{progress.stage} {width}x{height}",
            progress.step,
            progress.total,
            unit="step",
            loss=lambda: sum(progress.losses.values()),
        )

    def _show(self, stage: str, done: int, total: int | None, loss: Any = None, **bar: Any) -> None:
        new = stage != self.stage
        self.stage = stage
        if not sys.stderr.isatty():
            if new:
                say(stage)
            return
        if self.bar is None or self.bar.total != total:
            self._close()
            self.bar = tqdm(total=total, file=sys.stderr, leave=False, dynamic_ncols=True, **bar)
        if new:
            self.bar.set_description(stage)
        # Losses live on the device: reading one waits for it, so only when the bar is drawn anyway.
        if loss and time.time() - self.bar.last_print_t >= self.bar.mininterval:
            self.bar.set_postfix_str(f"loss {loss():.4g}", refresh=False)
        self.bar.update(done - self.bar.n)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


@contextlib.contextmanager
def reported_warnings(options: argparse.Namespace) -> Iterator[None]:
    """Every FastPhotoWarning as one line; those of other libraries only with --debug."""

    def show(message: Warning | str, *_: Any) -> None:
        if not options.quiet:
            say(f"warning: {one_line(message)}")

    with warnings.catch_warnings():
        if not options.debug:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", FastPhotoWarning)
        warnings.showwarning = show
        yield
