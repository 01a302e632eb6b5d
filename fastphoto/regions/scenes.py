"""Regions found without masks: the kinds of scene that both photos surely show, by the network in the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.regions.borders import refined_map, resized_map
from fastphoto.regions.masks import masks_of_map
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.segmenter import SCENE_CLASSES, scene_scores
from fastphoto.runtime.host_state import apart_from_host

SCENE_KINDS = {
    # The source of light outdoors, with smooth gradients that nothing else has.
    "sky": "sky",
    # Mirrors what is above it.
    "water": "water sea",
    "vegetation": "tree grass plant field",
    "mountains": "mountain",
    "ground": "road sidewalk earth floor rug",
    "buildings": "building house",
    # One kind, because the network confuses walls and furniture, which share their light.
    "interior": "wall ceiling door window bed cabinet table curtain chair sofa shelf painting mirror armchair",
    # Skin: wrong colours are noticed here first.
    "people": "person",
    "objects": "other car",
}
"""{kind of scene: its classes, of `fastphoto.regions.segmenter.SCENE_CLASSES`}; each class belongs to one kind."""

REST = "rest"
"""Name of the region of everything that is of no shared kind."""

_KINDS = tuple(SCENE_KINDS)
_CLASSES = [[SCENE_CLASSES.index(name) for name in classes.split()] for classes in SCENE_KINDS.values()]
_KIN: Mapping[str, tuple[str, ...]] = {
    "vegetation": ("mountains", "ground"),
    "mountains": ("vegetation", "ground"),
    "ground": ("vegetation", "mountains", "buildings"),
    "objects": ("ground", "buildings", "interior"),
}
"""{kind: the kinds that it goes with if the style lacks it, best first}."""

_GROUPS = (
    ("water", "vegetation", "mountains", "ground"),
    ("buildings", "interior", "objects"),
    ("sky",),
    ("people",),
)
"""Kinds of which one can lend its look to another."""

# Thresholds chosen on 24 photo pairs, by the scores and by eye; see docs/regions.md.
_SURE_OF_CONTENT = 0.7  # mean probability of a kind in its region; close-ups, flowers and flames stay below
_SURE_OF_STYLE = 0.6  # the same for the style, of which a region needs to hold only typical colours
_SURE_OF_REST = 0.7  # the same for all kinds of the rest together
_CONTENT_SHARE = 0.01  # of the content's pixels that a kind needs
_STYLE_SHARE = 0.03  # of the style's pixels that a kind needs, to have colours to give
_CONTENT_REST, _STYLE_REST = 0.03, 0.08  # of the pixels that the rest needs
_LARGE_REST = 0.2  # of the content's pixels; a larger rest takes the look of the whole style, if the style has no rest
_OUTDOORS = 0.05  # of the pixels; a photo with more sky has no interior
_VISIBLE_EDGE = 4.0  # CIELAB units across a border; where the content has less, a change of look would show
_ACROSS = 0.02  # of the long side, from one side of a border to the other
_SHORT_BORDER = 0.05  # of the long side; a shorter border is not judged
_NEVER = -30.0  # logarithm of the score of a region that a pixel cannot belong to


@dataclass(frozen=True)
class ScenePlan:
    """Which region each kind of the content and of the style belongs to, by name; None: to no region."""

    names: tuple[str, ...]  # of the regions, in order
    content: tuple[str | None, ...]  # region of each kind
    style: tuple[str | None, ...]
    whole: frozenset[str]  # names of regions that take the look of the whole style


@apart_from_host
def scene_regions(pair: PhotoPair) -> PhotoPair:
    """Return the pair with the regions that both photos surely show, or with one region if that is safer.

    The network in the package gives each pixel a probability for each kind of scene. A kind that both photos show, and
    that the network is sure of in both, is a region. Another kind of the content joins one that goes with it, or else
    the rest, which is matched with the rest of the style. If that shows nothing alike, the rest, or water alone, takes
    the look of the whole style. Borders move to the photo's edges; regions merge where the content has no edge. If
    fewer than two regions remain, the whole photo is one region. The result is deterministic.

    Args:
        pair: photos; their own regions only show which pixels are visible.

    Returns:
        The pair with regions of SCENE_KINDS and "rest", or with the one region "all"; each visible pixel of the content
        belongs to one of them.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> from fastphoto.regions.pair import prepare_pair
        >>> noise = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
        >>> scene_regions(prepare_pair(read_photo(noise), read_photo(noise), None, None, size=32)).names
        ('all',)
    """
    visible = pair.content_masks.cpu().amax(0), pair.style_masks.cpu().amax(0)
    whole = replace(pair, names=("all",), content_masks=visible[0][None], style_masks=visible[1][None])
    photos = pair.content.cpu(), pair.style.cpu()  # tensors of a caller may be on a GPU
    content = kind_scores(photos[0])
    look = pair.look
    style = pair.of_style.get("kind scores", lambda: kind_scores(photos[1]) if look is None else look.scores())
    plan = plan_regions(content, style)
    if len(plan.names) < 2:
        return whole
    content_masks = _masks(content, plan.content, plan.names, partial(kind_map, photo=photos[0])) * visible[0]
    named = (*plan.names, None)
    # The colours of a look are no neighbours, so no edges lie between them.
    map_of = partial(kind_map, photo=photos[1]) if look is None else partial(torch.argmax, dim=0)
    regions = pair.of_style.get(("regions", plan.style, named), lambda: _masks(style, plan.style, named, map_of))
    style_masks = regions[:-1] * visible[1]
    for row, name in enumerate(plan.names):
        if name in plan.whole:
            style_masks[row] = visible[1]
    found = replace(pair, names=plan.names, content_masks=content_masks, style_masks=style_masks)
    found = _without_hidden_borders(_without_small_regions(found))
    return found if len(found.names) > 1 else whole


def _without_small_regions(pair: PhotoPair) -> PhotoPair:
    """Return the pair without regions that the borders have worn away; the largest region takes their pixels."""
    areas = [masks.sum((1, 2)) for masks in (pair.content_masks, pair.style_masks)]
    content_shares, style_shares = (area / area.sum().clamp_min(1) for area in areas)
    kept = (content_shares >= _CONTENT_SHARE / 2) & (style_shares >= _STYLE_SHARE / 3)
    if not kept.any():
        return replace(pair, names=())
    content_masks = pair.content_masks[kept]
    content_masks[content_masks.sum((1, 2)).argmax()] += pair.content_masks[~kept].sum(0)
    names = tuple(name for name, keep in zip(pair.names, kept, strict=True) if keep)
    return replace(pair, names=names, content_masks=content_masks, style_masks=pair.style_masks[kept])


def _without_hidden_borders(pair: PhotoPair) -> PhotoPair:
    """Return the pair with regions merged where the content has no edge, because such a border would show."""
    while len(pair.names) > 1:
        borders = _border_contrasts(pair.content, pair.content_masks)
        contrast, first, second = min(borders, default=(_VISIBLE_EDGE, 0, 0))
        if contrast >= _VISIBLE_EDGE:
            break
        if pair.content_masks[first].sum() < pair.content_masks[second].sum():
            first, second = second, first
        content_masks, style_masks = (masks.clone() for masks in (pair.content_masks, pair.style_masks))
        for masks in (content_masks, style_masks):
            masks[first] = (masks[first] + masks[second]).clamp_(max=1)
        kept = torch.arange(len(pair.names)) != second
        names = tuple(name for row, name in enumerate(pair.names) if row != second)
        pair = replace(pair, names=names, content_masks=content_masks[kept], style_masks=style_masks[kept])
    return pair


def _border_contrasts(photo: Tensor, masks: Tensor) -> list[tuple[float, int, int]]:
    """Return the median difference of colour across the border of each two regions that touch, and their numbers.

    The difference is in CIELAB, between pixels at a fiftieth of the long side from each other, in rows and columns.
    Regions that merely touch at a corner have no border: a few pixels say nothing about the whole of two regions.
    """
    long_side = max(photo.shape[1:])
    across = max(1, round(_ACROSS * long_side))
    lab = torch.from_numpy(srgb_to_lab(photo.cpu().numpy()))
    numbers = masks.max(0).indices.where(masks.sum(0) > 0, torch.tensor(-1, dtype=torch.int64))  # -1: hidden
    regions, differences = [], []
    for colours, region_map in ((lab, numbers), (lab.transpose(1, 2), numbers.T)):
        before, behind = region_map[:-across], region_map[across:]
        border = (before != behind) & (before >= 0) & (behind >= 0)
        pairs = torch.stack([before[border], behind[border]])
        regions.append(pairs.amin(0) * len(masks) + pairs.amax(0))
        differences.append((colours[:, :-across][:, border] - colours[:, across:][:, border]).norm(dim=0))
    touching, each = torch.cat(regions), torch.cat(differences)
    contrasts = []
    for pair in touching.unique().tolist():
        difference = each[touching == pair]
        if len(difference) >= _SHORT_BORDER * long_side * across:  # each pixel of a border is crossed `across` times
            contrasts.append((float(difference.median()), pair // len(masks), pair % len(masks)))
    return contrasts


def kind_scores(photo: Tensor) -> Tensor:
    """Return log-probabilities of the kinds (K, 128, 128), in the order of SCENE_KINDS, for a photo (3, H, W)."""
    scores = scene_scores(photo)
    kinds = torch.stack([scores[members].logsumexp(0) for members in _CLASSES])
    sky, buildings, interior = (_KINDS.index(kind) for kind in ("sky", "buildings", "interior"))
    if (kinds.argmax(0) == sky).float().mean() >= _OUTDOORS:  # walls under the sky are of buildings
        kinds[buildings] = torch.logaddexp(kinds[buildings], kinds[interior])
        kinds[interior] = _NEVER
    return kinds


def plan_regions(content: Tensor, style: Tensor) -> ScenePlan:
    """Decide which regions to make, from the log-probabilities of the kinds (K, h, w) in both photos.

    Example:
        >>> scores = torch.full((9, 4, 4), -9.0)
        >>> scores[0, :2], scores[5, 2:] = 0, 0
        >>> plan_regions(scores, scores).names
        ('sky', 'buildings')
    """
    content_shares, content_sureness = shares_and_sureness(content)
    style_shares, style_sureness = shares_and_sureness(style)
    shared = [
        kind
        for row, kind in enumerate(_KINDS)
        if kind != "objects"
        and content_shares[row] >= _CONTENT_SHARE
        and content_sureness[row] >= _SURE_OF_CONTENT
        and style_shares[row] >= _STYLE_SHARE
        and style_sureness[row] >= _SURE_OF_STYLE
    ]
    if not shared:
        return ScenePlan((), (), (), frozenset())
    names, whole = list(shared), set()
    region = {kind: _region_of(kind, shared) for kind in _KINDS}
    left_in_style = torch.tensor([kind not in shared for kind in _KINDS], dtype=torch.bool)
    style_rest = float(style_shares[left_in_style].sum())
    water = _KINDS.index("water")
    is_water = content_sureness[water] >= _SURE_OF_CONTENT and content_shares[water] >= _CONTENT_SHARE
    if region["water"] == REST and is_water and style_rest < _STYLE_REST:
        region["water"] = "water"
        names.append("water")
        whole.add("water")
    left = torch.tensor([region[kind] == REST for kind in _KINDS], dtype=torch.bool)
    rest_share, rest_sureness = _share_and_sureness_of(content, left)
    has_counterpart = style_rest >= _STYLE_REST
    if rest_sureness >= _SURE_OF_REST and rest_share >= (_CONTENT_REST if has_counterpart else _LARGE_REST):
        names.append(REST)
        if not has_counterpart or _group(content_shares * left) != _group(style_shares * left_in_style):
            whole.add(REST)
    style_region = {kind: kind if kind in shared else REST for kind in _KINDS}
    return ScenePlan(
        tuple(names),
        tuple(region[kind] if region[kind] in names else None for kind in _KINDS),
        tuple(style_region[kind] if style_region[kind] in {*names} - whole else None for kind in _KINDS),
        frozenset(whole),
    )


def _region_of(kind: str, shared: Sequence[str]) -> str:
    """Return the region of a kind of the content: itself if both photos have it, or else one that goes with it."""
    if kind in shared:
        return kind
    return next((kin for kin in _KIN.get(kind, ()) if kin in shared), REST)


def _group(shares: Tensor) -> int:
    """Return the number of the group of kinds that covers most, from the share of each kind (K,)."""
    return int(torch.stack([shares[[_KINDS.index(kind) for kind in group]].sum() for group in _GROUPS]).argmax())


def shares_and_sureness(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of the photo in which each kind (K,) is the best, and its mean probability there."""
    probability, best = scores.max(0)
    count = torch.bincount(best.flatten(), minlength=len(scores))
    sums = torch.bincount(best.flatten(), probability.exp().flatten().double(), minlength=len(scores))
    return count / best.numel(), (sums / count.clamp_min(1)).float()


def _share_and_sureness_of(scores: Tensor, kinds: Tensor) -> tuple[float, float]:
    """Return the share of the photo in which one of some kinds, (K,) bool, is the best, and their probability there."""
    best = kinds[scores.max(0).indices]
    probability = scores.exp()[kinds].sum(0)
    return float(best.float().mean()), float((probability * best).sum() / best.sum().clamp_min(1))


def _masks(
    scores: Tensor,
    regions: tuple[str | None, ...],
    names: tuple[str | None, ...],
    map_of: Callable[[Tensor], Tensor],  # from scores of regions to their map (H, W)
) -> Tensor:
    """Return masks (N, H, W), 0 or 1, of the named regions in a photo; None is the region of no name.

    Pixels of kinds whose region is not in `names` join the region that the network holds next likely.
    """
    planes = []
    for name in names:
        members = [row for row, region in enumerate(regions) if region == name]
        planes.append(scores[members].logsumexp(0) if members else torch.full_like(scores[0], _NEVER))
    return masks_of_map(map_of(torch.stack(planes)), len(names))


def kind_map(scores: Tensor, photo: Tensor) -> Tensor:
    """Return the map (H, W) of the best kind at each pixel of a photo (3, H, W), from its scores (K, h, w)."""
    return resized_map(refined_map(scores, photo), (photo.shape[1], photo.shape[2]))
