"""Matching of the regions of content and style by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from fastphoto.errors import InputError, warn
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.merging import merge_regions
from fastphoto.regions.palette import MINIMUM_SHARE
from fastphoto.regions.resizing import visible_masks

Orphans = Literal["merge", "global", "drop", "error"]
"""Treatment of orphans, content regions that the style lacks; see `match_regions`."""
ORPHANS: tuple[Orphans, ...] = get_args(Orphans)

_WHOLE_SHARE = 0.99  # of a photo; a larger mask counts as the whole photo; by eye


@dataclass(frozen=True, eq=False)
class MatchedRegions:
    """Regions of content and style paired by name, in one order; none is empty in either photo."""

    names: tuple[str, ...]
    content: Tensor  # (R, H, W) float32 in [0, 1]
    style: Tensor  # (R, h, w) float32 in [0, 1]
    orphans: tuple[str, ...]  # names of content regions that the style lacks, whatever their treatment


@dataclass(frozen=True, eq=False)
class _PhotoRegions:
    """The regions of one of the two photos, with the share of its visible pixels that each covers."""

    masks: Tensor  # (R, H, W)
    row: Mapping[str, int]  # name -> index into masks, in the order of the masks
    shares: Mapping[str, float]
    minimum_share: float  # a smaller region counts as absent

    @staticmethod
    def of(regions: RegionMasks, minimum_share: float, alpha: Tensor | None) -> _PhotoRegions:
        visible = visible_masks(torch.ones_like(regions.masks[:1]), alpha).sum()
        shares = visible_masks(regions.masks, alpha).sum((1, 2)) / visible
        return _PhotoRegions(
            regions.masks,
            {name: row for row, name in enumerate(regions.names)},
            dict(zip(regions.names, shares.clamp(max=1).tolist(), strict=True)),
            max(minimum_share, 1 / float(visible)),
        )

    @property
    def large(self) -> list[str]:
        return [name for name in self.row if self.shares[name] >= self.minimum_share]

    @property
    def tiny(self) -> list[str]:
        return [name for name in self.row if 0 < self.shares[name] < self.minimum_share]

    def rows(self, names: Iterable[str]) -> list[int]:
        return [self.row[name] for name in names]

    def listed(self, names: Iterable[str]) -> str:
        return ", ".join(f"{name} ({self.shares[name]:.1%})" for name in names)


def match_regions(
    content: RegionMasks,
    style: RegionMasks,
    content_pixels: Tensor,
    style_pixels: Tensor,
    orphans: Orphans = "merge",
    minimum_share: float = MINIMUM_SHARE,
    content_alpha: Tensor | None = None,
    style_alpha: Tensor | None = None,
) -> MatchedRegions:
    """Pair the regions of content and style by name.

    One region that covers its whole photo is paired with the only region of the other photo, whatever their names.
    Content regions below `minimum_share` join a neighbour without a warning. One `FastPhotoWarning` names all orphans;
    without orphans, one names the regions that only the style has, because their look is not used.

    Args:
        content: regions of the content, masks (R, H, W).
        style: regions of the style, masks (R', h, w).
        content_pixels: the content, (3, H, W), sRGB in [0, 1], of its masks' size.
        style_pixels: the style, (3, h, w), sRGB in [0, 1], of its masks' size.
        orphans: treatment of an orphan, a content region that covers less than `minimum_share` of the style:
            "merge" adds its pixels to the shared region nearest in colour and position, and without any shared region
            makes the whole photo one region "all"; "global" gives it the whole style photo as its style; "drop" leaves
            its pixels without a region; "error" raises InputError.
        minimum_share: share of a photo's visible pixels, in [0, 1]; a smaller region counts as absent.
        content_alpha: alpha of the content, (H', W'), in [0, 1], of any size. None: nothing is hidden. What it hides
            counts for no share, except in a region that it hides completely.
        style_alpha: the same for the style.

    Returns:
        The matched regions, none of them empty. Their masks may share memory with `content` and `style`.

    Raises:
        InputError: masks of another size than their photo, several regions in one photo and no mask for the other, an
            unknown value of `orphans`, an orphan with "error", and photos that are left without any shared region.

    Example:
        >>> top = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
        >>> content = RegionMasks(("sky", "sea"), torch.stack([top, 1 - top]))
        >>> style = RegionMasks(("sea", "sky"), torch.stack([1 - top, top]))
        >>> grey = torch.full((3, 2, 2), 0.5)
        >>> match_regions(content, style, grey, grey).names
        ('sky', 'sea')
    """
    _check_arguments(content, style, content_pixels, style_pixels, orphans)
    if len(content.names) == len(style.names) == 1 and (_is_whole(content) or _is_whole(style)):
        return _matched_whole(content, style)
    in_content = _PhotoRegions.of(content, minimum_share, content_alpha)
    in_style = _PhotoRegions.of(style, minimum_share, style_alpha)
    shared = [name for name in in_content.large if name in in_style.large]
    orphan_names = tuple(name for name in in_content.large if name not in in_style.large)
    if orphan_names and orphans == "error":
        listed = in_content.listed(orphan_names)
        raise InputError(f"style mask: no region for {listed} of the content; add it or choose how to treat orphans")
    names = tuple(in_content.large if orphans == "global" else shared)
    if not names:
        nothing = (
            f"content and style share no region (content has {in_content.listed(orphan_names) or 'only tiny regions'})"
        )
        if orphans != "merge":
            raise InputError(f"masks: {nothing}")
        warn(f"masks: {nothing}; using one region for all")
        return MatchedRegions(
            ("all",), torch.ones_like(content.masks[:1]), torch.ones_like(style.masks[:1]), orphan_names
        )
    joining = [*in_content.tiny, *(orphan_names if orphans == "merge" else ())]
    style_masks = _style_masks(in_style, names, orphan_names)
    content_masks, nearest = merge_regions(
        content.masks, content_pixels, in_content.rows(joining), in_content.rows(names)
    )
    neighbours = {name: names[target] for name, target in zip(joining, nearest, strict=True)}
    if message := _warning(in_content, in_style, orphan_names, orphans, neighbours):
        warn(message)
    return MatchedRegions(names, content_masks, style_masks, orphan_names)


def _check_arguments(
    content: RegionMasks, style: RegionMasks, content_pixels: Tensor, style_pixels: Tensor, orphans: str
) -> None:
    for role, regions, pixels in (("content", content, content_pixels), ("style", style, style_pixels)):
        if regions.masks.shape[1:] != pixels.shape[1:]:
            size, photo_size = tuple(regions.masks.shape[1:]), tuple(pixels.shape[1:])
            raise InputError(f"{role} mask: (H, W) is {size}, that of the photo is {photo_size}")
    if orphans not in ORPHANS:
        raise InputError(f"orphans: got {orphans!r}; give merge, global, drop or error")
    for role, regions, other_role, other in (
        ("style", style, "content", content),
        ("content", content, "style", style),
    ):
        if regions.names == ("all",) and len(other.names) > 1 and bool((regions.masks == 1).all()):
            raise InputError(f"{role} mask: missing, but the {other_role} has one; give both or neither")


def _is_whole(regions: RegionMasks) -> bool:
    return float(regions.masks.mean()) >= _WHOLE_SHARE


def _matched_whole(content: RegionMasks, style: RegionMasks) -> MatchedRegions:
    names = content.names if content.names == style.names else ("all",)
    for role, regions in (("content", content), ("style", style)):
        if not regions.masks.sum() > 0:
            raise InputError(f"{role} mask: region {names[0]} is empty")
    return MatchedRegions(names, content.masks, style.masks, ())


def _warning(
    in_content: _PhotoRegions,
    in_style: _PhotoRegions,
    orphan_names: Sequence[str],
    orphans: Orphans,
    neighbours: Mapping[str, str],
) -> str | None:
    """Return the warning about orphans and their treatment, or else about regions that only the style has."""
    if orphan_names:
        if orphans == "merge":
            treatment = "merged into " + ", ".join(neighbours[name] for name in orphan_names)
        elif orphans == "global":
            treatment = "takes its style from the whole style photo"
        else:
            treatment = "left without style"
        return f"masks: the style has no region for {in_content.listed(orphan_names)} of the content; {treatment}"
    if unused := [name for name in in_style.large if not in_content.shares.get(name)]:
        return f"masks: the content has no region for {in_style.listed(unused)} of the style; its look is not used"
    return None


def _style_masks(in_style: _PhotoRegions, names: Sequence[str], orphan_names: Sequence[str]) -> Tensor:
    """Return the masks (R, h, w) that these regions take their style from: the whole photo for an orphan."""
    if not any(name in orphan_names for name in names):
        rows = in_style.rows(names)
        return in_style.masks if rows == list(range(len(in_style.masks))) else in_style.masks[rows]
    whole = torch.ones_like(in_style.masks[0])
    return torch.stack([whole if name in orphan_names else in_style.masks[in_style.row[name]] for name in names])
