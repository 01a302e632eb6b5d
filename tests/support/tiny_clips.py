"""Tiny clips that tests make: a camera that moves over rendered photos, written with PyAV."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rendered_photos import day, dusk

av = pytest.importorskip("av", reason="moving pictures need PyAV, fastphoto[video]")
cv2 = pytest.importorskip("cv2", reason="moving pictures need OpenCV, fastphoto[video]")

WIDTH, HEIGHT = 96, 64
RATE = 12


class PlainFrame:
    """A frame that holds its colours."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = torch.from_numpy(values).float()

    def pixels(self) -> torch.Tensor:
        return self.values

    def shrunk(self, size: tuple[int, int]) -> torch.Tensor:
        return torch.nn.functional.interpolate(self.values.permute(2, 0, 1)[None], size, mode="area")[0]


@functools.cache
def scene(name: str) -> np.ndarray[Any, Any]:
    """Return a photo that is larger than the frames, (H, W, 3) in [0, 1], with detail that shows motion."""
    photo = {"day": day, "dusk": dusk}[name](128, 192).pixels.permute(1, 2, 0).numpy()
    rng = np.random.default_rng(len(name))
    detail = cv2.GaussianBlur(rng.normal(size=photo.shape[:2]), (0, 0), 1.5)
    return np.clip(photo * 0.8 + 0.1 + 0.15 * (detail / detail.std())[..., None] * 0.4, 0, 1)


def panned(name: str, frames: int, step: int = 2, noise: float = 0.01) -> Iterator[np.ndarray[Any, Any]]:
    """Yield frames (64, 96, 3) in [0, 1] of a camera that moves `step` pixels a frame to the right."""
    rng = np.random.default_rng(7)
    for number in range(frames):
        left = 10 + step * number
        window = scene(name)[20 : 20 + HEIGHT, left : left + WIDTH]
        yield np.clip(window + rng.normal(0, noise, window.shape), 0, 1)


def two_shots(frames: int = 12) -> list[np.ndarray[Any, Any]]:
    """Return frames with a cut in their middle."""
    return [*panned("day", frames // 2), *panned("dusk", frames - frames // 2)]


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray[Any, Any]],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: list[int] | None = None,
    time_base: Fraction = Fraction(1, 1200),
    sound: str | None = None,
    tags: dict[str, int] | None = None,
    pixel_aspect: Fraction | None = None,
    rotation: float | None = None,
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    subtitles: Path | None = None,
    chapter: str | None = None,
) -> Path:
    """Write a clip; `times` are in units of the time base, by default those of RATE; `subtitles` is an .srt file."""
    frames = list(frames)
    deep = "10" in pixel_format
    with av.open(str(path), "w", options=options or {}) as container:
        container.metadata.update(metadata or {})
        settings = {"crf": "8"} if codec.startswith("libx26") else {}
        if codec == "libx265":
            settings["x265-params"] = "log-level=error"
        video = container.add_stream(codec, rate=RATE, options=settings)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = pixel_format
        video.codec_context.time_base = time_base
        for name, value in (tags or {}).items():
            setattr(video.codec_context, name, value)
        if pixel_aspect:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation is not None:
            video.set_display_rotation(rotation)
        audio = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        if chapter is not None:
            span = {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000)}
            container.set_chapters([span | {"metadata": {"title": chapter}}])
        if subtitles is not None:
            with av.open(str(subtitles)) as words:
                copy = container.add_stream_from_template(words.streams[0])
                copy.metadata["language"] = "eng"
                container.start_encoding()
                for packet in words.demux():
                    if packet.size:
                        packet.stream = copy
                        container.mux(packet)
        for number, values in enumerate(frames):
            top, kind, name = (65535, np.uint16, "rgb48le") if deep else (255, np.uint8, "rgb24")
            frame = av.VideoFrame.from_ndarray(np.round(values * top).astype(kind), name)
            frame.time_base = time_base
            frame.pts = times[number] if times else round(number / RATE / time_base)
            container.mux(video.encode(frame))
        if audio is not None:
            samples = 48000 * len(frames) // RATE
            tone = (np.sin(np.arange(samples) * 0.05) * 8000).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(tone, "s16", "mono")
            frame.sample_rate = 48000
            resampler = av.AudioResampler(audio.format.name, "mono", 48000, audio.frame_size or 1024)
            for each in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(audio.encode(each))
            container.mux(audio.encode(None))
        container.mux(video.encode(None))
    return path


def decoded(path: Path) -> list[Any]:
    """Return all frames of a file's first video stream."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def values_of(frame: Any) -> np.ndarray[Any, Any]:
    """Return the colours of a decoded frame, (H, W, 3) in [0, 1]."""
    return frame.to_ndarray(format="rgb24").astype(np.float64) / 255


def packets_of(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """Return the time in seconds and the content of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(each for each in container.streams if each.type == kind)
        packets = [each for each in container.demux(stream) if each.size]
        return [(round(float(each.pts * each.time_base), 3), bytes(each)) for each in packets]
