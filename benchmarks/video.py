"""Clips made of photographs by a moving camera with sensor noise; their transfers, flicker, speed and memory.

    python benchmarks/video.py -o FOLDER --photo A.jpg --other-photo B.jpg --style STYLE.jpg

Any two landscape photographs of 1600 pixels or more serve. The published figures are of Dune.jpg and Storm.jpg of
Debian's package mate-backgrounds, with the style of the demo pair lake-at-sunset.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

import fastphoto

RATE = 25
NOISE = 2.5 / 255  # standard deviation, as of a small sensor in daylight


def camera(photo: np.ndarray, frames: int, size: tuple[int, int], seed: int) -> Iterator[np.ndarray]:
    """Yield frames (H, W, 3) in [0, 1] of a camera that pans and zooms over a photo, with sensor noise."""
    height, width = size
    rng = np.random.default_rng(seed)
    rows, columns = photo.shape[:2]
    largest = min(columns / width, rows / height)  # pixels of the photo for one of the frame
    for number in range(frames):
        phase = number / max(frames - 1, 5 * RATE - 1)  # a shorter clip sees the beginning of the way
        scale = largest * (0.75 - 0.2 * math.sin(math.pi * phase))
        room_x, room_y = columns - width * scale, rows - height * scale
        left = room_x * (0.5 - 0.5 * math.cos(math.pi * phase))
        top = room_y * (0.5 + 0.3 * math.sin(2 * math.pi * phase))
        matrix = np.array([[scale, 0, left], [0, scale, top]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        frame = cv2.warpAffine(photo, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
        yield np.clip(frame + rng.normal(0, NOISE, frame.shape), 0, 1)


def write_clip(path: Path, frames: Iterator[np.ndarray], size: tuple[int, int], bits: int = 8) -> None:
    """Write frames as H.264, or as HEVC of 10 bits, nearly without loss, with a tone as sound."""
    with av.open(str(path), "w") as container:
        codec = "libx264" if bits == 8 else "libx265"
        options = {"crf": "10", "preset": "veryfast"} | ({} if bits == 8 else {"x265-params": "log-level=error"})
        video = container.add_stream(codec, rate=RATE, options=options)
        video.height, video.width = size
        video.pix_fmt = "yuv420p" if bits == 8 else "yuv420p10le"
        sound = container.add_stream("aac", rate=48000, layout="mono")
        count = 0
        for values in frames:
            top, kind = (255, np.uint8) if bits == 8 else (65535, np.uint16)
            rgb = np.round(values * top).astype(kind)
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, "rgb24" if bits == 8 else "rgb48le")))
            count += 1
        tone = np.sin(np.arange(48000 * count // RATE) * 440 * 2 * np.pi / 48000).astype(np.float32) * 0.2
        for start in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


def read_values(path: Path) -> np.ndarray:
    return fastphoto.read_photo(path).pixels.permute(1, 2, 0).numpy().astype(np.float64)


def make_clips(folder: Path, photo: Path, other: Path, seconds: float, size: tuple[int, int]) -> list[Path]:
    """Write the clips that are missing: a pan, one with a cut in its middle, one of 10 bits."""
    one, two = read_values(photo), read_values(other)
    count = round(seconds * RATE)

    def with_cut() -> Iterator[np.ndarray]:
        yield from camera(one, count // 2, size, seed=1)
        yield from camera(two, count - count // 2, size, seed=2)

    makers = {
        "pan.mp4": (lambda: camera(one, count, size, seed=0), 8),
        "cut.mp4": (with_cut, 8),
        "ten-bit.mp4": (lambda: camera(two, count, size, seed=3), 10),
    }
    for name, (frames, bits) in makers.items():
        if not (folder / name).exists():
            write_clip(folder / name, frames(), size, bits)
    return [folder / name for name in makers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--other-photo", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--size", type=int, nargs=2, default=(720, 1280), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--clips", nargs="*", help="names of the clips to measure (default: all)")
    parser.add_argument("--codec", help="codec of the results, for example ffv1, which loses nothing")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for clip in make_clips(args.output, args.photo, args.other_photo, args.seconds, tuple(args.size)):
        if args.clips and clip.name not in args.clips:
            continue
        result = clip.with_name(f"{clip.stem}-result{'.mp4' if args.codec is None else '.mkv'}")
        started = time.perf_counter()
        done = fastphoto.transfer_video(clip, args.style, result, codec=args.codec)
        taken = time.perf_counter() - started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        measured = fastphoto.video.flicker(clip, result)
        print(
            f"{clip.name}: {done.frames} frames, {done.shots} shots, {done.keyframes} keyframes in {taken:.0f} s, "
            f"{done.frames / taken:.2f} frames/s, peak {memory:.0f} MB; flicker {measured.fine:.3f}, "
            f"coarse {measured.coarse:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
