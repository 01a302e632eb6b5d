"""Dense correspondence: for each patch of the content a place in a frame, and the frame brought to the content.

Shih et al. 2013 find it as the labels of a Markov random field over patches; so does this, with neighbours that agree
by a truncated distance in place of the term that is learned from a time-lapse video.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import InputError

_COARSEST, _FINEST = 48, 384  # pixels on the long side: searched wholly, and searched at most
_RADIUS = 2  # of patches
_LUMA = (0.299, 0.587, 0.114)
_FAR = 0.5  # cost of a displacement of the long side, squared differences of colour being 1 at most for a channel
_APART = 0.1  # cost of neighbours whose displacements differ by the long side
_MOST_APART = 0.005  # cost of neighbours that belong to different objects
_SWEEPS = 3
_STEPS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
_NEIGHBOURS = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def correspondence(
    content: Tensor,
    matched: Tensor,
    content_masks: Tensor | None = None,
    matched_masks: Tensor | None = None,
) -> Tensor:
    """The place in the matched frame that looks most like the surroundings of each content pixel.

    With u the displacement from the pixel's own place, the frame stretched over the content, as a share of the long
    side, places minimise approximately the sum over pixels of the mean squared difference of 5 x 5 patches (RGB and the
    gradient of luma) + 0.5 |u|^2 + the sum over its four neighbours n of min(0.1 |u - u_n|, 0.005). The search starts
    at up to 48 pixels on the long side from the best of all places, without neighbours; there and at each doubling of
    the size, up to 384 pixels, it tries those next to a pixel's own and those that its neighbours suggest (as in
    PatchMatch, Barnes et al. 2009). Beyond, places are scaled.

    content: (3, H, W), matched: (3, h, w), in [0, 1]. content_masks (R, H, W), matched_masks (R, h, w), in [0, 1]: with
    both, the place of a pixel, rounded, lies in the region that the pixel is most of, unless the frame lacks it.

    Returns (H, W, 2), float32: y in [0, h - 1] and x in [0, w - 1], in pixels of the matched frame. Two equal photos
    give each pixel its own place. Raises InputError for one side's masks without the other's, or of another number.
    """
    size, frame_size = _size(content), _size(matched)
    if content_masks is None and matched_masks is None:
        content_masks, matched_masks = content.new_ones(1, *size), matched.new_ones(1, *frame_size)
    if content_masks is None or matched_masks is None or len(content_masks) != len(matched_masks):
        raise InputError("correspondence: content_masks and matched_masks must be as many; give both, or neither")
    photos = [x.detach().float().cpu() for x in (content, matched)]
    masks = [x.detach().float().cpu() for x in (content_masks, matched_masks)]
    places = None
    for level in _search_sizes(size):
        search = _Search(
            *(_patches(F.interpolate(x[None], level, mode="bilinear", antialias=True)[0]) for x in photos),
            *(_labels(F.interpolate(x[None], level, mode="area")[0]) for x in masks),
            regions=len(masks[0]),
        )
        start = search.everywhere() if places is None else _stretched(places, level, level).round().long()
        places = search.nearby(start)
    assert places is not None
    labels, frame_labels = (_labels(x) for x in masks)
    return _inside(_stretched(places, size, frame_size), labels, frame_labels, len(masks[0])).to(content)


def warp(frame: Tensor, places: Tensor) -> Tensor:
    """The frame's colours at the places that `correspondence` found, interpolated bilinearly.

    frame: (3, h, w), places: (H, W, 2), y and x in pixels of the frame, of which those outside count as on its border.

    Returns (3, H, W).
    """
    height, width = _size(frame)
    x = (2 * places[..., 1] + 1) / width - 1
    y = (2 * places[..., 0] + 1) / height - 1
    grid = torch.stack([x, y], -1).to(frame)[None]
    return F.grid_sample(frame[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


class _Search:
    """Places in a frame for the pixels of a content of the same size (h, w), in whole pixels, (h, w, 2) int64."""

    def __init__(self, patches: Tensor, frame_patches: Tensor, labels: Tensor, frame_labels: Tensor, regions: int):
        self.size = tuple(labels.shape)
        self.patches, self.frame_patches = patches, frame_patches  # (h w, D)
        self.labels, self.frame_labels, self.regions = labels, frame_labels, regions
        self.nearest = _nearest(frame_labels, regions)
        self.own = _grid(self.size)

    def everywhere(self) -> Tensor:
        """The best places of all, as if pixels had no neighbours."""
        every = self.own.flatten(0, 1).float() / max(self.size)  # (P, 2)
        cost = torch.cdist(self.patches, self.frame_patches).square() + _FAR * torch.cdist(every, every).square()
        allowed = self.nearest[self.labels.flatten()] == torch.arange(len(every))
        cost.masked_fill_(~allowed, torch.inf)
        return self._places(cost.argmin(1))

    def nearby(self, places: Tensor) -> Tensor:
        """Better places (h, w, 2) than these, near to them or beside those of neighbours."""
        best = self._index(places)
        for _ in range(_SWEEPS):
            places = self._places(best)
            suggested = self._suggested(places)
            candidates = [places + places.new_tensor(step) for step in _STEPS] + suggested
            lowest = self._cost(best, suggested)
            for candidate in map(self._index, candidates):
                cost = self._cost(candidate, suggested)
                best, lowest = torch.where(cost < lowest, candidate, best), torch.minimum(cost, lowest)
        return self._places(best)

    def _suggested(self, places: Tensor) -> list[Tensor]:
        """Where each pixel's place would be with the displacement of each of its four neighbours."""
        moves = (places - self.own).permute(2, 0, 1).float()
        padded = F.pad(moves[None], (1, 1, 1, 1), mode="reflect")[0].permute(1, 2, 0).long()
        height, width = self.size
        return [self.own + padded[1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in _NEIGHBOURS]

    def _cost(self, index: Tensor, suggested: list[Tensor]) -> Tensor:
        """What `correspondence` sums, (P,), at the frame's pixels of these numbers (P,)."""
        places = self._places(index)
        cost = (self.patches - self.frame_patches[index]).square_().sum(1).reshape(self.size)
        cost += _FAR * (places - self.own).square().sum(-1) / max(self.size) ** 2
        for beside in suggested:
            apart = (places - beside).square().sum(-1).sqrt() / max(self.size)
            cost += (_APART * apart).clamp_max_(_MOST_APART)
        return cost.flatten()

    def _index(self, places: Tensor) -> Tensor:
        """The numbers (P,) of the frame's pixels at places, or nearest to them in the region that is allowed."""
        height, width = self.size
        index = places[..., 0].clamp(0, height - 1) * width + places[..., 1].clamp(0, width - 1)
        return self.nearest[self.labels.flatten(), index.flatten()]

    def _places(self, index: Tensor) -> Tensor:
        width = self.size[1]
        return torch.stack([index // width, index % width], -1).reshape(*self.size, 2)


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]


def _search_sizes(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """(h, w) from the coarsest to the finest, each twice the one before."""
    long_side = max(size)
    finest = min(1.0, _FINEST / long_side)
    halvings = 0
    while long_side * finest / 2**halvings > _COARSEST:
        halvings += 1
    for power in range(halvings, -1, -1):
        yield tuple(max(2, round(side * finest / 2**power)) for side in size)


def _grid(size: tuple[int, int]) -> Tensor:
    """The place (h, w, 2) of each pixel."""
    return torch.stack(torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij"), -1)


def _stretched(places: Tensor, size: tuple[int, int], frame_size: tuple[int, int]) -> Tensor:
    """Places of a smaller search for the pixels of a content of size (H, W), in a frame of size (h, w)."""
    small = places.shape[:2]
    moves = (places - _grid(small)).permute(2, 0, 1).float()
    # Not interpolated: where objects meet, a place between two places would be in neither.
    moves = F.interpolate(moves[None], size, mode="nearest-exact")[0].permute(1, 2, 0)
    scale = moves.new_tensor([frame_size[0] / size[0], frame_size[1] / size[1]])
    grown = moves.new_tensor([frame_size[0] / small[0], frame_size[1] / small[1]])
    found = (_grid(size) + 0.5) * scale - 0.5 + moves * grown
    return torch.minimum(found.clamp_min_(0), found.new_tensor([frame_size[0] - 1, frame_size[1] - 1]))


def _patches(image: Tensor) -> Tensor:
    """Each pixel's patch (P, D), such that the squared distance of two is the mean over the patch's pixels."""
    luma = torch.tensordot(image.new_tensor(_LUMA), image, 1)
    features = torch.cat([image, torch.stack(torch.gradient(luma))])
    padded = F.pad(features[None], (_RADIUS,) * 4, mode="replicate")
    side = 2 * _RADIUS + 1
    return F.unfold(padded, side)[0].T.contiguous() / side


def _labels(masks: Tensor) -> Tensor:
    """The region (H, W) that a pixel is most of; R where it is of none."""
    most, label = masks.max(0)
    return torch.where(most > 0, label, len(masks))


def _nearest(labels: Tensor, regions: int) -> Tensor:
    """For each region, and for pixels of none, the number of the nearest pixel that is of it: (R + 1, P).

    For a region that the frame lacks, each pixel's own number.
    """
    from scipy.ndimage import distance_transform_edt  # here, for loading it takes a third of a second

    height, width = labels.shape
    rows = []
    for region in range(regions + 1):
        outside = (labels != region).numpy()
        if outside.all():
            rows.append(torch.arange(height * width))
            continue
        y, x = torch.from_numpy(distance_transform_edt(outside, return_distances=False, return_indices=True)).long()
        rows.append((y * width + x).flatten())
    return torch.stack(rows)


def _inside(places: Tensor, labels: Tensor, frame_labels: Tensor, regions: int) -> Tensor:
    """Places (H, W, 2), those outside their region replaced by the nearest pixel inside."""
    width = frame_labels.shape[1]
    rounded = places.round().long()
    index = rounded[..., 0] * width + rounded[..., 1]
    nearest = _nearest(frame_labels, regions)[labels.flatten(), index.flatten()].reshape(index.shape)
    there = torch.stack([nearest // width, nearest % width], -1).to(places)
    return torch.where((nearest == index)[..., None], places, there)
