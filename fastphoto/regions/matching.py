"""Regions of content and style matched by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.errors import InputError, warn
from fastphoto.photos.resize import resize
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import MINIMUM_SHARE
from fastphoto.regions.resizing import resize_masks


@dataclass(frozen=True, eq=False)
class MatchedRegions:
    """Regions shared by content and style, in one order; each has an area on both sides."""

    names: tuple[str, ...]
    content: Tensor  # (R, H, W) float32, [0, 1]
    style: Tensor  # (R, h, w) float32, [0, 1]
    orphans: tuple[str, ...]  # content regions that the style lacks


def match_regions(
    content: RegionMasks,
    style: RegionMasks,
    content_pixels: Tensor,
    style_pixels: Tensor,
    orphans: Literal["merge", "global", "drop", "error"] = "merge",
    minimum_share: float = MINIMUM_SHARE,
) -> MatchedRegions:
    """Pair the regions of content and style by name.

    content_pixels: (3, H, W), style_pixels: (3, h, w), sRGB in [0, 1], of the masks' sizes.
    An orphan is a content region whose area in the style is below `minimum_share` of the style's pixels:
      merge   its pixels join the shared region nearest in colour and position
      global  it takes its style from the whole style photo
      drop    its pixels belong to no region
      error   InputError
    Orphans are named in one FastPhotoWarning, and so are regions that only the style has, for their look goes nowhere.
    Content regions below `minimum_share` of the content merge in silence. Without any shared region, "merge" falls
    back to one region "all". A single region on one side that covers its whole photo is paired with a single region
    on the other. Every region returned has an area above zero on both sides; masks may share memory with `content`
    and `style`.

    Raises InputError where one side has a mask of several regions and the other none, and where nothing is
    left.
    """
    for role, labels, pixels in (("content", content, content_pixels), ("style", style, style_pixels)):
        if labels.masks.shape[1:] != pixels.shape[1:]:
            got, wanted = tuple(labels.masks.shape[1:]), tuple(pixels.shape[1:])
            raise InputError(f"{role} mask: (H, W) is {got}, that of the photo is {wanted}")
    if orphans not in ("merge", "global", "drop", "error"):
        raise InputError(f"orphans: got {orphans!r}; give merge, global, drop or error")
    for role, labels, other in (("style", style, content), ("content", content, style)):
        if labels.names == ("all",) and len(other.names) > 1 and bool((labels.masks == 1).all()):
            given = "content" if role == "style" else "style"
            raise InputError(f"{role} mask: missing, but the {given} has one; give both or neither")
    content_names, style_names = _one_naming(content.names, style.names)
    if len(content_names) == len(style_names) == 1 and (_covers(content) or _covers(style)):
        shared_name = content_names if content_names == style_names else ("all",)
        return _checked(MatchedRegions(shared_name, content.masks, style.masks, ()))
    share = dict(zip(content_names, content.masks.mean((1, 2)).tolist(), strict=True))
    style_share = dict(zip(style_names, style.masks.mean((1, 2)).tolist(), strict=True))
    least, style_least = (max(minimum_share, 1 / labels.masks[0].numel()) for labels in (content, style))
    row = {name: i for i, name in enumerate(content_names)}
    style_row = {name: i for i, name in enumerate(style_names)}
    large = [name for name in content_names if share[name] >= least]
    lost = tuple(name for name in large if style_share.get(name, 0.0) < style_least)
    kept = [name for name in large if name not in lost]
    listed = ", ".join(f"{name} ({share[name]:.1%})" for name in lost) or "only tiny regions"
    if lost and orphans == "error":
        raise InputError(f"style mask: no region for {listed} of the content; add it or choose how to treat orphans")
    if not kept and orphans == "merge":
        warn(f"masks: content and style share no region (content has {listed}); using one region for all")
        return MatchedRegions(("all",), torch.ones_like(content.masks[:1]), torch.ones_like(style.masks[:1]), lost)
    everywhere = list(lost) if orphans == "global" else []
    order = [name for name in content_names if name in kept or name in everywhere]
    if not order:
        raise InputError(f"masks: content and style share no region (content has {listed})")
    joining = [n for n in content_names if 0 < share[n] < least] + (list(lost) if orphans == "merge" else [])
    targets = _nearest_regions(content.masks, content_pixels, [row[n] for n in joining], [row[n] for n in order])
    masks = _rows(content.masks, [row[name] for name in order])
    if joining:
        masks = masks.clone()
    for name, target in zip(joining, targets, strict=True):
        masks[target] = (masks[target] + content.masks[row[name]]).clamp_(max=1)
    if lost:
        treated = {
            "merge": "merged into " + ", ".join(order[t] for n, t in zip(joining, targets, strict=True) if n in lost),
            "global": "takes its style from the whole style photo",
            "drop": "left without style",
        }[orphans]
        warn(f"masks: the style has no region for {listed} of the content; {treated}")
    unused = [n for n in style_names if style_share[n] >= style_least and not share.get(n)]
    if unused and not lost:  # else there is a remark already
        listed = ", ".join(f"{name} ({style_share[name]:.1%})" for name in unused)
        warn(f"masks: the content has no region for {listed} of the style; its look is not used")
    if everywhere:
        whole = torch.ones_like(style.masks[0])
        style_masks = torch.stack([whole if n in everywhere else style.masks[style_row[n]] for n in order])
    else:
        style_masks = _rows(style.masks, [style_row[n] for n in order])
    return _checked(MatchedRegions(tuple(order), masks, style_masks, lost))


def _rows(masks: Tensor, rows: list[int]) -> Tensor:
    """The masks of these numbers, uncopied where that is all of them: 12 megapixels weigh 48 MB each."""
    return masks if rows == list(range(len(masks))) else masks[rows]


def _covers(labels: RegionMasks) -> bool:
    return float(labels.masks.mean()) >= 0.99


def _checked(regions: MatchedRegions) -> MatchedRegions:
    for role, masks in (("content", regions.content), ("style", regions.style)):
        for name, area in zip(regions.names, masks.sum((1, 2)).tolist(), strict=True):
            if not area > 0:
                raise InputError(f"{role} mask: region {name} is empty")
    return regions


def _one_naming(content: tuple[str, ...], style: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read black, grey and white as the ids 0, 128 and 255 where the other side has ids.

    A picture of ids that happens to hold only these values looks like one in palette colours.
    """
    ids = {"black": "0", "grey": "128", "white": "255"}

    def renamed(names: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
        apply = all(n.isdecimal() for n in other) and all(n in ids for n in names)
        return tuple(ids[n] for n in names) if apply else names

    return renamed(content, style), renamed(style, content)


def _nearest_regions(masks: Tensor, pixels: Tensor, joining: list[int], targets: list[int]) -> list[int]:
    """For each joining region the position in `targets` of the region nearest in colour and place.

    Distance: difference of the mean Lab colours over 30, plus that of the centroids over the sum of the
    regions' root mean square radii, so that a large region is near to what lies within it.
    """
    if not joining:
        return []
    height, width = pixels.shape[1:]
    scale = min(1.0, 256 / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = resize(pixels.detach().float().cpu(), size).clamp(0, 1)
    lab = torch.from_numpy(srgb_to_lab(small.numpy())).float().flatten(1)
    weights = resize_masks(masks.cpu(), size).flatten(1)
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    place = torch.stack([y, x]).flatten(1).float()
    colour, centre = weights @ lab.T, weights @ place.T
    radius = (weights @ place.square().T - centre.square()).sum(1).clamp_min(0.25).sqrt()
    nearest = []
    for j in joining:
        apart = (colour[targets] - colour[j]).norm(dim=1) / 30
        away = (centre[targets] - centre[j]).norm(dim=1) / (radius[targets] + radius[j])
        nearest.append(int((apart + away).argmin()))
    return nearest
