"""Regions found by clustering samples of both photos together, without masks or a segmentation network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.colour.guided import guided_filter
from fastphoto.colour.spaces import srgb_to_lab
from fastphoto.encoders.encoder import Encoder, load_encoder
from fastphoto.photos.photo import MINIMUM_SIDE
from fastphoto.photos.resize import resize, shrunk_size
from fastphoto.regions.masks import masks_of_map
from fastphoto.regions.pair import PhotoPair
from fastphoto.regions.resizing import resize_masks

# By eye, except for the number of clusters. docs/comparison.md has the scores of these regions on 24 photo pairs; small
# changes of the constants move the median style score by 0.05.
_LONG_SIDE = 350  # pixels, of the clustered photos: the responses of a layer depend on their size
_CELL = 5.5  # pixels at `_LONG_SIDE`, the side of a sample
_CLUSTERS = 7  # to begin with; chosen by tools/score_methods.py on 24 photo pairs, see docs/comparison.md
_MINIMUM_SHARE = 0.03  # of either photo's samples; a smaller cluster is dissolved into the others
_BORDER_RADIUS = 4  # pixels at `_LONG_SIDE`, within which borders move to the photo's edges
_RESTARTS, _ITERATIONS = 4, 30  # of k-means
_SHARPNESS = 4.0  # of the softmax that turns a sample's squared distances into shares of the clusters

_LAYERS = ("relu3_1", "relu4_1", "relu5_1")
_WEIGHTS = {
    "relu3_1": 0.4,
    "relu4_1": 0.5,
    "relu5_1": 0.9,
    "colour": 0.35,
    "height": 0.8,
    "texture": 0.3,
    "wide texture": 0.3,
    "distance from the top": 0.9,
    "distance from the frame": 0.4,
}
"""Weight of each kind of feature: its root mean square distance from the photo's mean."""


@dataclass(frozen=True, eq=False)
class _Samples:
    """A photo as a grid of samples, one for each cell."""

    features: Tensor  # (N, K)
    visible: Tensor  # (N,) bool: not hidden by alpha
    grid: tuple[int, int]  # rows and columns, N in all


def cluster_regions(pair: PhotoPair) -> PhotoPair:
    """Return the pair with regions that both photos share, found by clustering.

    Samples of both photos are clustered together by k-means, the best of several starts. Their features are the square
    roots of deep activations of the embedded encoder, colour, height in the photo, fine contrast, and geodesic
    distances from the photo's top and frame. These distances separate skies and backgrounds from the objects in front.

    Each feature is taken relative to its mean and deviation in its own photo, because the same thing looks different in
    the two photos: the highest and brightest part of one is matched with the highest and brightest part of the other.
    A cluster with few samples in either photo is dissolved into the others, so each region exists in both photos. There
    are 1 to 7 regions. Their borders move to the photos' edges. The result is deterministic.

    Args:
        pair: photos to cluster; their own regions only show which pixels are visible.

    Returns:
        The pair with regions "region 1", "region 2", ...; each visible pixel belongs to one of them.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> from fastphoto.regions.pair import prepare_pair
        >>> photo = torch.zeros(3, 32, 32)
        >>> photo[2, :16] = 1
        >>> pair = prepare_pair(read_photo(photo), read_photo(photo), None, None, size=32)
        >>> torch.equal(cluster_regions(pair).content_masks.sum(0), torch.ones(32, 32))
        True
    """
    encoder = load_encoder("embedded")
    photos = pair.content, pair.style
    covers = pair.content_masks.amax(0), pair.style_masks.amax(0)  # how much of each pixel is visible
    samples = [_sample(pixels, cover, encoder) for pixels, cover in zip(photos, covers, strict=True)]
    centres = _shared_centres(*(each.features[each.visible] for each in samples))
    while True:
        masks = [
            _cluster_masks(pixels, cover, each, centres)
            for pixels, cover, each in zip(photos, covers, samples, strict=True)
        ]
        areas = torch.stack([each.sum((1, 2)) for each in masks]).amin(0)
        if len(centres) == 1 or areas.min() >= 1:
            break
        centres = centres[torch.arange(len(centres)) != areas.argmin()]
    names = tuple(f"region {number + 1}" for number in range(len(centres)))
    return replace(pair, names=names, content_masks=masks[0], style_masks=masks[1])


def _sample(pixels: Tensor, cover: Tensor, encoder: Encoder) -> _Samples:
    """Return the samples of a photo (3, H, W); `cover` (H, W) is how much of each pixel is visible."""
    small = resize(pixels, shrunk_size((pixels.shape[1], pixels.shape[2]), _LONG_SIDE, MINIMUM_SIDE))
    grid = max(3, round(small.shape[1] / _CELL)), max(3, round(small.shape[2] / _CELL))
    visible = (resize_masks(cover[None], grid)[0] >= 0.5).flatten()
    if not visible.any():  # nearly all of the photo is hidden: use all samples
        visible = torch.ones_like(visible)
    columns = []
    for name, planes in _features(small, grid, encoder).items():
        values = F.interpolate(planes[None], grid, mode="bilinear", antialias=True)[0].flatten(1)
        values = values - values[:, visible].mean(1, keepdim=True)
        deviation = values[:, visible].square().sum(0).mean().sqrt()
        columns.append(values * (_WEIGHTS[name] / deviation.clamp_min(1e-6)))
    return _Samples(torch.cat(columns).T.contiguous(), visible, grid)


def _features(small: Tensor, grid: tuple[int, int], encoder: Encoder) -> dict[str, Tensor]:
    """Return the planes (C, h, w) of each kind of feature, of any size."""
    with torch.no_grad():
        activations = encoder(small, _LAYERS)
    lightness = small.mean(0, keepdim=True)
    red, green, blue = small
    blurred = F.avg_pool2d(F.pad(lightness[None], (2, 2, 2, 2), mode="replicate"), 5, 1)[0]
    texture = (F.adaptive_avg_pool2d((lightness - blurred).square()[None], grid)[0] + 1e-5).log()
    features = {name: planes.float().clamp_min(0).sqrt() for name, planes in activations.items()}
    features["colour"] = torch.stack([lightness[0], (red - green) / 2, (red + green) / 4 - blue / 2])
    features["texture"] = texture
    features["wide texture"] = F.avg_pool2d(F.pad(texture[None], (4, 4, 4, 4), mode="replicate"), 9, 1)[0]
    features["height"] = torch.linspace(0, 1, grid[0])[None, :, None].expand(1, *grid)
    return features | _geodesic_distances(F.interpolate(small[None], grid, mode="bilinear", antialias=True)[0])


def _geodesic_distances(cells: Tensor) -> dict[str, Tensor]:
    """Return the square roots of the geodesic distances of each cell from the photo's top and from its frame.

    A step between neighbours costs their CIELAB distance, divided by the photo's mean standard deviation. A sky is
    therefore close to the top, even if its colour changes gradually down to the skyline. `cells` is (3, h, w), sRGB in
    [0, 1]; each distance is (1, h, w).
    """
    # Imported here, because they load slowly and few calls need them.
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    height, width = cells.shape[1:]
    colours = srgb_to_lab(cells.clamp(0, 1).double().numpy())
    colours /= max(1e-6, colours.reshape(3, -1).std(1).mean())
    number = np.arange(height * width).reshape(height, width)
    steps = [
        np.sqrt(np.square(np.diff(colours, axis=axis)).sum(0)).ravel()
        + 1e-3  # a sparse graph has no edges of cost zero
        for axis in (2, 1)
    ]
    starts = [number[:, :-1].ravel(), number[:-1].ravel()]
    ends = [number[:, 1:].ravel(), number[1:].ravel()]
    frame = np.concatenate([number[0], number[-1], number[1:-1, 0], number[1:-1, -1]])
    distances = {}
    for name, sources in (("distance from the top", number[0]), ("distance from the frame", frame)):
        outside = np.full(len(sources), number.size)  # one more node, connected to all sources
        costs = np.concatenate([*steps, np.full(len(sources), 1e-3)])
        graph = coo_matrix((costs, (np.concatenate([*starts, outside]), np.concatenate([*ends, sources]))))
        graph.resize(number.size + 1, number.size + 1)
        distance = dijkstra(graph.tocsr(), directed=False, indices=number.size)[:-1]
        distances[name] = torch.from_numpy(distance.reshape(1, height, width)).float().sqrt()
    return distances


def _shared_centres(content: Tensor, style: Tensor) -> Tensor:
    """Return the centres (R, K) of the clusters that hold enough of the samples (N, K) of either photo."""
    centres = _kmeans(torch.cat([content, style]), _CLUSTERS)
    while len(centres) > 1:
        shares = torch.minimum(*(_nearest(features, centres).mean(0) for features in (content, style)))
        if shares.min() >= _MINIMUM_SHARE:
            break
        centres = centres[torch.arange(len(centres)) != shares.argmin()]
    return centres


def _kmeans(features: Tensor, count: int) -> Tensor:
    """Return the centres (count, K) of the best of several runs of Lloyd's algorithm, from k-means++ starts."""
    best, smallest_error = features[:1], float("inf")
    for seed in range(_RESTARTS):
        random = torch.Generator().manual_seed(seed)
        centres = features[torch.randint(len(features), (1,), generator=random)]
        while len(centres) < count:
            distance = torch.cdist(features, centres).amin(1).square() + 1e-12
            centres = torch.cat([centres, features[torch.multinomial(distance, 1, generator=random)]])
        for _ in range(_ITERATIONS):
            nearest = _nearest(features, centres)
            centres = nearest.T @ features / nearest.sum(0)[:, None].clamp_min(1)
        error = float(torch.cdist(features, centres).amin(1).square().sum())
        if error < smallest_error:
            best, smallest_error = centres, error
    return best


def _nearest(features: Tensor, centres: Tensor) -> Tensor:
    """Return (N, R), 1 at the nearest centre of each sample and 0 elsewhere."""
    return F.one_hot(torch.cdist(features, centres).argmin(1), len(centres)).to(features)


def _cluster_masks(pixels: Tensor, cover: Tensor, samples: _Samples, centres: Tensor) -> Tensor:
    """Return the masks (R, h, w) of the visible part of each cluster."""
    distances = torch.cdist(samples.features, centres).square()
    shares = (-_SHARPNESS * distances).softmax(1).T.unflatten(1, samples.grid)
    size = pixels.shape[1], pixels.shape[2]
    radius = max(1, round(_BORDER_RADIUS * max(size) / _LONG_SIDE))
    refined = guided_filter(F.interpolate(shares[None], size, mode="bilinear")[0], pixels, radius)
    return masks_of_map(refined.argmax(0), len(centres)) * cover
