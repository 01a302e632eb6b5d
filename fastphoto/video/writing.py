"""Writing of video files with PyAV: encoded frames, and the packets of all other streams copied."""

from __future__ import annotations

import contextlib
import os
import secrets
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastphoto.errors import FileError, InputError, error_text, printable, warn
from fastphoto.video.clip import Frame
from fastphoto.video.formats import Encoding
from fastphoto.video.libraries import load_pyav
from fastphoto.video.reading import FULL, LIMITED, VideoClip, VideoFrame, fine_scaling

_STALE = ("encoder", "major_brand", "minor_version", "compatible_brands", "vendor_id", "duration", "bps")
"""Tags of the old file and not of its content; those of Matroska's statistics begin with `_stat` or `number_`."""


class VideoOutput:
    """A video file under construction, beside its final place and under a temporary name.

    Args:
        path: path of the file.
        clip: the clip that it is made from; metadata, time base, colour tags, pixel aspect and rotation are kept.
        encoding: how to encode the frames.

    Raises:
        InputError: the container cannot hold the clip's audio, or the codec.
        FileError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], clip: VideoClip, encoding: Encoding) -> None:
        self._name, self._clip, self._encoding = printable(path), clip, encoding
        self._target = os.path.realpath(path)
        self._temporary = os.path.join(os.path.dirname(self._target), f".fastphoto-{secrets.token_hex(6)}.tmp")
        self._copied: dict[int, Any] = {}  # {index of a stream of the clip: its copy}
        self._last_pts: int | None = None
        try:
            self._container = load_pyav().open(self._temporary, "w", format=encoding.container)
            self._stream = self._add_video()
            self._add_others()
            self._container.metadata.update(_kept(clip.container.metadata))
            with contextlib.suppress(AttributeError, ValueError):
                self._container.set_chapters(clip.container.chapters())
            self._container.start_encoding()
        except Exception as error:
            self.discard()
            if isinstance(error, (InputError, FileError)):
                raise
            raise InputError(
                f"{self._name}: {encoding.codec} in {encoding.container} cannot be written ({error_text(error)}); "
                "choose another codec or a .mkv file"
            ) from error

    def write(self, frame: Frame, pixels: Tensor) -> None:
        """Encode the result of a frame, (H, W, 3) in [0, 1], at the frame's time."""
        assert isinstance(frame, VideoFrame)
        encoded = self._converted(pixels)
        encoded.time_base = self._clip.stream.time_base
        encoded.pts = self._pts(frame.decoded.pts)
        if frame.decoded.duration:
            encoded.duration = frame.decoded.duration
        with self._one_line():
            for packet in self._stream.encode(encoded):
                self._container.mux(packet)

    def copy(self, packet: Any) -> None:
        """Copy a packet of another stream."""
        stream = self._copied.get(packet.stream.index)
        if stream is None or packet.size == 0:
            return
        packet.stream = stream
        if packet.dts is None:  # muxers need one; packets of sound and text are in order
            packet.dts = packet.pts
        with self._one_line():
            self._container.mux(packet)

    def complete(self) -> None:
        """Finish the file and give it its name."""
        with self._one_line():
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            self._container.close()
            with open(self._temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self._temporary, self._target)

    def discard(self) -> None:
        """Delete the file if it is not complete."""
        if not os.path.exists(self._temporary):
            return
        with contextlib.suppress(Exception):
            self._container.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)

    def _add_video(self) -> Any:
        clip, source = self._clip, self._clip.stream.codec_context
        stream = self._container.add_stream(self._encoding.codec, rate=clip.rate, options=dict(self._encoding.options))
        context = stream.codec_context
        stream.height, stream.width = clip.size
        stream.pix_fmt = self._encoding.pixel_format
        context.time_base = clip.stream.time_base
        context.framerate = clip.rate
        if self._encoding.tag:
            context.codec_tag = self._encoding.tag
        aspect = clip.stream.sample_aspect_ratio
        if aspect and aspect != 1:
            context.sample_aspect_ratio = Fraction(aspect)
        context.color_primaries, context.color_trc = source.color_primaries, source.color_trc
        context.colorspace = clip.matrix if clip.is_rgb else source.colorspace
        context.color_range = LIMITED if clip.is_rgb else source.color_range
        if clip.colour_range == FULL and not clip.is_rgb:
            context.color_range = FULL
        if clip.display_matrix is not None:
            stream.set_display_matrix(clip.display_matrix)
        stream.metadata.update(_kept(clip.stream.metadata))
        return stream

    def _add_others(self) -> None:
        """Add a copy of each stream but the video; leave out what the container cannot hold, except audio."""
        left_out = []
        for stream in self._clip.container.streams:
            if stream is self._clip.stream:
                continue
            try:
                if stream.type not in ("audio", "subtitle", "attachment"):
                    raise ValueError("not copied")
                copy = self._container.add_stream_from_template(stream)
            except (ValueError, load_pyav().error.FFmpegError) as error:
                codec = stream.codec_context.name if stream.codec_context else "of an unknown codec"
                if stream.type == "audio":
                    raise InputError(
                        f"{self._name}: {self._encoding.container} cannot hold the clip's audio ({codec}); write a "
                        ".mkv or .mov file"
                    ) from error
                if not (stream.type == "data" and self._clip.container.chapters()):  # MP4 has chapters in such a stream
                    left_out.append(f"{stream.type} {codec}")
                continue
            copy.metadata.update(_kept(stream.metadata))
            with contextlib.suppress(AttributeError):
                copy.disposition = stream.disposition
            self._copied[stream.index] = copy
        if left_out:
            warn(f"{self._name}: without the streams that cannot be copied: {', '.join(left_out)}")

    def _converted(self, pixels: Tensor) -> Any:
        if self._clip.bits == 8:
            values, kind = (pixels * 255).round_().byte().numpy(), "rgb24"
        else:
            values, kind = (pixels * 65535).round_().to(torch.int32).numpy().astype(np.uint16), "rgb48le"
        rgb = load_pyav().VideoFrame.from_ndarray(np.ascontiguousarray(values), kind)
        return rgb.reformat(
            format=self._encoding.pixel_format,
            interpolation=fine_scaling(),
            src_color_range=FULL,
            dst_colorspace=self._clip.matrix,
            dst_color_range=LIMITED if self._clip.is_rgb else self._clip.colour_range,
        )

    def _pts(self, pts: int | None) -> int:
        """Return the time of a frame, after that of the one before; files without times get those of their rate."""
        step = max(1, round(1 / (self._clip.rate * self._clip.stream.time_base)))
        if pts is None:
            pts = 0 if self._last_pts is None else self._last_pts + step
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
        self._last_pts = pts
        return pts

    @contextlib.contextmanager
    def _one_line(self) -> Any:
        try:
            yield
        except (load_pyav().error.FFmpegError, OSError) as error:
            cause = getattr(error, "strerror", None) or error_text(error)
            raise FileError(f"{self._name}: cannot be written ({cause})") from error


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    """Return the tags that are true of the new file, too."""
    return {
        name: value
        for name, value in metadata.items()
        if name.lower() not in _STALE and not name.lower().startswith(("_stat", "number_", "duration"))
    }
