"""Runs the same transfer again and again, with one thread and with two, and sees that its bits never change.

python tests/repeat_transfers.py [TIMES]
"""

from __future__ import annotations

import sys

import numpy as np
import torch

import fastphoto
from fastphoto.photos.demo import demo_pairs


def repeat(times: int, size: int = 150) -> int:
    """How many of so many runs gave the same bits as the first, threads changing from run to run."""
    pair = demo_pairs()[0]
    photos = [pair / "content.jpg", pair / "style.jpg", pair / "content_mask.png", pair / "style_mask.png"]
    before, first, same = torch.get_num_threads(), None, 0
    try:
        for number in range(times):
            torch.set_num_threads(1 + number % 2)
            result = np.asarray(fastphoto.transfer(*photos, size=size)).tobytes()
            first = first or result
            same += result == first
    finally:
        torch.set_num_threads(before)
    return same


def main(times: str = "100") -> None:
    same = repeat(int(times))
    print(f"{same} of {times} runs gave the same bits, with one thread and with two")
    sys.exit(same != int(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
