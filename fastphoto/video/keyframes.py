"""The looks of keyframes: each is transferred like a photo, and agrees with the keyframe before it in its shot."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.photos.photo import Photo
from fastphoto.photos.resize import fit_size
from fastphoto.regions.find import RegionSource, find_regions
from fastphoto.regions.masks import RegionMasks, masks_of_map
from fastphoto.session import Session
from fastphoto.video.clip import Clip, Frame
from fastphoto.video.maps import carried, fit_grid, sliced
from fastphoto.video.motion import Track, feathered, moved

_KEPT = 0.75  # share of the look that a keyframe keeps of the one before, where the motion shows what was there; by eye
_KEPT_REGIONS = 0.75  # the same for its regions: one that is found differently changes with the third keyframe
_SMALL_REGION = 0.01  # of the pixels; a smaller one joins the largest
_FLAT = 3 / 255  # contrast of luma below which a frame shows nothing to transfer to, such as a black one


@dataclass(frozen=True, eq=False)
class Keyframe:
    """The grid of a keyframe, and its regions."""

    grid: Tensor  # (12, D, y, x)
    regions: Tensor | None  # masks (R, h, w) of the shot's regions, upright, soft; None: one region


class Keyframes:
    """Makes the keyframes of one clip.

    Args:
        clip: the clip, for the size of its frames and the way up.
        style: the style photo.
        regions: where regions come from, "auto", "semantic" or "none".
        size: long side in pixels at which keyframes are transferred.
        segmentation_model: network for "semantic".
        options: further keyword arguments of `fastphoto.transfer`.
    """

    def __init__(
        self,
        clip: Clip,
        style: Photo,
        regions: RegionSource,
        size: int,
        segmentation_model: str | os.PathLike[str] | None,
        options: dict[str, Any],
    ) -> None:
        self._clip, self._style, self._source, self._long_side = clip, style, regions, size
        self._size = fit_size(*clip.size, size, clip.name)
        self._options = {"size": size} | options
        self._session: tuple[RegionMasks | None, Session] | None = None  # of the last keyframe, with its style masks
        self._region_options = {"segmentation_model": segmentation_model, "device": options["device"]}
        self._style_regions: RegionMasks | None = None  # of the shot

    def open_shot(self, frame: Frame) -> Keyframe:
        """Return the keyframe that opens a shot; it decides which regions the shot has."""
        content = self._upright(frame)
        if _is_flat(content):
            self._style_regions = None
            return Keyframe(fit_grid(self._as_stored(content), self._as_stored(content)), None)
        content_regions = None
        self._style_regions = None
        if self._source != "none":
            content_regions, style_regions = self._found(content)
            if len(content_regions.names) > 1:
                self._style_regions = style_regions
        masks = content_regions.masks if content_regions and self._style_regions else None
        return self._keyframe(content, masks, None, None)

    def follow(self, before: Keyframe, frame: Frame, track: Track | None) -> Keyframe:
        """Return a later keyframe of a shot.

        Args:
            before: the keyframe before.
            frame: the frame.
            track: track from the frame to the keyframe before; None: it is that frame.
        """
        content = self._upright(frame)
        grid, _ = carried(before.grid, track)
        kept = sliced(grid, self._as_stored(content))
        if track is None or _is_flat(content):
            return Keyframe(grid, before.regions)
        regions = None
        if before.regions is not None:
            regions = self._regions_of(content, before.regions, track)
        trust = self._enlarged(torch.from_numpy(feathered(track.trust))[None])
        return self._keyframe(content, regions, kept, _KEPT * trust)

    def _keyframe(self, content: Tensor, regions: Tensor | None, kept: Tensor | None, share: Tensor | None) -> Keyframe:
        """Transfer an upright keyframe; `kept` is what the keyframe before makes of it, and counts by its `share`."""
        result = self._as_stored(self._transferred(content, regions))
        if kept is not None and share is not None:
            result = share * kept + (1 - share) * result
        return Keyframe(fit_grid(self._as_stored(content), result), regions)

    def _transferred(self, content: Tensor, regions: Tensor | None) -> Tensor:
        if regions is None or self._style_regions is None:
            return self._session_of(None)(content)
        masks = masks_of_map(regions.argmax(0), len(regions))
        shares = masks.mean((1, 2))
        shown = shares >= _SMALL_REGION
        masks[int(shares.argmax())] += masks[~shown].sum(0)
        names = tuple(name for name, each in zip(self._style_regions.names, shown, strict=True) if each)
        style_masks = RegionMasks(names, self._style_regions.masks[shown])
        return self._session_of(style_masks)(content, RegionMasks(names, masks[shown]))

    def _session_of(self, style_masks: RegionMasks | None) -> Session:
        """Return a session of the style with these masks, None for one region: that of the last keyframe if it fits."""
        if self._session is None or not _same(self._session[0], style_masks):
            regions: RegionSource = "none" if style_masks is None else "masks"
            self._session = style_masks, Session(self._style, style_masks, regions=regions, **self._options)
        return self._session[1]

    def _regions_of(self, content: Tensor, before: Tensor, track: Track) -> Tensor:
        """Return the soft masks of a later keyframe, (R, h, w), in the regions of the shot.

        They come with the motion from the keyframe before. Where the same kinds of regions are found again, those count
        by their share: what the network sees in a single keyframe changes no region, what it keeps seeing does.
        """
        assert self._style_regions is not None
        stored = F.interpolate(self._as_stored(before)[None], track.trust.shape, mode="area")[0]
        here = torch.from_numpy(moved(stored.permute(1, 2, 0).numpy(), track)).permute(2, 0, 1)
        masks = self._turned(self._enlarged(here), self._clip.quarter_turns)
        found, _ = self._found(content)
        if set(found.names) != set(self._style_regions.names):
            return masks
        kept = _KEPT_REGIONS * self._turned(
            self._enlarged(torch.from_numpy(track.trust)[None]), self._clip.quarter_turns
        )
        order = [found.names.index(name) for name in self._style_regions.names]
        return kept * masks + (1 - kept) * found.masks[order]

    def _found(self, content: Tensor) -> tuple[RegionMasks, RegionMasks]:
        return find_regions(content, self._style, regions=self._source, size=self._long_side, **self._region_options)

    def _enlarged(self, planes: Tensor) -> Tensor:
        return F.interpolate(planes[None], self._size, mode="bilinear")[0]

    def _upright(self, frame: Frame) -> Tensor:
        return self._turned(frame.shrunk(self._size), self._clip.quarter_turns)

    def _as_stored(self, upright: Tensor) -> Tensor:
        return self._turned(upright, -self._clip.quarter_turns)

    @staticmethod
    def _turned(planes: Tensor, quarter_turns: int) -> Tensor:
        return torch.rot90(planes, quarter_turns, (1, 2)).contiguous()


def _same(one: RegionMasks | None, other: RegionMasks | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.names == other.names and torch.equal(one.masks, other.masks)


def _is_flat(content: Tensor) -> bool:
    return float(content.mean(0).std()) < _FLAT
