"""Motion between frames: where each pixel of one frame is in another, and how far that can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fastphoto.colour.spaces import LUMA
from fastphoto.video.libraries import load_opencv

Plane = np.ndarray[Any, np.dtype[np.float32]]
Luma = np.ndarray[Any, np.dtype[np.uint8]]

_RETURN_ERROR = 2.0  # pixels; a track that misses its start by so much, there and back, is trusted by 1/e
_FEATHER = 0.1  # of the long side, the radius of the mean that is taken twice; by eye
_SMALLEST = 32  # pixels; the search needs that many on a side


@dataclass(frozen=True, eq=False)
class Track:
    """For each pixel of one frame its place in another frame."""

    shift: Plane
    """(h, w, 2): x and y in the other frame, less those in this one, in pixels."""
    trust: Plane
    """(h, w) in [0, 1]: 0 where the pixel is outside the other frame or hidden there."""

    def then(self, other: Track) -> Track:
        """Return the track to a third frame: this one, and from there `other`."""
        shift = self.shift + moved(other.shift, self)
        return Track(shift, np.minimum(self.trust, moved(other.trust, self)) * _inside(shift))


def luma_values(pixels: Tensor) -> Luma:
    """Return the luma of pixels (3, h, w) in [0, 1] as (h, w) uint8, in which motion is searched."""
    luma = sum(weight * plane for weight, plane in zip(LUMA, pixels, strict=True))
    assert isinstance(luma, Tensor)
    return (luma * 255).round().clamp(0, 255).byte().numpy()


def tracks_between(first: Luma, second: Luma) -> tuple[Track, Track]:
    """Return the track from the first frame to the second, and the one back.

    The displacements are those of OpenCV's dense inverse search (Kroeger et al. 2016). A pixel is trusted as far as the
    way there and back ends where it began.

    Args:
        first, second: lumas of two frames, (h, w) uint8.
    """
    cv2 = load_opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    padding = [max(0, _SMALLEST - side) for side in first.shape]
    one, other = (np.pad(each, [(0, padding[0]), (0, padding[1])], mode="edge") for each in (first, second))
    height, width = first.shape
    there, back = (search.calc(*pair, None)[:height, :width].copy() for pair in ((one, other), (other, one)))
    return _trusted(there, back), _trusted(back, there)


def moved(values: Plane, track: Track) -> Plane:
    """Return for each pixel of a frame the value, (h, w) or (h, w, C), at its place in the other frame of a track."""
    cv2 = load_opencv()
    height, width = track.trust.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    places = track.shift + np.stack([x, y], -1)
    result: Plane = cv2.remap(values, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return result


def feathered(trust: Plane) -> Plane:
    """Return trust (h, w) that falls off slowly, so that old and new parts of a picture meet without a seam."""
    cv2 = load_opencv()
    window = 2 * round(_FEATHER * max(trust.shape)) + 1
    for _ in range(2):
        trust = cv2.blur(trust, (window, window), borderType=cv2.BORDER_REPLICATE)
    return trust


def _trusted(there: Plane, back: Plane) -> Track:
    inside = _inside(there)
    error = there + moved(back, Track(there, inside))
    return Track(there, inside * np.exp(-(error**2).sum(-1) / _RETURN_ERROR**2))


def _inside(shift: Plane) -> Plane:
    """Return 1 where a shift ends within the frame, 0 elsewhere, (h, w)."""
    height, width = shift.shape[:2]
    x, y = np.arange(width) + shift[..., 0], np.arange(height)[:, None] + shift[..., 1]
    return ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)).astype(np.float32)
