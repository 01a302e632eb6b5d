"""Reading of video files with PyAV: a stream of frames, and the packets of all other streams as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fastphoto.errors import FileError, error_text, printable, warn
from fastphoto.video.clip import Frame
from fastphoto.video.libraries import load_pyav

if TYPE_CHECKING:
    import av

_BT709, _BT601 = 1, 5  # numbers of swscale for matrices of colour
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # {number in a file: number of swscale}
_HD = 720  # rows from which players take BT.709 for a clip that does not say its matrix
LIMITED, FULL = 1, 2  # ranges of colour values
_RGB = 0  # the matrix of colours that need none
_PQ = 16  # a transfer function whose values are no display's
_WITH_ALPHA = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya")
_MISSING = 1.0  # seconds that a clip may end before its promised end


class VideoFrame:
    """One decoded frame of a video file."""

    def __init__(self, decoded: av.VideoFrame, matrix: int, colour_range: int, bits: int) -> None:
        self.decoded, self._bits = decoded, bits
        self._source = {"src_colorspace": matrix, "src_color_range": colour_range, "dst_color_range": FULL}

    def pixels(self) -> Tensor:
        """Return the colours, (H, W, 3) float32 in [0, 1]."""
        return self._rgb(fine_scaling())

    def shrunk(self, size: tuple[int, int]) -> Tensor:
        """Return the colours averaged to a size (height, width), (3, h, w) float32 in [0, 1]."""
        area = load_pyav().video.reformatter.Interpolation.AREA
        return self._rgb(int(area), height=size[0], width=size[1]).permute(2, 0, 1).contiguous()

    def _rgb(self, interpolation: int, **size: int) -> Tensor:
        kind, largest = ("rgb24", 255) if self._bits == 8 else ("rgb48le", 65535)
        rgb = self.decoded.reformat(format=kind, interpolation=interpolation, **self._source, **size)
        values = rgb.to_ndarray()
        if largest == 65535:
            values = values.astype(np.int32)  # PyTorch has few operators for uint16
        return torch.from_numpy(values).to(torch.float32).mul_(1 / largest)


class VideoClip:
    """A video file, open for reading.

    Args:
        path: path of the file.

    Raises:
        FileError: the file cannot be read, has no video stream, or no frame of it can be decoded.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.name = path, printable(path)
        self.container = self._opened()
        self.stream = self._video_stream()
        first = self._first_frame()
        self.size = first.height, first.width
        self.pixel_format: str = first.format.name
        self.bits = 8 if max(each.bits for each in first.format.components) <= 8 else 10
        self.matrix = _MATRICES.get(int(first.colorspace), _BT709 if first.height >= _HD else _BT601)
        self.is_rgb = first.format.is_rgb or int(first.colorspace) == _RGB
        is_full = int(first.color_range) == FULL or self.pixel_format.startswith("yuvj") or self.is_rgb
        self.colour_range = FULL if is_full else LIMITED
        self.display_matrix = _display_matrix(first)
        self.quarter_turns = round(first.rotation / 90) % 4
        self.rate: Fraction = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        self.duration = self._duration()
        self.expected_frames = self.stream.frames or (round(self.duration * self.rate) if self.duration else None)
        if int(first.color_trc) == _PQ:
            warn(f"{self.name}: HDR (PQ), treated as if it were SDR, so the look is wrong; convert it to SDR first")
        if first.interlaced_frame:
            warn(f"{self.name}: interlaced; both fields of a frame are treated as one picture; deinterlace it first")
        if self.pixel_format.startswith(_WITH_ALPHA):
            warn(f"{self.name}: transparency is not kept")

    def frames(self, other_packet: Callable[[Any], None] | None = None) -> Iterator[Frame]:
        """Decode the frames in the order of display.

        Packets that cannot be decoded are left out, and a file that ends early ends the clip, each with one warning.

        Args:
            other_packet: function that receives each packet of other streams, in the order of the file.
        """
        damaged, count, end = 0, 0, 0.0
        for packet in self._packets():
            if packet is not None and packet.stream is not self.stream:
                if other_packet is not None:
                    other_packet(packet)
                continue
            try:
                decoded = self.stream.codec_context.decode(packet)
            except load_pyav().error.FFmpegError:
                damaged += 1
                continue
            for frame in decoded:
                if (frame.height, frame.width) != self.size:
                    raise FileError(
                        f"{self.name}: its frames change from {self.size[1]}x{self.size[0]} to "
                        f"{frame.width}x{frame.height} pixels after {count}; encode it with one size first"
                    )
                damaged += frame.is_corrupt
                count += 1
                if frame.time is not None:
                    end = max(end, frame.time - float(self.stream.start_time or 0) * float(self.stream.time_base))
                yield VideoFrame(frame, self.matrix, self.colour_range, self.bits)
        if self.duration and end + _MISSING < self.duration:
            warn(
                f"{self.name}: ends after {end:.1f} of {self.duration:.1f} s, the rest of the file is missing; "
                f"{count} frames are used"
            )
        elif damaged:
            warn(f"{self.name}: {damaged} damaged packets or frames; the result shows the damage or lacks them")

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def _opened(self) -> Any:
        av = load_pyav()
        if os.path.isdir(self.path):
            raise FileError(f"{self.name}: is a folder; give a video file, or a folder of images")
        try:
            return av.open(os.fspath(self.path), metadata_errors="ignore")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) or error_text(error)
            raise FileError(f"{self.name}: cannot be read as a video ({cause}); give a complete video file") from error

    def _video_stream(self) -> Any:
        av = load_pyav()
        streams = [
            each
            for each in self.container.streams.video
            if not each.disposition & av.stream.Disposition.attached_pic and each.codec_context is not None
        ]
        if not streams:
            raise FileError(f"{self.name}: has no video stream; give a file with moving pictures")
        best = self.container.streams.best("video")
        stream = best if best in streams else streams[0]
        stream.thread_type = "AUTO"
        return stream

    def _first_frame(self) -> Any:
        """Decode the first frame, which says more than the header, and begin again."""
        av = load_pyav()
        try:
            first = next(iter(self.container.decode(self.stream)), None)
        except (av.error.FFmpegError, OSError) as error:
            cause = getattr(error, "strerror", None) or error_text(error)
            raise FileError(f"{self.name}: its video is damaged ({cause}); give another file") from error
        if first is None:
            raise FileError(f"{self.name}: has no frame that can be decoded; give another file")
        self.container.close()
        self.container = self._opened()
        self.stream = self._video_stream()
        return first

    def _duration(self) -> float | None:
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        return self.container.duration / 1e6 if self.container.duration else None

    def _packets(self) -> Iterator[Any]:
        """Yield the packets of the file, and None at its end, damaged or not."""
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (load_pyav().error.FFmpegError, OSError):
                packet = None  # cut off; `frames` notices from the time
            if packet is None:
                break
            if packet.dts is None and packet.size == 0:  # what `demux` yields to flush decoders
                continue
            yield packet
        yield None


def fine_scaling() -> int:
    """Return the flags of swscale that convert colours without a loss that shows."""
    kinds = load_pyav().video.reformatter.Interpolation
    return int(kinds.BICUBIC | kinds.ACCURATE_RND | kinds.FULL_CHR_H_INT | kinds.FULL_CHR_H_INP)


def _display_matrix(frame: Any) -> tuple[int, ...] | None:
    """Return the nine numbers that a player turns and mirrors frames by; None: as they are."""
    kinds = load_pyav().sidedata.sidedata.Type
    data = frame.side_data.get(kinds.DISPLAYMATRIX)
    return None if data is None else tuple(np.frombuffer(bytes(data), np.int32).tolist())
