"""Repeat one transfer, alternately with one thread and with two: its bits must never change.

python tests/stress/repeat_transfers.py [TIMES]
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

import fastphoto
from fastphoto.photos.demo import demo_pairs


def repeat(times: int, size: int = 150) -> int:
    """Return how many of `times` runs, their number of threads alternating, gave the same bits as the first."""
    pair = demo_pairs()[0]
    photos = [pair / "content.jpg", pair / "style.jpg", pair / "content_mask.png", pair / "style_mask.png"]
    threads, results = torch.get_num_threads(), []
    try:
        for number in range(times):
            torch.set_num_threads(1 + number % 2)
            results.append(np.asarray(fastphoto.transfer(*photos, size=size)).tobytes())
    finally:
        torch.set_num_threads(threads)
    return results.count(results[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("times", type=int, nargs="?", default=100, help="number of runs (%(default)s)")
    args = parser.parse_args()
    same = repeat(args.times)
    print(f"{same} of {args.times} runs gave the same bits, with one thread and with two")
    sys.exit(same != args.times)


if __name__ == "__main__":
    main()
