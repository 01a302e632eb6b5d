"""The sections that time whole calls at default settings on a GPU: transfers, sessions, regions, a clip."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastphoto
from benchmarks.clock import Clock
from benchmarks.gpu.images import peak_memory
from benchmarks.gpu.sizes import Sizes, scratch_folder
from benchmarks.gpu.throughput import demo_arrays
from benchmarks.sections import Results, SectionResults
from benchmarks.transfers import weights_file, write_demo_pair


def fast(results: SectionResults, sizes: Sizes) -> None:
    """Time warm calls of transfer() with masks, from arrays to an array, and how long the GPU works in one."""
    clock = Clock(sizes)
    for label, side in sizes.fast_sides.items():
        with results.attempt(label):
            pair = demo_arrays(write_demo_pair(side, scratch_folder()))
            results[label] = timed_call(clock, sizes, lambda pair=pair: transfer(clock, sizes, pair))
    pair = demo_arrays(write_demo_pair(sizes.fast_sides["700 px"], scratch_folder()))
    photos = {name: value for name, value in pair.items() if not name.endswith("mask")}
    with results.attempt("automatic regions"):
        call = timed_call(clock, sizes, lambda: transfer(clock, sizes, photos))
        results["700 px, automatic regions"] = call
    with results.attempt("VGG-19"):
        options = {"encoder": "vgg19", "weights": weights_file("vgg19", scratch_folder(), sizes.vgg_shape)}
        results["700 px, VGG-19"] = timed_call(clock, sizes, lambda: transfer(clock, sizes, pair | options))


def transfer(clock: Clock, sizes: Sizes, arguments: Results) -> np.ndarray[Any, Any]:
    """Return the result of a call at default settings."""
    return fastphoto.transfer(**arguments, device=clock.device, **sizes.default_steps)


def timed_call(clock: Clock, sizes: Sizes, call: Callable[[], object]) -> Results:
    """Return the seconds of a warm call, how long the GPU works meanwhile, what is left for the host, and the memory.

    What is left is the host's work that no kernel hides: the seconds of a call less those of its kernels.
    """
    call()
    if clock.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = [clock.seconds(call) for _ in range(sizes.warm_runs)]
    seconds = statistics.median(times)
    row: Results = {"s": seconds, "all": times, **peak_memory(clock.device)}
    try:
        busy = device_seconds(clock, call)
    except RuntimeError as error:  # of the profiler, which needs a driver's permission
        return row | {"not profiled": str(error)}
    return row | {"device ms": 1e3 * busy, "host ms": 1e3 * (seconds - busy)}


def device_seconds(clock: Clock, call: Callable[[], object]) -> float:
    """Return the seconds that kernels and copies of a call take; 0 on a CPU."""
    activity = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[activity.CUDA if clock.device.type == "cuda" else activity.CPU]) as profile:
        call()
        clock.synchronise()
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6


def sessions(results: SectionResults, sizes: Sizes) -> None:
    """Count photos per second of one session, which prepares the style once."""
    clock = Clock(sizes)
    for side in sizes.throughput_sides:
        with results.attempt(f"{side} px"):
            pair = demo_arrays(write_demo_pair(side, scratch_folder()))
            style = {"style": pair["style"], "style_mask": pair["style_mask"]}
            with fastphoto.Session(**style, size=side, device=clock.device, **sizes.default_steps) as session:
                session(pair["content"], pair["content_mask"])  # warms up
                begin, photos = time.perf_counter(), 0
                while photos == 0 or time.perf_counter() - begin < sizes.throughput_seconds:
                    session(pair["content"], pair["content_mask"])
                    photos += 1
                results[f"{side} px"] = {"photos/s": photos / (time.perf_counter() - begin)}


def regions(results: SectionResults, sizes: Sizes) -> None:
    """Time the search for the regions of a pair by the network in the package."""
    clock = Clock(sizes)
    for label in ("700 px", "12 MP"):
        with results.attempt(label):
            pair = demo_arrays(write_demo_pair(sizes.fast_sides[label], scratch_folder()))

            def find(pair: Results = pair) -> object:
                return fastphoto.find_regions(pair["content"], pair["style"], device=clock.device)

            results[label] = timed_call(clock, sizes, find)


def video(results: SectionResults, sizes: Sizes) -> None:
    """Time the transfer of a clip: a camera that pans and zooms over the demo pair's content."""
    try:
        from benchmarks.video import camera, read_values, write_clip
    except ImportError as error:
        results["left out"] = f"the clip, for lack of {error.name}"
        return
    (height, width), seconds = sizes.clip
    pair = write_demo_pair(2 * width, scratch_folder())
    frames = max(3, round(25 * seconds))
    clip, result = (scratch_folder() / name for name in ("clip.mp4", "clip-result.mp4"))
    write_clip(clip, camera(read_values(pair / "content.jpg"), frames, (height, width), seed=0), (height, width))
    results["clip"] = timed_clip(clip, pair / "style.jpg", result, sizes)


def timed_clip(clip: Path, style: Path, result: Path, sizes: Sizes) -> Results:
    """Return the frames per second of a clip's transfer, after one that warms up."""
    options = {"device": sizes.device, "interval": 8}
    for _ in range(1 if sizes.dry_run else 2):
        begin = time.perf_counter()
        done = fastphoto.transfer_video(clip, style, result, **options)
        seconds = time.perf_counter() - begin
    counts = {"frames": done.frames, "keyframes": done.keyframes, "size": list(sizes.clip[0])}
    return {"s": seconds, "frames/s": done.frames / seconds, **counts, **peak_memory(sizes.device)}
