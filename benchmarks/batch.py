"""The section that counts photos per second of a batch, beside an ideal pool.

The ideal pool has as many processes at the same time as the batch has workers. They do nothing but run the same photos
through `fastphoto.Session`, read and written as in a batch. All its processes are warm before the clock starts; the
batch's clock counts from the call, so also its processes' start.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image, ImageEnhance

import fastphoto
from benchmarks.sections import Results, SectionResults
from fastphoto.batch import Job
from fastphoto.batch.local_workers import worker_bytes, worker_devices


class BatchSizes(Protocol):
    """How many photos, and for how long."""

    batches: dict[int, int]  # photos by long side
    pool_seconds: float  # at least this long, the ideal pool runs

    @property
    def device(self) -> torch.device: ...


def batch(results: SectionResults, sizes: BatchSizes) -> None:
    """Run batches of photos of one size after the other; automatic regions, default settings."""
    for side, count in sizes.batches.items():
        with results.attempt(f"{side} px"):
            results[f"{side} px, {count} photos"] = measure(count, side, sizes.device.type, sizes.pool_seconds)


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
    place: tuple[str, int],
    style: Path,
    paths: list[Path],
    folder: Path,
    seconds: float,
    barrier: Barrier,
    rates: Any,
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
    while done < 2 or time.perf_counter() - begin < seconds:
        transfer(paths[done % len(paths)])
        done += 1
    rates.put(done / (time.perf_counter() - begin))


def ideal_rate(places: list[tuple[str, int]], style: Path, paths: list[Path], folder: Path, seconds: float) -> float:
    """Return the photos per second of all processes of an ideal pool together."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(len(places)), context.Queue()
    shares = [paths[number :: len(places)] for number in range(len(places))]
    processes = [
        context.Process(target=pool_member, args=(place, style, share, folder, seconds, barrier, rates))
        for place, share in zip(places, shares, strict=True)
    ]
    for process in processes:
        process.start()
    total = sum(rates.get() for _ in processes)
    for process in processes:
        process.join()
    return total


def measure(count: int, side: int, device: str, seconds: float) -> Results:
    """Return the rates of an ideal pool and of a batch, and the memory of the batch's processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        style, paths = write_photos(folder, count, side)
        jobs = [Job(str(path), str(style), str(folder / "out" / path.name)) for path in paths]
        places = worker_devices(device, jobs, None, None)
        ideal = ideal_rate(places, style, paths, folder, seconds)
        record = folder / "record.jsonl"
        begin = time.perf_counter()
        summary = fastphoto.transfer_many(jobs, device=device, record=record)
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
