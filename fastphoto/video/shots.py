"""Shots and the spans between their keyframes, found while the frames go by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fastphoto.photos.resize import shrunk_size
from fastphoto.video.clip import Frame
from fastphoto.video.motion import Luma, Plane, Track, luma_values, moved, tracks_between

MOTION_SIZE = 320
"""Long side in pixels at which motion is searched; a grid of colour maps has far fewer cells."""

_CUT = 1.0  # change that a cut exceeds, see `_change`: fast pans are at 0.7 or below, other pictures at 1.4 or above
_FLAT = 4 / 255  # contrast of luma below which a frame is flat, and its noise no structure
_LOST = 0.5  # share of trusted pixels below which a span ends early, because its keyframe knows too little of the frame


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """A frame with its motion since the frame before."""

    frame: Frame
    luma: Luma  # (h, w), at MOTION_SIZE
    back: Track | None  # to the frame before; None at the start of a shot
    ahead: Track | None  # from the frame before to this one
    to_keyframe: Track | None  # to the first frame of the span; None for that frame itself


@dataclass(frozen=True, eq=False)
class Span:
    """Successive frames of one shot, of which the first is a keyframe."""

    frames: list[SeenFrame]
    opens_shot: bool
    """Whether the first frame is the first of a shot; otherwise it is the last frame of the span before."""
    ends_with_keyframe: bool
    continues: bool
    """Whether the shot goes on: the last frame is then the first of the next span, too."""

    def tracks_to_last(self) -> list[Track | None]:
        """Return the track from each frame to the last; None for the last itself."""
        tracks: list[Track | None] = [None]
        for later in reversed(self.frames[1:]):
            assert later.ahead is not None
            tracks.append(later.ahead if tracks[-1] is None else later.ahead.then(tracks[-1]))
        return tracks[::-1]


def spans(frames: Iterable[Frame], size: tuple[int, int], interval: int) -> Iterator[Span]:
    """Split a clip into spans that begin with keyframes; no span crosses a cut.

    At most `interval + 1` frames are held at a time.

    Args:
        frames: the frames of a clip.
        size: (height, width) of the frames.
        interval: number of frames from one keyframe to the next; where much of the picture is new, it comes earlier.
    """
    small = shrunk_size(size, MOTION_SIZE)
    pending: list[SeenFrame] = []
    opens_shot = True
    for frame in frames:
        luma = luma_values(frame.shrunk(small))
        seen = _seen(frame, luma, pending)
        if pending and seen.back is None:
            yield Span(pending, opens_shot, len(pending) > interval // 2, continues=False)
            pending, opens_shot = [seen], True
            continue
        pending.append(seen)
        lost = seen.to_keyframe is not None and float(seen.to_keyframe.trust.mean()) < _LOST
        if len(pending) > interval or (lost and len(pending) > max(1, interval // 4)):
            yield Span(pending, opens_shot, ends_with_keyframe=True, continues=True)
            pending, opens_shot = [SeenFrame(frame, luma, seen.back, seen.ahead, None)], False
    if pending:
        yield Span(pending, opens_shot, len(pending) > interval // 2, continues=False)


def _seen(frame: Frame, luma: Luma, pending: list[SeenFrame]) -> SeenFrame:
    """Return a frame with its motion since the last one pending; without any if a cut lies between."""
    if not pending:
        return SeenFrame(frame, luma, None, None, None)
    before = pending[-1]
    ahead, back = tracks_between(before.luma, luma)
    if _change(before.luma, luma, back) > _CUT:
        return SeenFrame(frame, luma, None, None, None)
    to_keyframe = back if before.to_keyframe is None else back.then(before.to_keyframe)
    return SeenFrame(frame, luma, back, ahead, to_keyframe)


def is_cut(before: Luma, after: Luma) -> bool:
    """Return whether a cut lies between two successive frames, from their lumas at MOTION_SIZE or so."""
    _, back = tracks_between(before, after)
    return _change(before, after, back) > _CUT


def _change(before: Luma, after: Luma, back: Track) -> float:
    """Return how much of a frame its motion does not explain.

    The mean absolute difference to the frame before, moved, of lumas of mean 0 and standard deviation 1; plus the share
    of pixels whose motion cannot be trusted. Light that changes everywhere alike, as in a flash or a fade, counts
    little. Frames that have nothing in common are at about 1.5.
    """
    one, other = _normalised(before), _normalised(after)
    least, most = sorted(float(each.std()) / 255 for each in (before, after))
    if least < _FLAT and most > 4 * _FLAT:  # black, or white, and a scene
        return 2.0
    return float(np.abs(other - moved(one, back)).mean() + 1 - back.trust.mean())


def _normalised(luma: Luma) -> Plane:
    values = luma.astype(np.float32) / 255
    return (values - values.mean()) / max(float(values.std()), _FLAT)
