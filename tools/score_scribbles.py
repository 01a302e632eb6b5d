"""Score regions grown from five strokes each against the given masks of photo pairs.

    python tools/score_scribbles.py --pairs DIR [--only 1,3,5] [--strokes 5] [-o DIR]

Pairs are folders N/{content,content_mask}.png, masks in the nine palette colours. In every region of a content mask
strokes are drawn as a user would: lines 4 pixels wide and up to a fifth of the photo's long side, which bend with the
region and keep away from its border; disconnected parts get a share in proportion to their area. A region below 0.5 %
of the photo gets none, and its pixels do not count; nor do photos with one region. Prints the intersection over union
of every region, the mean for each photo, and the mean of those. `-o` writes N.png: the photo with the strokes, the
given borders in white and the grown ones in red.
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

from fastphoto.photos.read import read_photo
from fastphoto.regions.masks import RegionMasks
from fastphoto.regions.palette import PALETTE
from fastphoto.regions.reading import read_masks
from fastphoto.regions.scribbles import grow_scribbles

_LEAST_SHARE = 0.005
_WIDTH = 4  # pixels
_LENGTH = 0.2  # of the long side
_MARGIN = 3  # pixels between a stroke and the border
_STEP = 3.0  # pixels from one point of a stroke to the next
_TURNS = np.radians([0, -12, 12])  # from one step to the next
_BEND = np.radians(60.5)  # at most, from the direction that it begins in: else it would circle in a wide place


def draw_strokes(mask: np.ndarray, count: int) -> np.ndarray:
    """(H, W) bool: the pixels of `count` strokes inside a region (H, W) bool."""
    parts, number = ndimage.label(mask)
    areas = ndimage.sum_labels(mask, parts, np.arange(1, number + 1))
    # Every stroke goes to the part with the most area for each stroke that it would then have.
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
            drawn |= _stroke(clearance, np.unravel_index(np.argmax(free), free.shape))
        strokes |= drawn
    return strokes


def _stroke(clearance: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """One stroke through `start`: both ways along the direction that goes furthest, keeping to the middle."""
    steps = int(_LENGTH * max(clearance.shape) / _STEP / 2)
    ways = [
        [*reversed(_walk(clearance, start, angle + np.pi, steps)), start, *_walk(clearance, start, angle, steps)]
        for angle in np.radians(np.arange(0, 180, 15))
    ]
    points = np.array(max(ways, key=len), float)
    line = np.zeros(clearance.shape, bool)
    between = np.linspace(0, len(points) - 1, int(4 * _STEP * len(points)))
    rows, columns = (np.interp(between, np.arange(len(points)), points[:, axis]) for axis in (0, 1))
    line[rows.round().astype(int), columns.round().astype(int)] = True
    return (ndimage.distance_transform_edt(~line) <= _WIDTH / 2) & (clearance > 1)


def _walk(clearance: np.ndarray, start: tuple[int, int], angle: float, steps: int) -> list[tuple[float, float]]:
    """Points from `start` on, each turned to where the border is furthest."""
    points: list[tuple[float, float]] = []
    here, first = np.array(start, float), angle
    for _ in range(steps):
        found = []
        for heading in angle + _TURNS:
            there = here + _STEP * np.array([np.sin(heading), np.cos(heading)])
            row, column = there.round().astype(int)
            inside = 0 <= row < clearance.shape[0] and 0 <= column < clearance.shape[1]
            if inside and abs(heading - first) <= _BEND:
                found.append((clearance[row, column], heading, there))
        best = max(found, key=lambda candidate: candidate[0], default=None)
        if best is None or best[0] < _WIDTH / 2 + _MARGIN:
            break
        angle, here = best[1], best[2]
        points.append((here[0], here[1]))
    return points


def overlay(pixels: Tensor, strokes: Tensor, given: Tensor, grown: Tensor, names: tuple[str, ...]) -> Image.Image:
    """The photo, darkened, with strokes in the regions' colours, given borders in white and grown ones in red."""
    picture = (pixels.permute(1, 2, 0).numpy() * 160).astype(np.uint8)
    for masks, colour in ((given, (255, 255, 255)), (grown, (255, 40, 40))):
        label = masks.argmax(0).numpy()
        border = np.zeros(label.shape, bool)
        border[:, 1:] |= label[:, 1:] != label[:, :-1]
        border[1:] |= label[1:] != label[:-1]
        picture[border] = colour
    for name, stroke in zip(names, strokes, strict=True):
        picture[stroke.numpy() > 0] = PALETTE[name]
    return Image.fromarray(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--only", default="", help="numbers of pairs, separated by commas")
    parser.add_argument("--strokes", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    folders = [options.pairs / number for number in options.only.split(",")] if options.only else None
    folders = folders or sorted((p.parent for p in options.pairs.glob("*/content_mask.png")), key=lambda p: int(p.name))
    means = []
    for folder in folders:
        photo = read_photo(folder / "content.png")
        given = read_masks(folder / "content_mask.png", photo.size)
        kept = [r for r, mask in enumerate(given.masks) if float(mask.mean()) >= _LEAST_SHARE]
        names, masks = tuple(given.names[r] for r in kept), given.masks[kept]
        if len(names) < 2:
            print(f"{folder.name:>4}  one region")
            continue
        strokes = torch.from_numpy(np.stack([draw_strokes(m.numpy() > 0, options.strokes) for m in masks])).float()
        started = time.perf_counter()
        grown = grow_scribbles(photo.pixels, RegionMasks(names, strokes)).masks
        seconds = time.perf_counter() - started
        counts = masks.sum(0) > 0
        both = (masks * grown).sum((1, 2))
        scores = (both / ((masks + grown).clamp_max(1) * counts).sum((1, 2))).tolist()
        means.append(statistics.mean(scores))
        regions = ", ".join(f"{name} {score:.3f}" for name, score in zip(names, scores, strict=True))
        print(f"{folder.name:>4}  {means[-1]:.3f}  {seconds:4.1f} s  {regions}", flush=True)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            overlay(photo.pixels, strokes, masks, grown, names).save(options.out / f"{folder.name}.png")
    print(f"mean of {len(means)} photos: {statistics.mean(means):.3f}")


if __name__ == "__main__":
    main()
