"""Kill processes while they write an image, again and again: the file must be whole every time.

    python tests/stress/kill_writers.py FOLDER [TIMES]

Each child process writes two pictures in turn to the same file until it is killed after a random time.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
from PIL import Image

from fastphoto.photos.write import write_image

PICTURES = [Image.new("RGB", (700, 500), colour) for colour in ("red", "blue")]


def kill_writer(target: Path, delay: float) -> None:
    """Start a writer, kill it after `delay` seconds, and check the file that it leaves."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="existing folder to write in")
    parser.add_argument("times", type=int, nargs="?", default=300, help="number of writers to kill (%(default)s)")
    args = parser.parse_args()
    target, random_ = args.folder / "killed.png", random.Random(0)
    write_image(target, PICTURES[0], "PNG", {})
    for _ in range(args.times):
        kill_writer(target, random_.uniform(0, 0.03))
    left = len(list(args.folder.glob(".fastphoto-*")))
    print(f"{args.times} writers killed: the file was always whole; {left} of them left a temporary file")


if __name__ == "__main__":
    main()
