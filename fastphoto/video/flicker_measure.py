"""flicker(): how much more a result changes from frame to frame than its content does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fastphoto.errors import InputError
from fastphoto.photos.resize import shrunk_size
from fastphoto.runtime.host_state import apart_from_host
from fastphoto.video.clip import Clip
from fastphoto.video.image_sequences import ImageSequence, is_sequence
from fastphoto.video.libraries import load_opencv
from fastphoto.video.motion import Plane, luma_values, moved, tracks_between
from fastphoto.video.reading import VideoClip
from fastphoto.video.shots import is_cut

_SIZE = 640  # long side in pixels at which frames are compared
_WINDOW = 15  # pixels; window of the local contrast
_BLOCK = 32  # pixels; changes alike over so much are seen as pumping


@dataclass(frozen=True)
class Flicker:
    """Change over time of a result, relative to that of its content; 1 is no flicker."""

    fine: float
    """Of pixels: noise that is amplified, edges that jump."""
    coarse: float
    """Of the means of blocks of 32 pixels: brightness or colour that pumps."""


@apart_from_host
def flicker(content: str | os.PathLike[str], result: str | os.PathLike[str]) -> Flicker:
    """Measure how much more a result changes from frame to frame than its content does.

    The change of a frame is its difference to the frame before, moved along the content's motion: e_c for the content,
    e_r for the result. A result with more contrast changes more, without flicker: its noise has the same gain as its
    edges. The measure is therefore mean |e_r| / mean g |e_c|, where g is the local gain of contrast, the square root
    of the ratio of the mean squared gradients of result and content in a window of 15 pixels. Means are over red, green
    and blue of pixels whose motion can be trusted, and over all frames of the clip but the first of each shot. Frames
    are compared at a long side of 640 pixels.

    The fine measure takes the change of pixels. The coarse one takes the mean change of blocks of 32 pixels, where
    noise averages out, so that it sees slow changes of brightness and colour that the fine one does not.

    Args:
        content: path of the clip.
        result: path of its result, with as many frames.

    Returns:
        Both measures.

    Raises:
        InputError: clips of different lengths or sizes, and a missing PyAV or OpenCV.
        FileError: a clip that cannot be read.

    Example:
        >>> flicker("holiday.mp4", "evening.mp4")  # doctest: +SKIP
        Flicker(fine=1.02, coarse=1.04)
    """
    cv2 = load_opencv()
    sums = np.zeros(4)
    before: tuple[Plane, Plane, Any] | None = None
    for contents, results in _pairs(content, result):
        luma = luma_values(torch.from_numpy(contents).permute(2, 0, 1))
        if before is not None and not is_cut(before[2], luma):
            _, back = tracks_between(before[2], luma)
            trusted = (back.trust > 0.5).astype(np.float32)[..., None]
            change = (results - moved(before[1], back)) * trusted
            expected = (contents - moved(before[0], back)) * trusted
            gain = np.sqrt(_gradients(results) / np.maximum(_gradients(contents), 1e-8))[..., None]
            blocks = tuple(max(1, side // _BLOCK) for side in luma.shape[::-1])
            coarse_change, coarse_expected = (
                cv2.resize(each, blocks, interpolation=cv2.INTER_AREA) for each in (change, gain * expected)
            )
            sums += [
                np.abs(change).mean(),
                np.abs(gain * expected).mean(),
                np.abs(coarse_change).mean(),
                np.abs(coarse_expected).mean(),
            ]
        before = contents, results, luma
    fine, expected_fine, coarse, expected_coarse = np.maximum(sums, 1e-12)
    return Flicker(float(fine / expected_fine), float(coarse / expected_coarse))


def _gradients(frame: Plane) -> Plane:
    """Return the mean squared gradient around each pixel of a frame (h, w, 3), (h, w)."""
    cv2 = load_opencv()
    squares = sum(cv2.Sobel(frame, cv2.CV_32F, *order) ** 2 for order in ((1, 0), (0, 1)))
    mean: Plane = cv2.blur(np.asarray(squares).sum(-1), (_WINDOW, _WINDOW))
    return np.maximum(mean, 0)  # sums that run along rows end a little below 0


def _pairs(content: str | os.PathLike[str], result: str | os.PathLike[str]) -> Iterator[tuple[Plane, Plane]]:
    """Yield the frames of both clips, (h, w, 3) float32 in [0, 1], at the size of comparison."""
    clips = [_opened(path) for path in (content, result)]
    if clips[0].size != clips[1].size:
        raise InputError(f"{clips[1].name}: not the size of {clips[0].name}; give the result of that clip")
    size = shrunk_size(clips[0].size, _SIZE)
    try:
        for pair in zip(*(clip.frames() for clip in clips), strict=True):
            contents, results = (each.shrunk(size).permute(1, 2, 0).contiguous().numpy() for each in pair)
            yield contents, results
    except ValueError as error:
        if "zip()" not in str(error):
            raise
        raise InputError(f"{clips[1].name}: not as many frames as {clips[0].name}") from error
    finally:
        for clip in clips:
            if isinstance(clip, VideoClip):
                clip.close()


def _opened(path: str | os.PathLike[str]) -> Clip:
    return ImageSequence(path) if is_sequence(path) else VideoClip(path)
