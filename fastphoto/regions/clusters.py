"""Regions without masks and without a segmentation network: places of both photos, clustered together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.colour.guided import guided_filter
from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.photos.resize import resize
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.resizing import resize_masks

_SIZE = 350  # pixels of the long side that photos are looked at: what a layer sees depends on it
_CELL = 5.5  # pixels of that size, of the grid that is clustered
_CLUSTERS = 7  # to begin with
_LEAST_SHARE = 0.03  # of either photo, below which a cluster's places go to the others
_BORDER_RADIUS = 4  # pixels at `_SIZE`, within which borders are moved to the photo's edges
_RESTARTS, _ROUNDS = 4, 30  # of k-means
_SHARPNESS = 4.0  # of the shares that a place has in clusters at nearly equal distances

_LAYERS = ("relu3_1", "relu4_1", "relu5_1")
_WEIGHTS = {
    "relu3_1": 0.4,
    "relu4_1": 0.5,
    "relu5_1": 0.9,
    "colour": 0.35,
    "height": 0.8,
    "texture": 0.3,
    "wide texture": 0.3,
    "way from the top": 0.9,
    "way from the frame": 0.4,
}
"""How much every kind of feature counts: its root mean square distance from the photo's mean."""


def cluster_regions(pair: PhotoPair) -> PhotoPair:
    """A pair with regions that both photos share, found in them; its own regions only say what is to be seen.

    Places of both photos are clustered together (k-means, the best of several starts), by the square roots of deep
    activations of the embedded encoder, colour, height in the photo, fine contrast, and how much colours change on the
    way from the photo's top and from its frame, which tells skies and backgrounds from what stands before them. Each is
    taken relative to its mean and deviation in the own photo, for the same thing looks different in the two: what is
    highest and brightest here goes with what is highest and brightest there. A cluster with little of either photo is
    given up and its places go to the others, so that every region has its counterpart and their number, 1 to 7, is that
    of what the photos share. Borders are moved to the photos' edges. Deterministic.
    """
    encoder = load_encoder("embedded")
    seen = pair.content_masks.amax(0), pair.style_masks.amax(0)
    places = [_places(pixels, mask, encoder) for pixels, mask in zip((pair.content, pair.style), seen, strict=True)]
    centres = _shared_centres(*(features[visible] for features, visible, _ in places))
    while True:
        masks = [
            _masks(pixels, mask, features, grid, centres)
            for pixels, mask, (features, _, grid) in zip((pair.content, pair.style), seen, places, strict=True)
        ]
        least = torch.stack([m.sum((1, 2)) for m in masks]).amin(0)
        if len(centres) == 1 or least.min() >= 1:
            break
        centres = centres[torch.arange(len(centres)) != least.argmin()]
    names = tuple(f"region {number + 1}" for number in range(len(centres)))
    return replace(pair, names=names, content_masks=masks[0], style_masks=masks[1])


def _places(pixels: Tensor, mask: Tensor, encoder: Encoder) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Features (places, K) of a photo, which of the places (places,) are to be seen, and the grid's (h, w)."""
    height, width = pixels.shape[1:]
    scale = min(1.0, _SIZE / max(height, width))
    small = resize(pixels, (max(16, round(height * scale)), max(16, round(width * scale))))
    grid = max(3, round(small.shape[1] / _CELL)), max(3, round(small.shape[2] / _CELL))
    visible = (resize_masks(mask[None], grid)[0] >= 0.5).flatten()
    if not visible.any():  # hardly anything is to be seen, and it has to be somewhere
        visible = torch.ones_like(visible)
    lightness = small.mean(0, keepdim=True)
    r, g, b = small
    detail = lightness - F.avg_pool2d(F.pad(lightness[None], (2, 2, 2, 2), mode="replicate"), 5, 1)[0]
    with torch.no_grad():
        activations = encoder(small, _LAYERS)
    texture = (F.adaptive_avg_pool2d(detail.square()[None], grid)[0] + 1e-5).log()
    kinds = {name: planes.float().clamp_min(0).sqrt() for name, planes in activations.items()} | {
        "colour": torch.stack([lightness[0], (r - g) / 2, (r + g) / 4 - b / 2]),
        "texture": texture,
        "wide texture": F.avg_pool2d(F.pad(texture[None], (4, 4, 4, 4), mode="replicate"), 9, 1)[0],
        "height": torch.linspace(0, 1, grid[0])[None, :, None].expand(1, *grid),
    }
    kinds |= _ways(F.interpolate(small[None], grid, mode="bilinear", antialias=True)[0])
    columns = []
    for name, planes in kinds.items():
        values = F.interpolate(planes[None], grid, mode="bilinear", antialias=True)[0].flatten(1)
        values = values - values[:, visible].mean(1, keepdim=True)
        deviation = values[:, visible].square().sum(0).mean().sqrt()
        columns.append(values * (_WEIGHTS[name] / deviation.clamp_min(1e-6)))
    return torch.cat(columns).T.contiguous(), visible, grid


def _ways(cells: Tensor) -> dict[str, Tensor]:
    """(1, h, w) each: the square root of the least change of colour on any way from the top, and from the frame.

    cells: (3, h, w), sRGB in [0, 1]. A step to a neighbour costs the distance of the two in CIELAB over the photo's own
    mean deviation, so that a sky is near to the top however its colours change from there to the skyline.
    """
    # Here, for they take a while to load and few calls need them.
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    height, width = cells.shape[1:]
    colours = srgb_to_lab(cells.clamp(0, 1).double().numpy())
    colours /= max(1e-6, colours.reshape(3, -1).std(1).mean())
    number = np.arange(height * width).reshape(height, width)
    steps = [
        np.sqrt(np.square(np.diff(colours, axis=axis)).sum(0)).ravel() + 1e-3  # a sparse matrix has no edges of zero
        for axis in (2, 1)
    ]
    starts = [number[:, :-1].ravel(), number[:-1].ravel()]
    ends = [number[:, 1:].ravel(), number[1:].ravel()]
    rim = np.concatenate([number[0], number[-1], number[1:-1, 0], number[1:-1, -1]])
    found = {}
    for name, sources in (("way from the top", number[0]), ("way from the frame", rim)):
        outside = np.full(len(sources), number.size)
        costs = np.concatenate([*steps, np.full(len(sources), 1e-3)])
        graph = coo_matrix((costs, (np.concatenate([*starts, outside]), np.concatenate([*ends, sources]))))
        graph.resize(number.size + 1, number.size + 1)
        way = dijkstra(graph.tocsr(), directed=False, indices=number.size)[:-1]
        found[name] = torch.from_numpy(way.reshape(1, height, width)).float().sqrt()
    return found


def _shared_centres(content: Tensor, style: Tensor) -> Tensor:
    """Centres (R, K) of the clusters that hold enough of the places (N, K) of either photo."""
    centres = _kmeans(torch.cat([content, style]), _CLUSTERS)
    while len(centres) > 1:
        shares = [_nearest(features, centres).mean(0) for features in (content, style)]
        least = torch.minimum(*shares)
        if least.min() >= _LEAST_SHARE:
            break
        centres = centres[torch.arange(len(centres)) != least.argmin()]
    return centres


def _kmeans(places: Tensor, count: int) -> Tensor:
    """Centres (count, K) of the best of several runs of Lloyd's iteration, from k-means++ starts."""
    best, least = places[:1], float("inf")
    for seed in range(_RESTARTS):
        random = torch.Generator().manual_seed(seed)
        centres = places[torch.randint(len(places), (1,), generator=random)]
        while len(centres) < count:
            distance = torch.cdist(places, centres).amin(1).square() + 1e-12
            centres = torch.cat([centres, places[torch.multinomial(distance, 1, generator=random)]])
        for _ in range(_ROUNDS):
            nearest = _nearest(places, centres)
            centres = nearest.T @ places / nearest.sum(0)[:, None].clamp_min(1)
        error = float(torch.cdist(places, centres).amin(1).square().sum())
        if error < least:
            best, least = centres, error
    return best


def _nearest(places: Tensor, centres: Tensor) -> Tensor:
    """(N, R), 1 at every place's nearest centre."""
    return F.one_hot(torch.cdist(places, centres).argmin(1), len(centres)).to(places)


def _masks(pixels: Tensor, mask: Tensor, features: Tensor, grid: tuple[int, int], centres: Tensor) -> Tensor:
    """(R, h, w): the region of every pixel, times what is to be seen of it."""
    shares = (-_SHARPNESS * torch.cdist(features, centres).square()).softmax(1).T.unflatten(1, grid)
    size = pixels.shape[1], pixels.shape[2]
    radius = max(1, round(_BORDER_RADIUS * max(size) / _SIZE))
    followed = guided_filter(F.interpolate(shares[None], size, mode="bilinear")[0], pixels, radius)
    return F.one_hot(followed.argmax(0), len(centres)).permute(2, 0, 1).to(mask) * mask
