"""Kinds of region: the 150 scene categories of ADE20K, merged where they share a look in photographs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fastphoto.errors import InputError

_NAMES = """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door,
    table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair,
    seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers,
    counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table,
    pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench,
    countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel,
    light, truck, tower, chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel,
    pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt,
    canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball,
    food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood,
    sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator,
    glass, clock, flag
"""
CATEGORIES = tuple(name.strip() for name in _NAMES.split(","))
"""The categories of ADE20K's scene parsing benchmark (SceneParsing150), in the order in which networks number them."""

_MERGED = {
    # The source of light outdoors, with smooth gradients that nothing else has.
    "sky": "sky",
    # Mirrors the sky; networks confuse these categories.
    "water": "water, sea, river, lake, waterfall, fountain, swimming pool",
    # Leaves: rough, with dark gaps, and the first to change with the season.
    "trees": "tree, palm, plant, flower",
    # Low plants in open light: brighter and smoother than trees, and still green when trees are red.
    "grass": "grass, field",
    # Bare or wooded slopes, mostly distant and hazy.
    "mountains": "mountain, hill, rock",
    # Loose and dry, in the colours of soil.
    "ground": "earth, sand, land, path, dirt track",
    # Paved and flat: grey, or shining when wet or lit by lamps.
    "road": "road, sidewalk, runway",
    # Built structures from outside; their windows shine at night.
    "buildings": "building, house, skyscraper, tower, hovel, bridge, grandstand, booth, pier, tent, awning, canopy",
    # Thin bars, with the background visible between them.
    "fences": "fence, railing, bannister, pole",
    # The painted or panelled surfaces that enclose a room, with their built-in parts.
    "walls": "wall, ceiling, door, column, fireplace, base",
    # Surfaces to walk on, lit from above.
    "floor": "floor, rug, stage, stairs, stairway, step, escalator",
    # Daylight enters a room through them, with their blinds and curtains.
    "windows": "windowpane, screen door, blind, curtain",
    # Wood and other hard surfaces below eye level.
    "furniture": "cabinet, table, shelf, desk, wardrobe, chest of drawers, counter, case, pool table, bookcase, "
    "coffee table, bench, countertop, kitchen island, bar, buffet, stool, chair, swivel chair",
    # Cloth: soft folds, no highlights.
    "textiles": "bed, sofa, armchair, seat, cushion, pillow, ottoman, cradle, blanket, towel, apparel",
    # Enamel, porcelain and steel: white or metal, with highlights.
    "appliances": "refrigerator, stove, oven, microwave, dishwasher, washer, hood, radiator, fan, sink, bathtub, "
    "toilet, shower",
    # Glowing, or black glass.
    "screens": "television receiver, monitor, screen, crt screen, computer, arcade machine",
    # Sources of light, by far the brightest parts at night.
    "lights": "lamp, light, chandelier, sconce, streetlight, traffic light",
    # Skin: wrong colours are noticed here first.
    "people": "person",
    # Fur and feathers.
    "animals": "animal",
    # Varnish, glass and chrome.
    "vehicles": "car, bus, truck, van, minibike, bicycle, airplane, boat, ship",
    # Flat, framed or printed images of other scenes.
    "pictures": "painting, mirror, poster, signboard, bulletin board, trade name, flag",
    # Loose things, each too small for a region of its own.
    "objects": "box, book, bottle, plaything, barrel, basket, bag, ball, food, tank, pot, sculpture, vase, tray, "
    "ashcan, plate, glass, clock, conveyer belt",
}

KINDS: dict[str, tuple[str, ...]] = {kind: tuple(merged.split(", ")) for kind, merged in _MERGED.items()}
"""{kind of region: its categories}; each category belongs to one kind."""

_KIND = {category: kind for kind, merged in KINDS.items() for category in merged}
_UNNAMED = re.compile(r"label_\d+")  # how transformers names a label without a name


def kinds_of_labels(labels: Mapping[int, str]) -> dict[str, list[int]]:
    """Sort the labels of a segmentation network by kind of region.

    150 labels are taken as the categories in their order, if more than half have the category's name or no name.
    Otherwise each label's category is the first of its synonyms, separated by commas or semicolons, that names one.
    Labels without a category have no kind.

    Args:
        labels: names of the labels, {number: name}, a model's `config.id2label`.

    Returns:
        {kind: numbers of its labels}, in the order of `KINDS`, without kinds that have no label.

    Raises:
        InputError: labels that cover half of the categories or fewer.

    Example:
        >>> kinds_of_labels(dict(enumerate(CATEGORIES)))["sky"]
        [2]
    """
    words = {int(number): [word.strip() for word in re.split("[,;]", name.lower())] for number, name in labels.items()}
    kinds = {number: _KIND[category] for number, category in enumerate(CATEGORIES)}
    known = sum(n in words and (CATEGORIES[n] in words[n] or bool(_UNNAMED.fullmatch(words[n][0]))) for n in kinds)
    if sorted(words) != list(kinds) or known <= len(kinds) // 2:
        named = {number: next((word for word in synonyms if word in _KIND), "") for number, synonyms in words.items()}
        kinds = {number: _KIND[word] for number, word in named.items() if word}
        known = len(set(named.values()) - {""})
    if known <= len(CATEGORIES) // 2:
        raise InputError(
            f"labels: {known} of ADE20K's {len(CATEGORIES)} categories among {len(labels)} labels; "
            "give a model that is trained for semantic segmentation on ADE20K"
        )
    return {kind: numbers for kind in KINDS if (numbers := [n for n in sorted(kinds) if kinds[n] == kind])}
