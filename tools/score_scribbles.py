"""Score regions grown from five strokes each against the given masks of photo pairs.

    python tools/score_scribbles.py --pairs DIR [--only 1,3,5] [--strokes 5] [-o DIR]

Pairs are folders N/{content,content_mask}.png, masks in the nine palette colours. The tool draws strokes in each region
of a content mask as a user would: lines 4 pixels wide and up to a fifth of the photo's long side, which bend with the
region and keep away from its border. Disconnected parts share the strokes in proportion to their area. Regions below
0.5 % of the photo get no strokes, and their pixels do not count; photos with one region are skipped. The tool prints
the intersection over union of each region, its mean for each photo, and the mean over photos. `-o` writes N.png: the
photo with the strokes, the given borders in white and the grown ones in red.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_masks
from fastphoto.regions.scribbles import grow_scribbles

# How a user would draw, by eye.
_MINIMUM_SHARE = 0.005  # share of the photo below which a region gets no stroke
_WIDTH = 4  # pixels
_LENGTH = 0.2  # fraction of the photo's long side
_MARGIN = 3  # pixels between a stroke and the border
_STEP = 3.0  # pixels from one point of a stroke to the next
_TURNS = np.radians([0, -12, 12])  # from one step to the next
_MAXIMUM_BEND = np.radians(60.5)  # from the first direction: else a stroke would circle in a wide region


def draw_strokes(mask: np.ndarray, count: int) -> np.ndarray:
    """Draw strokes inside a region, and return their pixels.

    Args:
        mask: (H, W) bool, the region.
        count: number of strokes.

    Returns:
        (H, W) bool.
    """
    parts, number = ndimage.label(mask)
    areas = ndimage.sum_labels(mask, parts, np.arange(1, number + 1))
    # Each stroke goes to the part that would then have the most area for each of its strokes.
    counts = np.zeros(number, int)
    for _ in range(count):
        counts[np.argmax(areas / (counts + 1))] += 1
    strokes = np.zeros(mask.shape, bool)
    for part in np.flatnonzero(counts):
        clearance = ndimage.distance_transform_edt(np.pad(parts == part + 1, 1))[1:-1, 1:-1]
        drawn = np.zeros(mask.shape, bool)
        for _ in range(counts[part]):
            free = clearance
            if drawn.any():
                free = np.minimum(clearance, ndimage.distance_transform_edt(~drawn) / 2)
            row, column = np.unravel_index(np.argmax(free), free.shape)
            drawn |= _stroke(clearance, (int(row), int(column)))
        strokes |= drawn
    return strokes


def _stroke(clearance: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """Return one stroke through `start`, along the middle of the region, in the direction that makes it longest."""
    steps = int(_LENGTH * max(clearance.shape) / _STEP / 2)
    paths = [
        [*reversed(_path(clearance, start, angle + np.pi, steps)), start, *_path(clearance, start, angle, steps)]
        for angle in np.radians(np.arange(0, 180, 15))
    ]
    points = np.array(max(paths, key=len), float)
    line = np.zeros(clearance.shape, bool)
    between = np.linspace(0, len(points) - 1, int(4 * _STEP * len(points)))
    rows, columns = (np.interp(between, np.arange(len(points)), points[:, axis]) for axis in (0, 1))
    line[rows.round().astype(int), columns.round().astype(int)] = True
    stroke: np.ndarray = (ndimage.distance_transform_edt(~line) <= _WIDTH / 2) & (clearance > 1)
    return stroke


def _path(clearance: np.ndarray, start: tuple[int, int], angle: float, steps: int) -> list[tuple[float, float]]:
    """Return points from `start` on; each step turns to where the border is furthest."""
    points: list[tuple[float, float]] = []
    position, first_angle = np.array(start, float), angle
    for _ in range(steps):
        candidates = []
        for heading in angle + _TURNS:
            ahead = position + _STEP * np.array([np.sin(heading), np.cos(heading)])
            row, column = ahead.round().astype(int)
            inside = 0 <= row < clearance.shape[0] and 0 <= column < clearance.shape[1]
            if inside and abs(heading - first_angle) <= _MAXIMUM_BEND:
                candidates.append((clearance[row, column], heading, ahead))
        best = max(candidates, key=lambda candidate: candidate[0], default=None)
        if best is None or best[0] < _WIDTH / 2 + _MARGIN:
            break
        angle, position = best[1], best[2]
        points.append((position[0], position[1]))
    return points


def draw_overlay(pixels: Tensor, strokes: Tensor, given: Tensor, grown: Tensor, names: tuple[str, ...]) -> Image.Image:
    """Draw a darkened photo with strokes in the regions' colours, given borders in white and grown ones in red."""
    picture = (pixels.permute(1, 2, 0).numpy() * 160).astype(np.uint8)
    for masks, colour in ((given, (255, 255, 255)), (grown, (255, 40, 40))):
        region_map = masks.argmax(0).numpy()
        border = np.zeros(region_map.shape, bool)
        border[:, 1:] |= region_map[:, 1:] != region_map[:, :-1]
        border[1:] |= region_map[1:] != region_map[:-1]
        picture[border] = colour
    for name, stroke in zip(names, strokes, strict=True):
        picture[stroke.numpy() > 0] = PALETTE[name]
    return Image.fromarray(picture)


def large_regions(mask: Path, photo: Photo) -> RegionMasks:
    """Read the regions of a photo that are large enough for strokes."""
    given = read_masks(mask, photo.size)
    numbers = [number for number, mask in enumerate(given.masks) if float(mask.mean()) >= _MINIMUM_SHARE]
    return RegionMasks(tuple(given.names[number] for number in numbers), given.masks[numbers])


def intersection_over_union(given: Tensor, grown: Tensor) -> list[float]:
    """Return the score of each region from masks (R, H, W), counting only pixels inside the given regions."""
    counted = given.sum(0) > 0
    intersections = (given * grown).sum((1, 2))
    scores: list[float] = (intersections / ((given + grown).clamp_max(1) * counted).sum((1, 2))).tolist()
    return scores


def pair_folders(pairs: Path, only: str) -> list[Path]:
    """List the folders of photo pairs, all or those whose numbers are given."""
    if only:
        return [pairs / number for number in only.split(",")]
    return sorted((mask.parent for mask in pairs.glob("*/content_mask.png")), key=lambda folder: int(folder.name))


def score_photo(folder: Path, strokes_per_region: int, out: Path | None) -> float | None:
    """Score the content photo of a pair and print a line; return the mean, or None for a photo with one region."""
    photo = read_photo(folder / "content.png")
    given = large_regions(folder / "content_mask.png", photo)
    if len(given.names) < 2:
        print(f"{folder.name:>4}  one region")
        return None
    drawn = [draw_strokes(mask.numpy() > 0, strokes_per_region) for mask in given.masks]
    strokes = torch.from_numpy(np.stack(drawn)).float()
    started = time.perf_counter()
    grown = grow_scribbles(photo.pixels, RegionMasks(given.names, strokes)).masks
    seconds = time.perf_counter() - started
    scores = intersection_over_union(given.masks, grown)
    mean = statistics.mean(scores)
    listed = ", ".join(f"{name} {score:.3f}" for name, score in zip(given.names, scores, strict=True))
    print(f"{folder.name:>4}  {mean:.3f}  {seconds:4.1f} s  {listed}", flush=True)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        draw_overlay(photo.pixels, strokes, given.masks, grown, given.names).save(out / f"{folder.name}.png")
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--only", default="", help="numbers of pairs, separated by commas")
    parser.add_argument("--strokes", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    scores = [score_photo(folder, args.strokes, args.out) for folder in pair_folders(args.pairs, args.only)]
    means = [score for score in scores if score is not None]
    print(f"mean of {len(means)} photos: {statistics.mean(means):.3f}")


if __name__ == "__main__":
    main()
