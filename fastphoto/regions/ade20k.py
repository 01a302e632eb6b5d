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
    # It lights everything else outdoors, and nothing else has its gradients.
    "sky": "sky",
    # They mirror the sky; networks take one for the other.
    "water": "water, sea, river, lake, waterfall, fountain, swimming pool",
    # Leaves: dark among themselves, rough, and the first to change with the season.
    "trees": "tree, palm, plant, flower",
    # Low green that lies open to the light: brighter and smoother than trees, and green when they are red.
    "grass": "grass, field",
    # Bare or wooded relief, most of it far away and hazed.
    "mountains": "mountain, hill, rock",
    # Loose and dry, of the soil's colour.
    "ground": "earth, sand, land, path, dirt track",
    # Paved: grey, flat, wet or lit by lamps at night.
    "road": "road, sidewalk, runway",
    # Built, seen from outside, with windows that shine at night.
    "buildings": "building, house, skyscraper, tower, hovel, bridge, grandstand, booth, pier, tent, awning, canopy",
    # Thin bars with what lies behind between them.
    "fences": "fence, railing, bannister, pole",
    # The painted or panelled surfaces that enclose a room, and what is built into them.
    "walls": "wall, ceiling, door, column, fireplace, base",
    # Walked on, lit from above.
    "floor": "floor, rug, stage, stairs, stairway, step, escalator",
    # Daylight enters a room through them, and through what hangs before them.
    "windows": "windowpane, screen door, blind, curtain",
    # Wood and other hard surfaces at the height of hands.
    "furniture": "cabinet, table, shelf, desk, wardrobe, chest of drawers, counter, case, pool table, bookcase, "
    "coffee table, bench, countertop, kitchen island, bar, buffet, stool, chair, swivel chair",
    # Cloth: soft folds, no highlights.
    "textiles": "bed, sofa, armchair, seat, cushion, pillow, ottoman, cradle, blanket, towel, apparel",
    # Enamel, porcelain and steel: white or metal, with highlights.
    "appliances": "refrigerator, stove, oven, microwave, dishwasher, washer, hood, radiator, fan, sink, bathtub, "
    "toilet, shower",
    # They glow, or are black glass.
    "screens": "television receiver, monitor, screen, crt screen, computer, arcade machine",
    # Sources of light, by far the brightest at night.
    "lights": "lamp, light, chandelier, sconce, streetlight, traffic light",
    # Skin: the first that looks wrong in another's colours.
    "people": "person",
    # Fur and feathers.
    "animals": "animal",
    # Varnish, glass and chrome.
    "vehicles": "car, bus, truck, van, minibike, bicycle, airplane, boat, ship",
    # Flat, framed or printed; they show what is elsewhere.
    "pictures": "painting, mirror, poster, signboard, bulletin board, trade name, flag",
    # Loose things, each too small for a look of its own.
    "objects": "box, book, bottle, plaything, barrel, basket, bag, ball, food, tank, pot, sculpture, vase, tray, "
    "ashcan, plate, glass, clock, conveyer belt",
}

KINDS: dict[str, tuple[str, ...]] = {kind: tuple(merged.split(", ")) for kind, merged in _MERGED.items()}
"""Kind of region -> its categories; each category belongs to one kind."""

_KIND = {category: kind for kind, merged in KINDS.items() for category in merged}
_UNNAMED = re.compile(r"label_\d+")  # how transformers names a label without a name


def kinds_of_labels(labels: Mapping[int, str]) -> dict[str, list[int]]:
    """Sort the labels of a segmentation network by kind of region.

    150 labels are the categories in their order, unless most are named otherwise. Then each label counts by its name:
    the first of its synonyms, which commas or semicolons separate, that is a category. Labels without a category have
    no kind.

    Args:
        labels: number -> name, a model's `config.id2label`.

    Returns:
        Kind -> numbers of its labels, in the order of `KINDS`, without kinds that have none.

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
