"""Regions by hand: a few strokes for each, grown to the whole photo by closed-form matting."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.colour.guided import guided_filter
from fastphoto.errors import InputError
from fastphoto.ops.laplacian import MattingLaplacian
from fastphoto.ops.linear_solver import conjugate_gradients
from fastphoto.photos.resize import resize
from fastphoto.regions.masks import MAXIMUM_REGIONS, RegionMasks
from fastphoto.regions.resizing import resize_masks

_SIZES = (125, 250)  # pixels of the long side: each solution is the start of the next
_EPSILON = 1e-4  # of the matting Laplacian: smaller ones stop at textures, larger ones cross faint edges
_STROKE_WEIGHT = 100.0
_LIKENESS_WEIGHT = 3e-3  # against that of strokes: it decides where no stroke is near
_TOLERANCE = 1e-4  # of conjugate gradients
_SAMPLES = 200  # of the pixels of a region's strokes, that others are likened to
_KERNEL_WIDTH, _RIDGE = 1.2, 0.1  # colour and position together deviate by the root of two
_BORDER_RADIUS = 2  # pixels at the last of `_SIZES`, within which borders are moved to the photo's edges


def grow_scribbles(photo: Tensor, strokes: Tensor | RegionMasks) -> RegionMasks:
    """The region of every pixel, from strokes that mark a few pixels of each.

    photo: (3, H, W), sRGB in [0, 1], sides of at least 16 pixels. strokes: masks (R, H, W) in [0, 1], or RegionMasks as
    `fastphoto.labels.read_masks` makes of a transparent picture painted in the palette's colours; where masks overlap
    the largest value counts, and below 0.5 a pixel is unmarked. Returns RegionMasks of the same names ("0" to "R-1" for
    masks) and order, (R, H, W) float32; every pixel belongs to exactly one, a marked one to its own.

    Solves (L + a D + b) x = a D s + b u (Levin et al. 2008) for all regions at once, L the matting Laplacian, D the
    marked pixels and s their regions; u likens every pixel by colour and position to those of the strokes (kernel ridge
    regression), so that a part that no stroke reaches joins what looks like it. Solved on a small photo, coarse to
    fine; borders are then moved to the edges of the photo. Deterministic.

    Raises InputError for fewer than two regions, a region without a stroke, other sizes, and values that cannot be.
    """
    if not isinstance(photo, Tensor) or not isinstance(strokes, (Tensor, RegionMasks)):
        got = f"{type(photo).__name__} and {type(strokes).__name__}"
        raise InputError(
            f"grow_scribbles: got {got}; give pixels of read_photo, and masks or RegionMasks of read_masks"
        )
    names, masks = _checked(photo, strokes)
    photo = photo.detach().to("cpu", torch.float32)
    height, width = photo.shape[1:]
    shares = None
    for long_side in _SIZES:
        scale = min(1.0, long_side / max(height, width))
        size = max(3, round(height * scale)), max(3, round(width * scale))
        pixels, marks = resize(photo, size), _shrunk(names, masks, size)
        shares = marks if shares is None else F.interpolate(shares[None], size, mode="bilinear")[0]
        shares = _solved(pixels, marks, _likeness(pixels, marks), shares)
        if scale == 1:
            break
    if shares.shape[1:] != photo.shape[1:]:
        radius = round(_BORDER_RADIUS * max(height, width) / _SIZES[-1])
        shares = guided_filter(F.interpolate(shares[None], photo.shape[1:], mode="bilinear")[0], photo, radius)
    region = torch.where(masks.amax(0) > 0, masks.argmax(0), shares.argmax(0))
    return RegionMasks(names, _one_hot(region, len(masks)))


def _checked(photo: Tensor, strokes: Tensor | RegionMasks) -> tuple[tuple[str, ...], Tensor]:
    """The regions' names, and masks (R, H, W) float32, 1 where a pixel is marked and of one region at most."""
    if photo.ndim != 3 or photo.shape[0] != 3 or min(photo.shape[1:]) < 16:
        raise InputError(f"photo: shape is {tuple(photo.shape)}, wanted (3, H, W) with sides of at least 16 pixels")
    masks = strokes.masks if isinstance(strokes, RegionMasks) else strokes
    if masks.ndim != 3 or masks.shape[1:] != photo.shape[1:]:
        raise InputError(
            f"strokes: shape is {tuple(masks.shape)}, wanted (regions, {photo.shape[1]}, {photo.shape[2]})"
        )
    for name, values in (("photo", photo), ("strokes", masks)):
        low, high = (float(value) for value in torch.aminmax(values.detach().float())) if len(values) else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # also refuses NaN
            raise InputError(f"{name}: values from {low:.4g} to {high:.4g}; wanted [0, 1]")
    if not 2 <= len(masks) <= MAXIMUM_REGIONS:
        raise InputError(f"strokes: {len(masks)} regions; paint at least 2 and at most {MAXIMUM_REGIONS}")
    names = strokes.names if isinstance(strokes, RegionMasks) else tuple(map(str, range(len(masks))))
    value, region = masks.detach().to("cpu", torch.float32).max(0)
    marks = _one_hot(torch.where(value >= 0.5, region, -1), len(masks))
    if without := [name for name, mark in zip(names, marks, strict=True) if not mark.any()]:
        raise InputError(f"strokes: no pixel is marked as {', '.join(without)}; paint a stroke in every region")
    return names, marks


def _shrunk(names: tuple[str, ...], masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Marks (R, h, w), a pixel's those of the region with the largest part of it: thin strokes must not vanish."""
    parts = resize_masks(masks, size)
    marks = _one_hot(torch.where(parts.amax(0) > 0, parts.argmax(0), -1), len(masks))
    if hidden := [name for name, mark in zip(names, marks, strict=True) if not mark.any()]:
        raise InputError(f"strokes: those of {', '.join(hidden)} vanish between others; paint them longer or apart")
    return marks


def _likeness(pixels: Tensor, marks: Tensor) -> Tensor:
    """(R, h, w), sums of one: how like the pixels of each region's strokes every pixel is in colour and position."""
    height, width = pixels.shape[1:]
    red, green, blue = pixels
    across, down = torch.meshgrid(torch.arange(width) * 1.0, torch.arange(height) * 1.0, indexing="xy")
    kinds = (
        torch.stack([(red + green + blue) / 3, (red - green) / 2, (red + green) / 4 - blue / 2]),
        torch.stack([across, down]),
    )
    features = []
    for values in kinds:  # of each the root mean square distance from the mean is one
        values = values.flatten(1) - values.mean((1, 2))[:, None]
        features.append(values / values.square().sum(0).mean().sqrt().clamp_min(1e-3))
    places = torch.cat(features).T.contiguous()
    chosen = []
    for mark in marks.flatten(1):
        marked = mark.nonzero()[:, 0]
        chosen.append(marked[torch.linspace(0, len(marked) - 1, min(_SAMPLES, len(marked))).long()])
    samples = places[torch.cat(chosen)]
    wanted = marks.flatten(1).T[torch.cat(chosen)]
    ridge = _RIDGE * torch.eye(len(samples), dtype=torch.float64)
    weights = torch.linalg.solve(_kernel(samples, samples).double() + ridge, wanted.double()).float()
    likeness = (_kernel(places, samples) @ weights).clamp(0, 1).T + 1e-6
    return (likeness / likeness.sum(0)).unflatten(1, (height, width))


def _kernel(places: Tensor, samples: Tensor) -> Tensor:
    return torch.cdist(places, samples).square_().mul_(-0.5 / _KERNEL_WIDTH**2).exp_()


def _solved(pixels: Tensor, marks: Tensor, likeness: Tensor, start: Tensor) -> Tensor:
    """(R, h, w): the regions' shares of every pixel."""
    laplacian = MattingLaplacian(pixels.permute(1, 2, 0).double(), _EPSILON)
    s, u, x = (values.permute(1, 2, 0).double().contiguous() for values in (marks, likeness, start))
    known = _STROKE_WEIGHT * s.sum(2, keepdim=True)
    weight = known + _LIKENESS_WEIGHT
    shares = conjugate_gradients(
        lambda x: laplacian.product(x) + weight * x,
        known * s + _LIKENESS_WEIGHT * u,
        x,
        (laplacian.diagonal()[..., None] + weight).expand_as(s),
        _TOLERANCE,
    )
    return shares.permute(2, 0, 1).float()


def _one_hot(region: Tensor, regions: int) -> Tensor:
    """(R, H, W) float32 of region numbers (H, W), of which -1 is none."""
    return torch.stack([region == r for r in range(regions)]).float()
