"""The nine colours that masks are painted in, and snapping smeared pictures to the ones in use."""

from __future__ import annotations

import numpy as np

from fastphoto.errors import InputError, warn

PALETTE: dict[str, tuple[int, int, int]] = {
    "blue": (0, 0, 255),
    "green": (0, 255, 0),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "yellow": (255, 255, 0),
    "grey": (128, 128, 128),
    "lightblue": (0, 255, 255),
    "purple": (255, 0, 255),
}

MINIMUM_SHARE = 5e-4  # of the photo's pixels (13x13 of 700x466): a smaller area has no style of its own to speak of
_SNAP = 51  # of 255, largest channel: lossy compression moves a colour by less, the palette lies 127 apart
CLOSE = 25  # of 255: the paper's own tolerance of 0.1
_FLAT = 31  # of 255: range within 3x3; a blend of two colours is steeper
_PAINTED = 8  # of 255: range within 3x3 of an area that compression has not touched
_REACH = 3  # pixels a colour is trusted beyond its solid areas
_SMEAR = 8  # pixels: lossy formats work in blocks of 8, further off a colour is no artefact
_OFF_PALETTE = 0.05  # share of the pixels


def enough(pixels: int) -> float:
    return max(4, MINIMUM_SHARE * pixels)


def extreme3(values: np.ndarray, pick: np.ufunc) -> np.ndarray:
    """Minimum or maximum over 3x3, edges replicated."""
    rows = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    rows = pick(pick(rows[:-2], rows[1:-1]), rows[2:])
    columns = np.pad(rows, ((0, 0), (1, 1)), mode="edge")
    return pick(pick(columns[:, :-2], columns[:, 1:-1]), columns[:, 2:])


def snap(rgb: np.ndarray, name: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Give every pixel (H, W, 3) uint8 a palette colour that the picture really uses.

    A colour is used where it fills 3x3 areas. A pixel near a used colour and near one of its areas takes it;
    every other pixel (a blend on an edge, a compression artefact) takes the colour of the nearest area.
    Returns the palette's names and the number of each pixel's colour, (H, W) int16.
    """
    names = tuple(PALETTE)
    nearest, distance = _nearest_colour(rgb)
    if int(distance.max()) <= 1:  # exact, give or take the rounding of mid grey: thin lines count too
        return names, nearest.astype(np.int16)
    spread = np.zeros(nearest.shape, np.uint8)
    for channel in range(3):
        values = rgb[..., channel]
        np.maximum(spread, extreme3(values, np.maximum) - extreme3(values, np.minimum), out=spread)
    flat = spread <= _FLAT
    solid = flat & (extreme3(distance, np.maximum) <= _SNAP)
    solid &= extreme3(nearest, np.minimum) == extreme3(nearest, np.maximum)
    used = np.bincount(nearest[solid], minlength=len(names)) >= enough(nearest.size)
    solid &= used[nearest]
    accepted = solid | ((distance <= CLOSE) & used[nearest] & (nearest != names.index("grey")))
    for k in np.flatnonzero(used):
        around = solid & (nearest == k)
        for _ in range(_REACH):
            around = extreme3(around, np.maximum)
        accepted |= around & (nearest == k) & (distance <= _SNAP)
    off = extreme3((spread <= _PAINTED) & (distance > CLOSE), np.maximum) & (distance > CLOSE)
    labels = nearest.astype(np.int16)
    if not used.any():
        off |= ~accepted
    elif not accepted.all():
        from scipy.spatial import cKDTree  # here, for it takes a third of a second to load and few calls need it

        # The nearest solid pixel always touches one that is not.
        rim = np.argwhere(solid & ~extreme3(solid, np.minimum))
        lost = np.argwhere(~accepted)
        # Moved by less than any difference of distances, so that of equally near ones the upper left is taken always.
        gap, number = cKDTree(rim).query(lost - (1e-4, 2e-4))
        labels[tuple(lost.T)] = labels[tuple(rim[number].T)]
        far = lost[gap > _SMEAR + 1e-2]
        off[tuple(far.T)] = True
    share = off.mean()
    if share > _OFF_PALETTE or not used.any():
        raise InputError(
            f"{name}: {share:.0%} of the pixels are far from the palette ({', '.join(names)}); most common: "
            f"{_common_colours(rgb[off], nearest.size)}"
        )
    if share > 0.005:
        warn(f"{name}: {share:.1%} of the pixels are far from the palette; they join the nearest region")
    return names, labels


def _nearest_colour(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per pixel the number of the nearest palette colour and the largest channel difference to it (uint8)."""
    nearest = np.zeros(rgb.shape[:2], np.uint8)
    distance = np.full(rgb.shape[:2], 255, np.uint8)
    for k, colour in enumerate(PALETTE.values()):
        gap = np.zeros(rgb.shape[:2], np.uint8)
        for channel, value in enumerate(colour):
            values = rgb[..., channel]
            np.maximum(gap, np.maximum(values, value) - np.minimum(values, value), out=gap)
        nearest[gap < distance] = k
        np.minimum(distance, gap, out=distance)
    return nearest, distance


def _common_colours(colours: np.ndarray, pixels: int) -> str:
    bins = (colours >> 5).astype(np.int64) @ np.array([64, 8, 1])
    counts = np.bincount(bins, minlength=512)
    parts = []
    for b in np.argsort(-counts, kind="stable")[:5]:
        if counts[b]:
            r, g, blue = colours[bins == b].mean(0).round().astype(int)
            parts.append(f"({r}, {g}, {blue}) {counts[b] / pixels:.1%}")
    return ", ".join(parts)
