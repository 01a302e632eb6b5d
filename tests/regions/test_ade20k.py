"""The categories of ADE20K and the kinds of region that they are merged into; labels of networks matched to them."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from locations import ROOT

from fastphoto.errors import InputError
from fastphoto.regions.ade20k import CATEGORIES, KINDS, kinds_of_labels

# Places of the benchmark's list, which counts from 1, as its publishers give them, less one.
PLACES = {
    0: "wall", 1: "building", 2: "sky", 4: "tree", 8: "windowpane", 12: "person", 16: "mountain", 20: "car",
    21: "water", 26: "sea", 34: "rock", 36: "lamp", 44: "chest of drawers", 48: "skyscraper", 52: "path",
    56: "pool table", 58: "screen door", 60: "river", 68: "hill", 72: "palm", 79: "hovel", 84: "tower",
    87: "streetlight", 89: "television receiver", 94: "land", 97: "ottoman", 104: "fountain", 109: "swimming pool",
    113: "waterfall", 121: "step", 124: "microwave", 128: "lake", 130: "screen", 134: "sconce", 136: "traffic light",
    141: "crt screen", 143: "monitor", 145: "shower", 147: "glass", 149: "flag",
}  # fmt: skip

CITYSCAPES = (
    "road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky, person, "
    "rider, car, truck, bus, train, motorcycle, bicycle"
)


def test_categories_are_the_benchmarks_in_its_order():
    assert len(CATEGORIES) == len(set(CATEGORIES)) == 150
    assert {place: CATEGORIES[place] for place in PLACES} == PLACES


def test_the_documentation_has_the_kinds():
    page = (ROOT / "docs" / "regions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", page.partition("| kind |")[2].partition("\n\n")[0], re.MULTILINE)
    assert {kind: tuple(merged.split(", ")) for kind, merged in rows} == KINDS


def test_every_category_is_of_exactly_one_kind():
    assert Counter(category for merged in KINDS.values() for category in merged) == Counter(CATEGORIES)
    assert 15 <= len(KINDS) <= 25 and all(KINDS.values())


@pytest.mark.parametrize(
    "alike",
    [
        ("lake", "sea", "river", "water"),  # the paper's example
        ("tree", "palm", "plant"),
        ("mountain", "hill", "rock"),
        ("building", "house", "skyscraper", "tower"),
        ("road", "sidewalk"),
        ("earth", "sand", "path"),
        ("wall", "ceiling"),
        ("cabinet", "table", "desk"),
        ("lamp", "light", "streetlight", "chandelier"),
        ("car", "bus", "truck", "boat"),
    ],
)
def test_near_categories_are_one_kind(alike):
    assert sum(bool(set(alike) & set(merged)) for merged in KINDS.values()) == 1


def test_what_looks_different_is_apart():
    kind = {category: name for name, merged in KINDS.items() for category in merged}
    apart = ("sky", "water", "tree", "mountain", "road", "building", "wall", "person", "car", "lamp", "table", "bed")
    assert len({kind[category] for category in apart}) == len(apart)


def merged(labels: dict[int, str]) -> dict[str, set[str]]:
    return {kind: {labels[n] for n in numbers} for kind, numbers in kinds_of_labels(labels).items()}


def test_labels_are_matched_by_their_place():
    wanted = {kind: sorted(CATEGORIES.index(category) for category in merged) for kind, merged in KINDS.items()}
    spelled = dict(enumerate(CATEGORIES))
    assert kinds_of_labels(spelled) == wanted and list(kinds_of_labels(spelled)) == list(KINDS)
    spelled |= {8: "window ", 13: "earth, ground", 29: "meadow", 39: "pad", 7: "bed "}
    assert kinds_of_labels(spelled) == wanted
    assert kinds_of_labels({n: f"LABEL_{n}" for n in range(150)}) == wanted


def test_labels_in_another_order_or_number_are_matched_by_name():
    everything = {kind: set(categories) for kind, categories in KINDS.items()}
    assert merged({149 - n: category for n, category in enumerate(CATEGORIES)}) == everything
    with_background = dict(enumerate(("background", *CATEGORIES)))
    assert merged(with_background) == everything
    synonyms = {n: f"{c.title()}, thing; other" for n, c in with_background.items()}
    assert kinds_of_labels(synonyms) == kinds_of_labels(with_background)
    few = {n: category for n, category in enumerate(CATEGORIES[:100]) if category != "sky"}
    assert "sky" not in kinds_of_labels(few) and "walls" in kinds_of_labels(few)


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        (dict(enumerate(CITYSCAPES.split(", "))), 13),
        ({n: f"LABEL_{n}" for n in range(1000)}, 0),
        ({n: f"breed {n}" for n in range(150)}, 0),
        ({n: "wall" for n in range(150)}, 1),
        (dict(enumerate(CATEGORIES[:75])), 75),
        ({}, 0),
    ],
)
def test_labels_of_other_data_are_refused(labels, known):
    with pytest.raises(InputError, match=f"^labels: {known} of ADE20K's 150 .*among {len(labels)} labels") as caught:
        kinds_of_labels(labels)
    assert "\n" not in str(caught.value)
