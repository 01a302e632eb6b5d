"""Sections: parts of a run, each in a process of its own with a time limit, so that a failure does not stop others.

Imports neither torch nor fastphoto: a section may be the one that builds them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Results = dict[str, Any]  # JSON: the results of a run, of a section, or of a part of one

# The environment of a dry run. One thread finishes tiny work sooner than several, and much sooner if the other cores
# are busy. torch.compile runs functions as they are, as compiling them would take minutes.
DRY_RUN = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1"}


class SectionResults(dict[str, Any]):
    """The results of one section. Each entry is written to disk at once, in case the section is stopped."""

    def __init__(self, write: Callable[[], None]) -> None:
        super().__init__()
        self._write = write

    def __setitem__(self, key: str, value: object) -> None:
        super().__setitem__(key, value)
        self._write()

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Record an exception as the section's error, and go on with the rest of the section."""
        try:
            yield
        except Exception as error:
            self.add_error(f"{what}: {_one_line(error)}")
            traceback.print_exc()

    def add_error(self, line: str) -> None:
        """Append one line to the section's error."""
        self["error"] = "\n".join([*filter(None, [self.get("error")]), line])


class OutOfTime(BaseException):
    """A section's time is up; not an Exception, so that `attempt` does not go on with the next part."""


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1]}"


def run_sections(
    modules: Mapping[str, str],
    names: Sequence[str],
    sizes: object,
    scratch: Path,
    machine: Results,
    limits: Mapping[str, float] | None = None,
) -> None:
    """Run sections one after the other in this process; keep all results in the file `scratch` up to date.

    Args:
        modules: names of modules by section. A section's module is imported when its turn comes, and the function with
            the section's name is called with the section's results and `sizes`.
        names: the sections to run.
        sizes: sizes of the work in each section.
        scratch: JSON file, {"machine": ..., section: results, ...}.
        machine: description of this machine.
        limits: seconds that each section may take; it is then interrupted. The first section with an error is then the
            last in this process, as the next one may need a device that works. None: sections have no limit of their
            own, and all are run.
    """
    results: Results = {"machine": machine}

    def write() -> None:
        partial = scratch.with_suffix(".part")
        partial.write_text(json.dumps(results), encoding="utf-8")
        partial.replace(scratch)

    for name in names:
        section = results[name] = SectionResults(write)
        begin = time.monotonic()
        try:
            with _time_limit(limits[name] if limits else None):
                getattr(importlib.import_module(modules[name]), name)(section, sizes)
        except BaseException as error:
            section.add_error(_one_line(error))
            traceback.print_exc()
        section["seconds"] = round(time.monotonic() - begin, 1)
        section["complete"] = True
        if limits and "error" in section:
            break


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise OutOfTime(f"stopped after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds or 0)  # 0: never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_in_process(
    command: Sequence[str], names: Sequence[str], limit: float, scratch: Path, variables: Mapping[str, str]
) -> Results:
    """Run sections in a process of their own, and end it with all its children after `limit` seconds.

    Args:
        command: command that calls `run_sections` for `names` and `scratch`.
        names: the sections to run.
        limit: time limit in seconds.
        scratch: JSON file for results, deleted afterwards.
        variables: environment of the process.

    Returns:
        {"machine": ..., section: results, ...}; if the process was stopped, what it had recorded by then. Sections
        that it did not come to are left out, but for the first.
    """
    scratch.unlink(missing_ok=True)
    begin = time.monotonic()
    process = subprocess.Popen(command, env=dict(variables), start_new_session=True)
    try:
        ended = f"ended with code {process.wait(limit)}"
    except subprocess.TimeoutExpired:
        ended = f"stopped after {limit:.0f} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    results: Results = json.loads(scratch.read_text(encoding="utf-8")) if scratch.exists() else {}
    scratch.unlink(missing_ok=True)
    if not any(name in results for name in names):
        results[names[0]] = {}
    for name in filter(results.__contains__, names):
        section = results[name]
        if not section.pop("complete", False):
            line = f"not complete: the process {ended}"
            section["error"] = "\n".join([*filter(None, [section.get("error")]), line])
        if len(names) == 1:
            section["seconds"] = round(time.monotonic() - begin, 1)
    return results


def argument_parser(description: str, sections: Iterable[str]) -> argparse.ArgumentParser:
    """Return a parser of the options that the runs on CPUs and on GPUs share."""
    known = list(sections)

    def chosen(text: str) -> list[str]:
        if unknown := sorted(set(text.split(",")) - set(known)):
            raise argparse.ArgumentTypeError(f"no section {', '.join(unknown)}; there are {', '.join(known)}")
        return [name for name in known if name in text.split(",")]

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="default: the record in benchmarks/records, the report in results",
    )
    parser.add_argument(
        "--sections", type=chosen, default=known, metavar="A,B", help=f"run only some of {', '.join(known)}"
    )
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on the CPU, to test this program")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=float, help=argparse.SUPPRESS)
    return parser
