"""Regions grown from a few strokes each to the whole photo, by closed-form matting."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastphoto.colour.guided import guided_filter
from fastphoto.errors import InputError
from fastphoto.ops.laplacian import MattingLaplacian
from fastphoto.ops.linear_solver import conjugate_gradients
from fastphoto.photos.photo import MINIMUM_SIDE
from fastphoto.photos.resize import resize, shrunk_size
from fastphoto.regions.masks import MAXIMUM_REGIONS, RegionMasks, marked_map, masks_of_map
from fastphoto.regions.resizing import resize_masks
from fastphoto.runtime.host_state import apart_from_host

# By eye. tools/score_scribbles.py scores the method on 22 photos, see docs/regions.md.
_LONG_SIDES = (125, 250)  # pixels: each solution is the start of the next
_MINIMUM_SOLVED_SIDE = 3  # pixels, one window of the matting Laplacian
_EPSILON = 1e-4  # of the matting Laplacian: smaller ones stop at textures, larger ones cross faint edges
_STROKE_WEIGHT = 100.0
_LIKENESS_WEIGHT = 3e-3  # small, so that likeness decides only where no stroke is near
_TOLERANCE = 1e-4  # of conjugate gradients
_SAMPLES = 200  # pixels of each region's strokes, with which all pixels are compared
_KERNEL_WIDTH, _RIDGE = 1.2, 0.1  # for features (colour and position) of standard deviation sqrt(2)
_BORDER_RADIUS = 2  # pixels at the last of `_LONG_SIDES`, within which borders move to the photo's edges


@apart_from_host
def grow_scribbles(photo: Tensor, strokes: Tensor | RegionMasks) -> RegionMasks:
    """Find the region of each pixel, from strokes that mark a few pixels of each region.

    Solves (L + a D + b) x = a D s + b u (Levin et al. 2008) for all regions at once. L is the matting Laplacian, D the
    diagonal matrix of the marked pixels, and s their regions. u is the likeness of each pixel to the strokes of each
    region in colour and position, by kernel ridge regression, so a part without a stroke joins the region that it
    resembles. The equation is solved on a small photo, coarse to fine; then borders move to the edges of the photo. The
    result is deterministic.

    Args:
        photo: photo, (3, H, W), sRGB in [0, 1], sides of at least 16 pixels.
        strokes: masks, (R, H, W), in [0, 1], or the `RegionMasks` that `fastphoto.regions.read_masks` reads from a
            transparent picture painted in the palette's colours. Where masks overlap, the largest value counts; a pixel
            below 0.5 is unmarked.

    Returns:
        Regions of the same names ("0" to "R-1" for masks) and order, masks (R, H, W) float32, 0 or 1. Each pixel
        belongs to exactly one, a marked pixel to its own.

    Raises:
        InputError: fewer than two regions, a region without a stroke, other sizes, and values outside [0, 1].

    Example:
        >>> photo = torch.zeros(3, 20, 30)
        >>> photo[:, 10:] = 0.8
        >>> strokes = torch.zeros(2, 20, 30)
        >>> strokes[0, 3, 5:25] = strokes[1, 17, 5:25] = 1
        >>> grow_scribbles(photo, strokes).masks.sum((1, 2))
        tensor([300., 300.])
    """
    if not isinstance(photo, Tensor) or not isinstance(strokes, (Tensor, RegionMasks)):
        got = f"{type(photo).__name__} and {type(strokes).__name__}"
        raise InputError(
            f"grow_scribbles: got {got}; give pixels of read_photo, and masks or RegionMasks of read_masks"
        )
    names, marks = _checked_marks(photo, strokes)
    photo = photo.detach().to("cpu", torch.float32)
    shares = _coarse_shares(photo, names, marks)
    size = photo.shape[1], photo.shape[2]
    if shares.shape[1:] != size:
        radius = round(_BORDER_RADIUS * max(size) / _LONG_SIDES[-1])
        shares = guided_filter(F.interpolate(shares[None], size, mode="bilinear")[0], photo, radius)
    region_map = torch.where(marks.amax(0) > 0, marks.argmax(0), shares.argmax(0))
    return RegionMasks(names, masks_of_map(region_map, len(marks)))


def _checked_marks(photo: Tensor, strokes: Tensor | RegionMasks) -> tuple[tuple[str, ...], Tensor]:
    """Return the regions' names, and the marks (R, H, W) float32, 0 or 1, at most one for each pixel."""
    if photo.ndim != 3 or photo.shape[0] != 3 or min(photo.shape[1:]) < MINIMUM_SIDE:
        raise InputError(
            f"photo: shape is {tuple(photo.shape)}, expected (3, H, W) with sides of at least {MINIMUM_SIDE} pixels"
        )
    masks = strokes.masks if isinstance(strokes, RegionMasks) else strokes
    if masks.ndim != 3 or masks.shape[1:] != photo.shape[1:]:
        raise InputError(
            f"strokes: shape is {tuple(masks.shape)}, expected (regions, {photo.shape[1]}, {photo.shape[2]})"
        )
    for name, values in (("photo", photo), ("strokes", masks)):
        low, high = (float(value) for value in torch.aminmax(values.detach().float())) if len(values) else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # also refuses NaN
            raise InputError(f"{name}: values from {low:.4g} to {high:.4g}; expected [0, 1]")
    if not 2 <= len(masks) <= MAXIMUM_REGIONS:
        raise InputError(f"strokes: {len(masks)} regions; paint at least 2 and at most {MAXIMUM_REGIONS}")
    names = strokes.names if isinstance(strokes, RegionMasks) else tuple(map(str, range(len(masks))))
    marks = masks_of_map(marked_map(masks.detach().to("cpu", torch.float32)), len(masks))
    if unmarked := _without_marks(names, marks):
        raise InputError(f"strokes: no pixel is marked as {unmarked}; paint a stroke in every region")
    return names, marks


def _without_marks(names: tuple[str, ...], marks: Tensor) -> str:
    return ", ".join(name for name, mark in zip(names, marks, strict=True) if not mark.any())


def _coarse_shares(photo: Tensor, names: tuple[str, ...], marks: Tensor) -> Tensor:
    """Return the regions' shares of each pixel of the photo, shrunk to the last of `_LONG_SIDES`."""
    photo_size = photo.shape[1], photo.shape[2]
    shares = None
    for long_side in _LONG_SIDES:
        size = shrunk_size(photo_size, long_side, _MINIMUM_SOLVED_SIDE)
        pixels, small_marks = resize(photo, size), _shrunk_marks(names, marks, size)
        start = small_marks if shares is None else F.interpolate(shares[None], size, mode="bilinear")[0]
        shares = _solved_shares(pixels, small_marks, _likeness(pixels, small_marks), start)
        if size == photo_size:
            break
    assert shares is not None
    return shares


def _shrunk_marks(names: tuple[str, ...], marks: Tensor, size: tuple[int, int]) -> Tensor:
    """Shrink marks to (R, h, w); each pixel takes the mark that covers most of it, so thin strokes do not vanish."""
    parts = resize_masks(marks, size)
    small_marks = masks_of_map(torch.where(parts.amax(0) > 0, parts.argmax(0), -1), len(marks))
    if hidden := _without_marks(names, small_marks):
        raise InputError(f"strokes: the strokes of {hidden} vanish between others; paint them longer or apart")
    return small_marks


def _likeness(pixels: Tensor, marks: Tensor) -> Tensor:
    """Return the likeness of each pixel to each region's strokes in colour and position, (R, h, w), with sums of 1."""
    height, width = pixels.shape[1:]
    red, green, blue = pixels
    x, y = torch.meshgrid(torch.arange(width).float(), torch.arange(height).float(), indexing="xy")
    colour = torch.stack([(red + green + blue) / 3, (red - green) / 2, (red + green) / 4 - blue / 2])
    columns = []
    for values in (colour, torch.stack([x, y])):  # each scaled to standard deviation 1
        values = values.flatten(1) - values.mean((1, 2))[:, None]
        columns.append(values / values.square().sum(0).mean().sqrt().clamp_min(1e-3))
    features = torch.cat(columns).T.contiguous()
    chosen = []
    for mark in marks.flatten(1):
        marked = mark.nonzero()[:, 0]
        count = min(_SAMPLES, len(marked))
        chosen.append(marked[torch.linspace(0, len(marked) - 1, count, dtype=torch.float32).long()])
    samples = features[torch.cat(chosen)]
    targets = marks.flatten(1).T[torch.cat(chosen)]
    ridge = _RIDGE * torch.eye(len(samples), dtype=torch.float64)
    weights = torch.linalg.solve(_kernel(samples, samples).double() + ridge, targets.double()).float()
    likeness = (_kernel(features, samples) @ weights).clamp(0, 1).T + 1e-6
    return (likeness / likeness.sum(0)).unflatten(1, (height, width))


def _kernel(features: Tensor, samples: Tensor) -> Tensor:
    return torch.cdist(features, samples).square_().mul_(-0.5 / _KERNEL_WIDTH**2).exp_()


def _solved_shares(pixels: Tensor, marks: Tensor, likeness: Tensor, start: Tensor) -> Tensor:
    """Return the regions' shares of each pixel, (R, h, w), that solve the equation of `grow_scribbles`."""
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
