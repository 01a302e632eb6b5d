"""The command `fastphoto`, run in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from fastphoto.cli.command import main


def run_here(*words: object) -> int:
    """Run the command in this process and return its exit status, also after an error of usage."""
    try:
        return main([os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in words])
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


def run_process(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; `options` go to `subprocess.run`."""
    command = [sys.executable, "-m", "fastphoto.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def error_line(said: str) -> str:
    """Return the text of an error, which must be one line and all that stderr holds."""
    assert said.startswith("fastphoto: error: ") and said.count("\n") == 1 and said.endswith("\n"), said
    return said.removeprefix("fastphoto: error: ").removesuffix("\n")
