"""transfer_video(): a clip takes on the look of a style photo, frame by frame, without flicker."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fastphoto.errors import FileError, InputError, printable
from fastphoto.optimisation.presets import preset_settings
from fastphoto.photos.photo import PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.regions.find import RegionSource, region_finder
from fastphoto.regions.look import is_look
from fastphoto.runtime.device import choose_device
from fastphoto.runtime.files import check_target
from fastphoto.runtime.host_state import apart_from_host
from fastphoto.session import checked_seed
from fastphoto.video.clip import Clip, ClipOutput, Frame
from fastphoto.video.formats import check_quality, choose_encoding, is_video_name
from fastphoto.video.image_sequences import ImageSequence, ImageSequenceOutput, is_sequence
from fastphoto.video.keyframes import Keyframe, Keyframes
from fastphoto.video.libraries import load_opencv, load_pyav
from fastphoto.video.maps import blended, carried, recoloured
from fastphoto.video.progress import VideoCallback, VideoProgress
from fastphoto.video.reading import VideoClip
from fastphoto.video.shots import Span, spans
from fastphoto.video.writing import VideoOutput

INTERVAL = 24
"""Frames from one keyframe to the next, by default."""
SIZE = 480
"""Long side in pixels at which keyframes are transferred, by default."""

Path = str | os.PathLike[str]


@apart_from_host
def transfer_video(
    clip: Path,
    style: PhotoSource,
    output: Path,
    *,
    regions: RegionSource = "auto",
    segmentation_model: Path | None = None,
    preset: str = "fast",
    encoder: str = "embedded",
    weights: Path | None = None,
    size: int = SIZE,
    interval: int = INTERVAL,
    codec: str | None = None,
    quality: int | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    callback: VideoCallback | None = None,
    **settings: Any,
) -> VideoProgress:
    """Make a clip take on the look of a style photo, without flicker, and write it.

    Keyframes are transferred like photos. The local affine colour maps from each keyframe to its result are carried
    along the motion, blended linearly in time with those of the next keyframe, and applied to every frame at its full
    size. No map crosses a cut. Sound and other streams are copied; time stamps, colour tags, pixel aspect, rotation and
    metadata are kept, and 10 bits stay 10 bits. Memory does not grow with the length of the clip.

    Args:
        clip: path of a video file, of a folder of images, or a pattern of numbered images, such as "in/%04d.png".
        style: photo whose look the clip takes on, as `transfer` takes it.
        output: path of the clip to write: .mp4, .mov, .m4v, .mkv or .webm; for images a folder, in which they keep
            their names, or a pattern. It gets its name only when it is complete.
        regions: source of the regions, "auto", "semantic" or "none", see `transfer`. The first frame of a shot decides
            which regions the shot has.
        segmentation_model: network for regions="semantic", see `transfer`.
        preset: name in `fastphoto.PRESETS`.
        encoder: name of the encoder whose activations are matched, see `transfer`.
        weights: path of the encoder's weight file, see `transfer`.
        size: long side in pixels at which keyframes are transferred, 16 or more; frames are written at their own size.
        interval: frames from one keyframe to the next, 1 to 250. That many decoded frames are in memory.
        codec: video codec to write: "h264", "hevc", "vp9", "av1", or an encoder of FFmpeg. None: that of the container.
        quality: constant rate factor of the codec, from 0, the best, to 63. None: one at which no difference shows.
        device: device that keyframes are transferred on, see `transfer`.
        seed: seed of the noise start, see `transfer`.
        callback: function that receives a `VideoProgress` after each frame; returning True ends the output there.
        settings: fields of `fastphoto.Settings`, to change the preset.

    Returns:
        The progress at the end.

    Raises:
        InputError: arguments or a container that cannot be used, and a missing PyAV or OpenCV.
        FileError: a file that cannot be read or written, and a clip without frames.

    Warns with a FastPhotoWarning about a clip that ends early, and about streams that cannot be copied.

    Example:
        >>> transfer_video("holiday.mp4", "sunset.jpg", "evening.mp4")  # doctest: +SKIP
        VideoProgress(frames=250, total=250, shots=3, keyframes=13, seconds=170.2)
    """
    load_opencv()
    preset_settings(preset, **settings)  # checks them
    options = {
        "preset": preset,
        "encoder": encoder,
        "weights": weights,
        "device": choose_device(device),
        "seed": checked_seed(seed),
        **settings,
    }
    if regions == "masks":
        raise InputError('regions: a clip has no masks; give "auto", "semantic" or "none"')
    region_finder(regions, None, None, segmentation_model)
    _check_interval(interval)
    check_quality(quality)
    if is_look(style):
        raise InputError("style: a clip needs the style photo, not its look")
    style_photo = read_photo(style, "style")
    source, target, frames = _opened(clip, output, style, codec, quality)
    try:
        keyframes = Keyframes(source, style_photo, regions, size, segmentation_model, options)
        progress = _written(frames, source, target, keyframes, interval, callback)
        target.complete()
        return progress
    finally:
        target.discard()
        if isinstance(source, VideoClip):
            source.close()


def _opened(
    clip: Path, output: Path, style: object, codec: str | None, quality: int | None
) -> tuple[Clip, ClipOutput, Iterator[Frame]]:
    """Open a clip and its output, and check both; return them and the frames."""
    name = printable(output)
    if is_sequence(clip):
        if is_video_name(output):
            raise InputError(f"{name}: images give images; give a folder, or a pattern such as out/%04d.png")
        if codec is not None or quality is not None:
            raise InputError("codec, quality: images have none; leave them out")
        sequence = ImageSequence(clip)
        return sequence, ImageSequenceOutput(output, sequence), sequence.frames()
    load_pyav()
    check_target(output, [clip, style])
    video = VideoClip(clip)
    try:
        encoding = choose_encoding(output, video.pixel_format, video.bits, video.size, codec, quality)
        target = VideoOutput(output, video, encoding)
    except BaseException:
        video.close()
        raise
    return video, target, video.frames(target.copy)


def _written(
    frames: Iterator[Frame],
    source: Clip,
    target: ClipOutput,
    keyframes: Keyframes,
    interval: int,
    callback: VideoCallback | None,
) -> VideoProgress:
    """Transfer the frames, write them, and report each; return the last report."""
    started = time.perf_counter()
    progress = VideoProgress(0, source.expected_frames, 0, 0, 0.0)
    keyframe: Keyframe | None = None
    count = shots = 0
    for span in spans(frames, source.size, interval):
        if span.opens_shot or keyframe is None:
            keyframe = keyframes.open_shot(span.frames[0].frame)
            shots += 1
            count += 1
        following = None
        if span.ends_with_keyframe and len(span.frames) > 1:
            last = span.frames[-1]
            following = keyframes.follow(keyframe, last.frame, last.to_keyframe)
            count += 1
        for frame, grid in _grids(span, keyframe, following):
            target.write(frame, recoloured(grid, frame, source.size))
            progress = VideoProgress(
                progress.frames + 1, source.expected_frames, shots, count, time.perf_counter() - started
            )
            if callback is not None and callback(progress):
                return progress
        keyframe = following or keyframe
    if progress.frames == 0:
        raise FileError(f"{source.name}: has no frame that can be decoded; give another file")
    return progress


def _grids(span: Span, keyframe: Keyframe, following: Keyframe | None) -> Iterator[tuple[Frame, Tensor]]:
    """Yield the frames of a span, but not the one that it shares with the next, each with its grid of colour maps."""
    to_last = span.tracks_to_last()
    own = len(span.frames) - (1 if span.continues else 0)
    for number, seen in enumerate(span.frames[:own]):
        if following is None:
            grid, _ = carried(keyframe.grid, seen.to_keyframe)
        else:
            time_between = number / (len(span.frames) - 1)
            grid = blended(keyframe.grid, following.grid, seen.to_keyframe, to_last[number], time_between)
        yield seen.frame, grid


def _check_interval(interval: Any) -> None:
    if isinstance(interval, bool) or not isinstance(interval, int) or not 1 <= interval <= 250:
        raise InputError(f"interval: must be a whole number of frames from 1 to 250, got {interval!r}")
