"""Runs sections of a measurement, each in a process of its own with a time limit; keeps what a stopped one found.

Imports neither torch nor fastphoto: a section may be the one that builds them.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Found = dict[str, Any]


class Recorder(dict[str, Any]):
    """What a section found; writing each entry at once keeps it if the section is cut off."""

    def __init__(self, write: Callable[[], None]) -> None:
        super().__init__()
        self.write = write

    def __setitem__(self, key: str, value: object) -> None:
        super().__setitem__(key, value)
        self.write()

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Part of a section that may fail without the rest."""
        try:
            yield
        except Exception:
            self["error"] = self.get("error", "") + f"{what}:\n{traceback.format_exc()}"
            print(f"{what}: {traceback.format_exc()}", file=sys.stderr)


def in_process(
    command: Sequence[str], names: Sequence[str], limit: float, scratch: Path, variables: Mapping[str, str]
) -> Found:
    """What the sections found in a process that is ended after `limit` seconds; it and its children go together.

    command: what runs `work` on the same names and the same scratch file.
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
    found: Found = json.loads(scratch.read_text(encoding="utf-8")) if scratch.exists() else {}
    scratch.unlink(missing_ok=True)
    for name in names:
        section = found.setdefault(name, {})
        if not section.pop("complete", False):
            section["error"] = section.get("error", "") + f"not complete: the process {ended}"
        if len(names) == 1:
            section["seconds"] = round(time.monotonic() - begin, 1)
    return found


def work(modules: Mapping[str, str], names: Sequence[str], sizes: object, scratch: Path, machine: Found) -> None:
    """Runs sections, each guarded; writes what is known into `scratch` whenever a section records something.

    modules: for each section the module whose function of the section's name it is, imported only here.
    """
    found: Found = {"machine": machine}

    def write() -> None:
        partial = scratch.with_suffix(".part")
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(scratch)

    for name in names:
        section = found[name] = Recorder(write)
        begin = time.monotonic()
        try:
            getattr(importlib.import_module(modules[name]), name)(section, sizes)
        except BaseException:
            section["error"] = section.get("error", "") + traceback.format_exc()
            print(section["error"], file=sys.stderr)
        section["seconds"] = round(time.monotonic() - begin, 1)
        section["complete"] = True


def git(*command: str) -> str:
    """What git prints, or nothing where there is none."""
    try:
        return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
