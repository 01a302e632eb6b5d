"""Kill workers and whole batches, again and again: every photo must come out, and with the same bits.

    python tests/stress/kill_batch.py FOLDER [TIMES]

Each round kills a worker of a running batch, or the batch itself, after a random time, and starts the batch again where
it was killed. At the end each result is compared by hash with that of a batch that nobody disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from batches import hashes_of, leftovers, worker_processes, write_photos


def run_batch(folder: Path, output: str) -> subprocess.Popen[bytes]:
    """Start a batch of the folder's photos."""
    words = ["batch", "photos", "--style", "style.png", "-o", output, "--size", "48", "--set", "steps=4"]
    words += ["--attempts", "99", "--workers", "2", "--quiet"]
    return subprocess.Popen([sys.executable, "-m", "fastphoto.cli", *words], cwd=folder)


def kill_batches(folder: Path, times: int, photos: int) -> dict[str, int]:
    """Return how many workers and batches were killed, and how many photos came out of it."""
    write_photos(folder, photos)
    assert run_batch(folder, "undisturbed").wait() == 0
    expected = hashes_of(folder / "undisturbed")
    random_, counts = random.Random(0), {"workers": 0, "batches": 0}
    batch = run_batch(folder, "out")
    while sum(counts.values()) < times:
        time.sleep(random_.uniform(2, 6))
        if batch.poll() is not None:  # done: begin anew
            assert hashes_of(folder / "out") == expected
            shutil.rmtree(folder / "out")
            batch = run_batch(folder, "out")
            continue
        workers = worker_processes(batch.pid)
        if workers and random_.random() < 0.7:
            os.kill(random_.choice(workers), signal.SIGKILL)
            counts["workers"] += 1
        else:
            batch.kill()
            batch.wait()
            counts["batches"] += 1
            batch = run_batch(folder, "out")
        assert hashes_of(folder / "out").items() <= expected.items(), "a result with other bits, or half of one"
    assert batch.wait() == 0
    assert hashes_of(folder / "out") == expected and not leftovers(folder)
    return counts | {"photos": len(expected)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="empty folder to write in")
    parser.add_argument("times", type=int, nargs="?", default=30, help="number of kills (%(default)s)")
    parser.add_argument("--photos", type=int, default=60, help="photos of the batch (%(default)s)")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    counts = kill_batches(args.folder, args.times, args.photos)
    print(", ".join(f"{count} {name}" for name, count in counts.items()) + ": all results have the expected bits")


if __name__ == "__main__":
    main()
