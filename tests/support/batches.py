"""Small photos in a folder, the jobs between them, and the worker processes that do them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rendered_photos import day, dusk

from fastphoto.batch import Job

OPTIONS: dict[str, Any] = {"size": 48, "steps": 2, "regions": "none"}

POISON = """
import os, sys

def crash(event, arguments):
    if event == "open" and "poison" in str(arguments[0]):
        os.kill(os.getpid(), 9)

sys.addaudithook(crash)
"""
"""A sitecustomize.py with which a process dies when it opens a file whose name has "poison" in it."""


def write_photos(folder: Path, count: int) -> list[Path]:
    """Write a style and some contents, each a little different; return the contents."""
    (folder / "photos").mkdir()
    Image.fromarray(dusk().array).save(folder / "style.png")
    paths = []
    for number in range(count):
        path = folder / "photos" / f"photo{number:03}.png"
        Image.fromarray((day().array * (1 - 0.3 * number / max(count, 2))).astype(np.uint8)).save(path)
        paths.append(path)
    return paths


def jobs_of(folder: Path, contents: list[Path]) -> list[Job]:
    """Return the jobs whose results go to the folder `out`."""
    style = str(folder / "style.png")
    return [Job(str(path), style, str(folder / "out" / path.name)) for path in contents]


def hashes_of(folder: Path) -> dict[str, str]:
    """Return the hash of every picture in a folder, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.png"))}


def leftovers(folder: Path) -> list[Path]:
    """Return files that are no results."""
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


def worker_processes(parent: int | None = None) -> list[int]:
    """Return the numbers of the worker processes that a process has started."""
    found = []
    for task in Path(f"/proc/{parent or os.getpid()}/task").glob("*/children"):
        for number in task.read_text().split():
            try:
                command = Path(f"/proc/{number}/cmdline").read_bytes()
            except OSError:
                continue
            if b"worker_process" in command:
                found.append(int(number))
    return found
