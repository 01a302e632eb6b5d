"""The section that counts photos per second: whole transfers in one process, and in several that share the GPU."""

from __future__ import annotations

import multiprocessing
import time
from itertools import product
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu.images import peak_memory
from benchmarks.gpu.sizes import Sizes, scratch_folder
from benchmarks.sections import Results, SectionResults
from benchmarks.transfers import write_demo_pair

TIMEOUT = 60  # seconds for one measurement, or for starting
Phase = tuple[int, int]  # long side, number of processes


def throughput(results: SectionResults, sizes: Sizes) -> None:
    """Count whole calls of transfer() with the embedded encoder and default settings, warm.

    All calls get the demo pair at one long side, photos and masks as arrays, and return an array. Processes are started
    once, all at the same time; in a measurement with fewer processes the others wait.
    """
    phases = list(product(sizes.throughput_sides, sizes.process_counts))
    arguments = {side: demo_arrays(write_demo_pair(side, scratch_folder())) for side in sizes.throughput_sides}
    arguments = {side: pair | {"size": side} | sizes.default_steps for side, pair in arguments.items()}
    # A process with CUDA must not be forked.
    context = multiprocessing.get_context("spawn")
    count = max(sizes.process_counts)
    barrier, rows = context.Barrier(count), context.Queue()
    shared = (phases, arguments, sizes.device, sizes.throughput_seconds, barrier, rows)
    processes = [context.Process(target=run_phases, args=(rank, *shared), daemon=True) for rank in range(count)]
    for process in processes:
        process.start()
    try:
        for side, count in phases:
            row = combined([rows.get(timeout=2 * TIMEOUT) for _ in range(count)])
            results[f"{side} px, {count} process{'es' if count > 1 else ''}"] = row
    except Empty:
        raise RuntimeError("a process ended early or took too long") from None
    finally:
        for process in processes:
            process.join(1)
            process.kill()


def demo_arrays(pair: Path) -> dict[str, Any]:
    """Return photos and nine-colour masks of a pair as arrays (H, W, 3) of uint8, the arguments of transfer()."""
    files = {"content": "content.jpg", "style": "style.jpg"}
    files |= {f"{role}_mask": f"{role}_mask.png" for role in ("content", "style")}
    return {name: np.asarray(Image.open(pair / file).convert("RGB")) for name, file in files.items()}


def run_phases(
    rank: int,
    phases: list[Phase],
    arguments: dict[int, dict[str, Any]],
    device: torch.device,
    seconds: float,
    barrier: Barrier,
    rows: multiprocessing.Queue[Results],
) -> None:
    """Take part in each phase, in a process of its own; put a row into the queue for each."""
    import fastphoto

    for pair in arguments.values():
        fastphoto.transfer(**pair, device=device)  # warms up
    for side, count in phases:
        barrier.wait(TIMEOUT)
        if rank >= count:
            continue
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        begin, photos = time.perf_counter(), 0
        while photos == 0 or time.perf_counter() - begin < seconds:
            fastphoto.transfer(**arguments[side], device=device)
            photos += 1
        rows.put({"photos/s": photos / (time.perf_counter() - begin), **peak_memory(device)})


def combined(rows: list[Results]) -> Results:
    """Return the sum of the processes' photos per second, and the largest peak memory of one."""
    memory = max(row["peak allocated GB"] for row in rows)
    return {"photos/s": sum(row["photos/s"] for row in rows), "peak allocated GB each": memory}
