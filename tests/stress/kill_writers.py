"""Kills processes that write an image, one after the other, and sees that a whole file is always there.

    python tests/kill_writers.py FOLDER [TIMES]

A child of this process writes two pictures in turn over the same file until it is killed, at another moment each time.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from fastphoto.photos.write import write_image

PICTURES = [Image.new("RGB", (700, 500), colour) for colour in ("red", "blue")]


def killed_writer(target: Path, delay: float) -> None:
    """Starts a writer, kills it after so many seconds, and checks the file that it leaves."""
    child = os.fork()
    if child == 0:
        while True:
            for picture in PICTURES:
                write_image(target, picture, "PNG", {})
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pixels = np.asarray(Image.open(target))
    assert pixels.shape == (500, 700, 3), pixels.shape
    assert (pixels == pixels[0, 0]).all(), "two pictures in one file"


def main(folder: str, times: str = "300") -> None:
    target, moments = Path(folder) / "killed.png", random.Random(0)
    write_image(target, PICTURES[0], "PNG", {})
    for _ in range(int(times)):
        killed_writer(target, moments.uniform(0, 0.03))
    left = len(list(target.parent.glob(".fastphoto-*")))
    print(f"{times} writers killed: the file was always whole; {left} of them left a temporary file")


if __name__ == "__main__":
    main(*sys.argv[1:])
