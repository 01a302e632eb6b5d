"""The nine colours of painted masks, and the snapping of blended or compressed colours to them."""

from __future__ import annotations

from collections.abc import Sequence

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
"""Name -> (red, green, blue) of the nine colours of Luan et al. (2017), in the order in which regions are listed."""

CSS_COLOURS = {"green": (0, 128, 0), "lightblue": (173, 216, 230), "purple": (128, 0, 128)}
"""Other colours of the same names: those of CSS and of many paint programs."""

MINIMUM_SHARE = 5e-4  # of the photo's pixels (13x13 of 700x466): a smaller area has no style of its own; by eye
TOLERANCE = 25  # of 255, largest channel: the paper's own tolerance of 0.1
_SNAP_DISTANCE = 51  # of 255: lossy compression moves a colour by less; palette colours are 127 or more apart
_FLAT_RANGE = 31  # of 255, within 3x3; a blend of two colours is steeper; by eye
_PAINTED_RANGE = 8  # of 255, within 3x3 of an area that compression has not touched; by eye
_REACH = 3  # pixels around a colour's solid areas in which `_SNAP_DISTANCE` applies; by eye
_BLOCK = 8  # pixels: side of a block in lossy formats; further from all areas, a colour is no artefact
_MAXIMUM_OFF_SHARE = 0.05  # of the pixels; a picture with more off the palette is refused; by eye
_WARNING_SHARE = 0.005  # of the pixels; more off the palette cause a warning; by eye


def minimum_area(pixels: int) -> float:
    """Return how many pixels a colour of a picture must fill to count."""
    return max(4, MINIMUM_SHARE * pixels)


def extreme_3x3(values: np.ndarray, pick: np.ufunc) -> np.ndarray:
    """Return `pick` (np.minimum or np.maximum) over 3x3 pixels of (H, W), edges replicated."""
    rows = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    rows = pick(pick(rows[:-2], rows[1:-1]), rows[2:])
    columns = np.pad(rows, ((0, 0), (1, 1)), mode="edge")
    result: np.ndarray = pick(pick(columns[:, :-2], columns[:, 1:-1]), columns[:, 2:])
    return result


def snap_to_palette(rgb: np.ndarray, name: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Give each pixel the palette colour of its region in a picture with blended edges and compression artefacts.

    A colour is in use if it fills 3x3 areas; one of `CSS_COLOURS`, if it fills painted ones. A pixel near a used colour
    and near one of its areas takes it; any other pixel (a blend on an edge, an artefact) takes the colour of the
    nearest area.

    Args:
        rgb: picture, (H, W, 3) uint8.
        name: name of the picture in messages.

    Returns:
        The names of the palette, and the number of each pixel's colour, (H, W) int16.

    Raises:
        InputError: more than 5 % of the pixels are off the palette, no colour is in use, or two of one name.
    """
    colours = _colours_in_use(rgb, name)
    numbers, names = np.array([number for number, _ in colours], np.int16), tuple(PALETTE)
    nearest, distance = _nearest_colour(rgb, [colour for _, colour in colours])
    if int(distance.max()) <= 1:  # exact, up to the rounding of mid grey: thin lines count too
        return names, numbers[nearest]
    spread = _range_3x3(rgb)
    solid, used = _solid_areas(nearest, distance, spread, len(colours))
    accepted = _near_its_area(nearest, distance, solid, used)
    off = extreme_3x3((spread <= _PAINTED_RANGE) & (distance > TOLERANCE), np.maximum) & (distance > TOLERANCE)
    region_map = nearest.astype(np.int16)
    if not used.any():
        off |= ~accepted
    elif not accepted.all():
        region_map, far = _joined_to_nearest(nearest, solid, accepted)
        off |= far
    share = off.mean()
    if share > _MAXIMUM_OFF_SHARE or not used.any():
        known = ", ".join(f"{each} {PALETTE[each]}" for each in names)
        raise InputError(
            f"{name}: {share:.0%} of the pixels are far from the palette; most common: "
            f"{_common_colours(rgb[off], nearest.size)}; paint in {known}, or save class numbers as a grey PNG"
        )
    if share > _WARNING_SHARE:
        warn(f"{name}: {share:.1%} of the pixels are far from the palette; they join the nearest region")
    return names, numbers[region_map]


def is_exact(rgb: np.ndarray) -> bool:
    """Return whether all pixels (H, W, 3) uint8 have colours of the palette or of `CSS_COLOURS`, up to rounding."""
    _, distance = _nearest_colour(rgb, [*PALETTE.values(), *CSS_COLOURS.values()])
    return int(distance.max()) <= 1


def names_distinct_colours(colours: np.ndarray) -> bool:
    """Return whether colours (N, 3) are all near the palette or `CSS_COLOURS`, each with a name of its own."""
    if not len(colours):
        return True
    names = [*PALETTE, *CSS_COLOURS]
    nearest, distance = _nearest_colour(colours[None].astype(np.uint8), [*PALETTE.values(), *CSS_COLOURS.values()])
    return int(distance.max()) <= TOLERANCE and len({names[number] for number in nearest[0]}) == len(colours)


def _colours_in_use(rgb: np.ndarray, name: str) -> list[tuple[int, tuple[int, int, int]]]:
    """Return the nine colours with their numbers, and those of `CSS_COLOURS` that fill painted areas."""
    colours = list(enumerate(PALETTE.values()))
    painted: np.ndarray | None = None
    for alias, colour in CSS_COLOURS.items():
        if _nearest_colour(rgb[::3, ::3], [colour])[1].min(initial=255) > TOLERANCE:  # no area of 3x3 pixels
            continue
        near = _nearest_colour(rgb, [colour])[1] <= TOLERANCE
        painted = _range_3x3(rgb) <= _PAINTED_RANGE if painted is None else painted
        if (near & painted).sum() < minimum_area(near.size):
            continue
        plain = _nearest_colour(rgb, [PALETTE[alias]])[1] <= TOLERANCE
        if (plain & painted).sum() >= minimum_area(near.size):
            raise InputError(
                f"{name}: both {PALETTE[alias]} and {colour} are {alias}; paint one of them in another colour, or save "
                "class numbers as a grey PNG"
            )
        colours.append((list(PALETTE).index(alias), colour))
    return colours


def _nearest_colour(rgb: np.ndarray, colours: Sequence[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each pixel's nearest colour, and the largest channel difference to it (uint8)."""
    nearest = np.zeros(rgb.shape[:2], np.uint8)
    distance = np.full(rgb.shape[:2], 255, np.uint8)
    for number, colour in enumerate(colours):
        gap = np.zeros(rgb.shape[:2], np.uint8)
        for channel, value in enumerate(colour):
            values = rgb[..., channel]
            np.maximum(gap, np.maximum(values, value) - np.minimum(values, value), out=gap)
        nearest[gap < distance] = number
        np.minimum(distance, gap, out=distance)
    return nearest, distance


def _range_3x3(rgb: np.ndarray) -> np.ndarray:
    """Return the largest range of any channel within 3x3 pixels, (H, W) uint8."""
    spread = np.zeros(rgb.shape[:2], np.uint8)
    for channel in range(3):
        values = rgb[..., channel]
        np.maximum(spread, extreme_3x3(values, np.maximum) - extreme_3x3(values, np.minimum), out=spread)
    return spread


def _solid_areas(
    nearest: np.ndarray, distance: np.ndarray, spread: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return where 3x3 pixels show one used colour, (H, W) bool, and which of the colours are used, (count,) bool."""
    solid = (spread <= _FLAT_RANGE) & (extreme_3x3(distance, np.maximum) <= _SNAP_DISTANCE)
    solid &= extreme_3x3(nearest, np.minimum) == extreme_3x3(nearest, np.maximum)
    used = np.bincount(nearest[solid], minlength=count) >= minimum_area(nearest.size)
    return solid & used[nearest], used


def _near_its_area(nearest: np.ndarray, distance: np.ndarray, solid: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return which pixels keep their nearest colour: those close to it, and less close ones beside an area of it."""
    # Grey is also the blend of black and white, and CSS colours are blends too: they must lie beside an area of theirs.
    is_blend = (nearest == list(PALETTE).index("grey")) | (nearest >= len(PALETTE))
    accepted = solid | ((distance <= TOLERANCE) & used[nearest] & ~is_blend)
    for number in np.flatnonzero(used):
        around = solid & (nearest == number)
        for _ in range(_REACH):
            around = extreme_3x3(around, np.maximum)
        accepted |= around & (nearest == number) & (distance <= _SNAP_DISTANCE)
    return accepted


def _joined_to_nearest(nearest: np.ndarray, solid: np.ndarray, accepted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join pixels that are not accepted to the nearest area; return the region map, and where these are far from it."""
    from scipy.spatial import cKDTree  # here, because it loads slowly and few calls need it

    # The nearest solid pixel always lies on the rim of an area.
    rim = np.argwhere(solid & ~extreme_3x3(solid, np.minimum))
    others = np.argwhere(~accepted)
    # The shift is smaller than any difference of distances: it only decides ties, in favour of the upper left.
    gap, number = cKDTree(rim).query(others - (1e-4, 2e-4))
    region_map = nearest.astype(np.int16)
    region_map[tuple(others.T)] = region_map[tuple(rim[number].T)]
    far = np.zeros(region_map.shape, bool)
    far[tuple(others[gap > _BLOCK + 1e-2].T)] = True
    return region_map, far


def _common_colours(colours: np.ndarray, pixels: int) -> str:
    """List the five most common of these colours (N, 3), with their shares of a picture's pixels."""
    bins = (colours >> 5).astype(np.int64) @ np.array([64, 8, 1])
    counts = np.bincount(bins, minlength=512)
    parts = []
    for number in np.argsort(-counts, kind="stable")[:5]:
        if counts[number]:
            red, green, blue = colours[bins == number].mean(0).round().astype(int)
            parts.append(f"({red}, {green}, {blue}) {counts[number] / pixels:.1%}")
    return ", ".join(parts)
