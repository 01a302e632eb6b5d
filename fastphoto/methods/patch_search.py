"""Dense correspondence: a position in a frame for each pixel of the content, and the frame warped to the content.

Like Shih et al. 2013, this module labels a Markov random field over patches with these positions. Only the pairwise
term differs: here it is a truncated distance, in the paper it is learned from a time-lapse video.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from fastphoto.colour.spaces import LUMA
from fastphoto.errors import InputError

# All numbers by eye.
_COARSEST = 48  # pixels on the long side of the first search, which tries every position
_FINEST = 384  # pixels on the long side of the last search
_RADIUS = 2  # pixels: patches are 5 x 5
_DISPLACEMENT_COST = 0.5  # for a displacement by the long side; squared differences of colour are at most 1 a channel
_NEIGHBOUR_COST = 0.1  # for a neighbour whose displacement differs by the long side
_NEIGHBOUR_LIMIT = 0.005  # the most that one neighbour costs, because it may belong to another object
_SWEEPS = 3
_STEPS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
_NEIGHBOURS = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def correspondence(
    content: Tensor,  # (3, H, W), [0, 1]
    matched: Tensor,  # (3, h, w), [0, 1]
    content_masks: Tensor | None = None,  # (R, H, W), [0, 1]
    matched_masks: Tensor | None = None,  # (R, h, w), [0, 1]
) -> Tensor:
    """Return, for each content pixel, the position in the matched frame that looks most like its surroundings.

    Stretch the frame over the content, and let u be the displacement of a position from the pixel's own, as a fraction
    of the long side. The positions approximately minimise the sum over pixels of the mean squared difference of 5 x 5
    patches (RGB and the gradient of luma) + 0.5 |u|^2 + the sum over the four neighbours n of
    min(0.1 |u - u_n|, 0.005).

    The search starts at up to 48 pixels on the long side, from the best of all positions without neighbours. At this
    and each doubled size, up to 384 pixels, it tries the positions next to a pixel's own and those that its neighbours
    suggest (as in PatchMatch, Barnes et al. 2009). Larger photos get the scaled positions of the last search.

    Args:
        content: photo (3, H, W), sRGB in [0, 1].
        matched: frame (3, h, w), sRGB in [0, 1].
        content_masks: masks (R, H, W), [0, 1]; None: the whole photo is one region.
        matched_masks: masks (R, h, w), [0, 1]; give both or neither. With masks, the position of a pixel, rounded, lies
            in the region that the pixel belongs to most, unless the frame lacks that region.

    Returns:
        Positions (H, W, 2) in pixels of the matched frame: y in [0, h - 1] and x in [0, w - 1], in the dtype of the
        content. Two equal photos give each pixel its own position.

    Raises:
        InputError: masks of one photo only, or different numbers of masks.

    Example:
        >>> photo = torch.rand(3, 4, 6)
        >>> correspondence(photo, photo)[2, 5]
        tensor([2., 5.])
    """
    size, frame_size = _size(content), _size(matched)
    if content_masks is None and matched_masks is None:
        content_masks, matched_masks = content.new_ones(1, *size), matched.new_ones(1, *frame_size)
    if content_masks is None or matched_masks is None or len(content_masks) != len(matched_masks):
        raise InputError("correspondence: content_masks and matched_masks must be as many; give both, or neither")
    content_side = _Side(content.detach().float().cpu(), content_masks.detach().float().cpu())
    frame_side = _Side(matched.detach().float().cpu(), matched_masks.detach().float().cpu())
    positions = None
    for level in _search_sizes(size):
        search = _Search(content_side.resized(level), frame_side.resized(level))
        start = search.best_of_all() if positions is None else _stretched(positions, level, level).round().long()
        positions = search.improved(start)
    assert positions is not None
    return _inside_regions(_stretched(positions, size, frame_size), content_side, frame_side).to(content)


def warp(
    frame: Tensor,  # (3, h, w)
    positions: Tensor,  # (H, W, 2)
) -> Tensor:
    """Return the frame's colours at positions that `correspondence` returned, interpolated bilinearly.

    Args:
        frame: frame (3, h, w).
        positions: y and x (H, W, 2) in pixels of the frame; positions outside count as on its border.

    Returns:
        The warped frame (3, H, W).

    Example:
        >>> frame = torch.arange(4.0).expand(3, 1, 4)
        >>> warp(frame, torch.tensor([[[0.0, 1.5], [0.0, 9.0]]]))[0]
        tensor([[1.5000, 3.0000]])
    """
    height, width = _size(frame)
    x = (2 * positions[..., 1] + 1) / width - 1
    y = (2 * positions[..., 0] + 1) / height - 1
    grid = torch.stack([x, y], -1).to(frame)[None]
    return F.grid_sample(frame[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


class _Side:
    """A photo (3, h, w) and its masks (R, h, w), float32 on the CPU."""

    def __init__(self, photo: Tensor, masks: Tensor) -> None:
        self.photo, self.masks = photo, masks
        self.region_map = _region_map(masks)

    def resized(self, size: tuple[int, int]) -> _Side:
        photo = F.interpolate(self.photo[None], size, mode="bilinear", antialias=True)[0]
        return _Side(photo, F.interpolate(self.masks[None], size, mode="area")[0])

    def nearest_in_region(self) -> Tensor:
        """Return the index of the region's pixel nearest to each pixel, for each region: (R + 1, P).

        The last row is for the pixels outside all regions. A region without pixels has each pixel's own index.
        """
        from scipy.ndimage import distance_transform_edt  # imported here because it takes a third of a second to load

        height, width = self.region_map.shape
        rows = []
        for region in (*range(len(self.masks)), -1):
            outside = (self.region_map != region).numpy()
            if outside.all():
                rows.append(torch.arange(height * width))
                continue
            y, x = torch.from_numpy(distance_transform_edt(outside, return_distances=False, return_indices=True)).long()
            rows.append((y * width + x).flatten())
        return torch.stack(rows)


class _Search:
    """A search at one size (h, w), to which both content and frame are resized.

    Positions are whole pixels (h, w, 2), int64. The index of a position is its pixel's number y * w + x.
    """

    def __init__(self, content: _Side, frame: _Side) -> None:
        self.size = _size(content.photo)
        self.patches, self.frame_patches = _patches(content.photo), _patches(frame.photo)  # (P, D)
        self.regions = content.region_map.flatten()  # (P,)
        self.nearest = frame.nearest_in_region()
        self.own = _own_positions(self.size)

    def best_of_all(self) -> Tensor:
        """Return the best of all positions for each pixel, without the pairwise term."""
        own = self.own.flatten(0, 1).float() / max(self.size)  # (P, 2)
        cost = torch.cdist(self.patches, self.frame_patches).square()
        cost = cost + _DISPLACEMENT_COST * torch.cdist(own, own).square()
        allowed = self.nearest[self.regions] == torch.arange(len(own))
        cost.masked_fill_(~allowed, torch.inf)
        return self._positions(cost.argmin(1))

    def improved(self, positions: Tensor) -> Tensor:
        """Return better positions than these: try the positions next to them and those that neighbours suggest."""
        best = self._indices(positions)
        for _ in range(_SWEEPS):
            positions = self._positions(best)
            suggested = self._suggested(positions)
            candidates = [positions + positions.new_tensor(step) for step in _STEPS] + suggested
            lowest = self._cost(best, suggested)
            for candidate in map(self._indices, candidates):
                cost = self._cost(candidate, suggested)
                best, lowest = torch.where(cost < lowest, candidate, best), torch.minimum(cost, lowest)
        return self._positions(best)

    def _suggested(self, positions: Tensor) -> list[Tensor]:
        """Return the four positions that each pixel gets from its neighbours' displacements."""
        displacements = (positions - self.own).permute(2, 0, 1).float()
        padded = F.pad(displacements[None], (1, 1, 1, 1), mode="reflect")[0].permute(1, 2, 0).long()
        height, width = self.size
        return [self.own + padded[1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in _NEIGHBOURS]

    def _cost(self, indices: Tensor, suggested: list[Tensor]) -> Tensor:
        """Return each pixel's part (P,) of the sum in `correspondence`, at positions of these indices (P,)."""
        positions = self._positions(indices)
        cost = (self.patches - self.frame_patches[indices]).square_().sum(1).reshape(self.size)
        cost += _DISPLACEMENT_COST * (positions - self.own).float().square().sum(-1) / max(self.size) ** 2
        for neighbour in suggested:
            distance = (positions - neighbour).float().square().sum(-1).sqrt() / max(self.size)
            cost += (_NEIGHBOUR_COST * distance).clamp_max_(_NEIGHBOUR_LIMIT)
        return cost.flatten()

    def _indices(self, positions: Tensor) -> Tensor:
        """Return the indices (P,) of the allowed pixels nearest to these positions."""
        height, width = self.size
        indices = positions[..., 0].clamp(0, height - 1) * width + positions[..., 1].clamp(0, width - 1)
        return self.nearest[self.regions, indices.flatten()]

    def _positions(self, indices: Tensor) -> Tensor:
        width = self.size[1]
        return torch.stack([indices // width, indices % width], -1).reshape(*self.size, 2)


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]


def _search_sizes(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield (h, w) from the coarsest to the finest, each twice the one before."""
    long_side = max(size)
    finest = min(1.0, _FINEST / long_side)
    halvings = 0
    while long_side * finest / 2**halvings > _COARSEST:
        halvings += 1
    for power in range(halvings, -1, -1):
        height, width = (max(2, round(side * finest / 2**power)) for side in size)
        yield height, width


def _own_positions(size: tuple[int, int]) -> Tensor:
    """Return the position (h, w, 2) of each pixel."""
    return torch.stack(torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij"), -1)


def _stretched(positions: Tensor, size: tuple[int, int], frame_size: tuple[int, int]) -> Tensor:
    """Scale the positions (h', w', 2) of a smaller search to a content of size (H, W) and a frame of size (h, w)."""
    small = (positions.shape[0], positions.shape[1])
    displacements = (positions - _own_positions(small)).permute(2, 0, 1).float()
    # Nearest, not interpolated: where two objects meet, a position between theirs would lie in neither.
    displacements = F.interpolate(displacements[None], size, mode="nearest-exact")[0].permute(1, 2, 0)
    scale = displacements.new_tensor([frame_size[0] / size[0], frame_size[1] / size[1]])
    growth = displacements.new_tensor([frame_size[0] / small[0], frame_size[1] / small[1]])
    stretched = (_own_positions(size).float() + 0.5) * scale - 0.5 + displacements * growth
    return torch.minimum(stretched.clamp_min_(0), stretched.new_tensor([frame_size[0] - 1, frame_size[1] - 1]))


def _patches(image: Tensor) -> Tensor:
    """Return each pixel's patch (P, D); the squared distance of two is the mean over the patch's pixels."""
    luma = torch.tensordot(image.new_tensor(LUMA), image, 1)
    features = torch.cat([image, torch.stack(torch.gradient(luma))])
    padded = F.pad(features[None], (_RADIUS,) * 4, mode="replicate")
    side = 2 * _RADIUS + 1
    return F.unfold(padded, side)[0].T.contiguous() / side


def _region_map(masks: Tensor) -> Tensor:
    """Return the region (H, W) that each pixel belongs to most, however little; -1 where all masks are 0."""
    largest, region = masks.max(0)
    return torch.where(largest > 0, region, -1)


def _inside_regions(positions: Tensor, content: _Side, frame: _Side) -> Tensor:
    """Replace positions (H, W, 2) outside the pixel's region by the nearest pixel inside."""
    width = frame.region_map.shape[1]
    rounded = positions.round().long()
    indices = rounded[..., 0] * width + rounded[..., 1]
    nearest = frame.nearest_in_region()[content.region_map.flatten(), indices.flatten()].reshape(indices.shape)
    inside = torch.stack([nearest // width, nearest % width], -1).to(positions)
    return torch.where((nearest == indices)[..., None], positions, inside)
