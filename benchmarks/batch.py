"""Photos per second of a batch, beside an ideal pool: as many processes that do nothing but transfers.

    python benchmarks/batch.py [--photos 500] [--sides 350,700,2000] [--engine local|ray] [-o FILE]

The ideal pool runs the same photos through `fastphoto.Session`, read and written as in a batch, in as many processes at
the same time as the batch has workers. All its processes are warm before the clock starts; the batch's clock counts
from the call, so also its processes' start. Run nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from datetime import datetime, timezone
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageEnhance

import fastphoto
from fastphoto.batch import Job
from fastphoto.batch.local_workers import worker_bytes, worker_devices

POOL_SECONDS = 60.0  # at least this long, the ideal pool runs


def write_photos(folder: Path, count: int, side: int) -> tuple[Path, list[Path]]:
    """Write a style, and contents of one long side that differ in brightness; return their paths."""
    pair = fastphoto.demo_pairs()[0]
    style = pair / "style.jpg"
    content = Image.open(pair / "content.jpg").convert("RGB")
    scale = side / max(content.size)
    content = content.resize((round(content.width * scale), round(content.height * scale)), Image.Resampling.LANCZOS)
    paths = []
    for number in range(count):
        path = folder / f"photo{number:04}.jpg"
        ImageEnhance.Brightness(content).enhance(0.7 + 0.6 * number / count).save(path, quality=92)
        paths.append(path)
    return style, paths


def pool_member(
    place: tuple[str, int], style: Path, paths: list[Path], folder: Path, barrier: Barrier, rates: Any
) -> None:
    """Transfer photos one after another, and put the rate after the first into a queue."""
    device, threads = place
    torch.set_num_threads(threads)
    fastphoto.keep_freed_memory()
    session = fastphoto.Session(style, device=device)

    def transfer(path: Path) -> None:
        photo = fastphoto.read_photo(path)
        fastphoto.write_photo(folder / f"ideal-{path.name}", photo, session(photo))

    transfer(paths[0])
    barrier.wait()
    begin, done = time.perf_counter(), 0
    while done < 2 or time.perf_counter() - begin < POOL_SECONDS:
        transfer(paths[done % len(paths)])
        done += 1
    rates.put(done / (time.perf_counter() - begin))


def ideal_rate(places: list[tuple[str, int]], style: Path, paths: list[Path], folder: Path) -> float:
    """Return the photos per second of all processes of an ideal pool together."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(len(places)), context.Queue()
    shares = [paths[number :: len(places)] for number in range(len(places))]
    processes = [
        context.Process(target=pool_member, args=(place, style, share, folder, barrier, rates))
        for place, share in zip(places, shares, strict=True)
    ]
    for process in processes:
        process.start()
    total = sum(rates.get() for _ in processes)
    for process in processes:
        process.join()
    return total


def measure(count: int, side: int, engine: str) -> dict[str, Any]:
    """Return the rates of an ideal pool and of a batch, and the memory of the batch's processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        style, paths = write_photos(folder, count, side)
        jobs = [Job(str(path), str(style), str(folder / "out" / path.name)) for path in paths]
        places = worker_devices("auto", jobs, None, None)
        ideal = ideal_rate(places, style, paths, folder)
        record = folder / "record.jsonl"
        begin = time.perf_counter()
        summary = fastphoto.transfer_many(jobs, engine=engine, record=record)
        rate = count / (time.perf_counter() - begin)
        assert summary.done == count, summary.failures
        peaks = [json.loads(line)["peak_memory"].get("cpu", 0) for line in record.read_text().splitlines()]
        return {
            "photos": count,
            "side": side,
            "workers": len(places),
            "threads": places[0][1],
            "ideal photos/s": ideal,
            "batch photos/s": rate,
            "batch / ideal": rate / ideal,
            "peak of a worker, GB": max(peaks) / 1e9,
            "model of a worker, GB": worker_bytes(jobs) / 1e9,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=500, help="photos of the smallest side (default: %(default)s)")
    parser.add_argument("--sides", default="350,700,2000", help="long sides of the photos (default: %(default)s)")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    args = parser.parse_args()
    sides = [int(side) for side in args.sides.split(",")]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    results: dict[str, Any] = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "fastphoto": fastphoto.__version__,
        "torch": torch.__version__,
        "device": gpu or fastphoto.ops.build_info()["instruction_set"],
        "threads": torch.get_num_threads(),
        "engine": args.engine,
        "rates": [],
    }
    for side in sides:
        count = max(8, args.photos * sides[0] // side)
        row = measure(count, side, args.engine)
        results["rates"].append(row)
        print(json.dumps(row), flush=True)
    if args.output is not None:
        args.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
