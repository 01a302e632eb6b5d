"""The categories of ADE20K, the kinds of region they are merged into, and networks' labels sorted by kind."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from locations import ROOT

from fastphoto.errors import InputError
from fastphoto.regions.ade20k import CATEGORIES, KINDS, kinds_of_labels

# Numbers in the benchmark's list as its publishers give them, less one, for they count from 1.
NUMBERS = {
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
    assert {number: CATEGORIES[number] for number in NUMBERS} == NUMBERS


def test_the_documentation_has_the_kinds():
    page = (ROOT / "docs" / "regions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", page.partition("| kind |")[2].partition("\n\n")[0], re.MULTILINE)
    assert {kind: tuple(merged.split(", ")) for kind, merged in rows} == KINDS


def test_every_category_has_exactly_one_kind():
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
    ids=lambda categories: categories[0],
)
def test_categories_that_look_alike_are_one_kind(alike):
    assert sum(bool(set(alike) & set(merged)) for merged in KINDS.values()) == 1


def test_categories_that_look_different_have_different_kinds():
    kind = {category: name for name, merged in KINDS.items() for category in merged}
    different = (
        "sky",
        "water",
        "tree",
        "mountain",
        "road",
        "building",
        "wall",
        "person",
        "car",
        "lamp",
        "table",
        "bed",
    )
    assert len({kind[category] for category in different}) == len(different)


def merged(labels: dict[int, str]) -> dict[str, set[str]]:
    return {kind: {labels[n] for n in numbers} for kind, numbers in kinds_of_labels(labels).items()}


IN_ORDER = dict(enumerate(CATEGORIES))
SPELT_DIFFERENTLY = {8: "window ", 13: "earth, ground", 29: "meadow", 39: "pad", 7: "bed "}


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(IN_ORDER, id="categories"),
        pytest.param(IN_ORDER | SPELT_DIFFERENTLY, id="some spelt differently"),
        pytest.param({number: f"LABEL_{number}" for number in range(150)}, id="unnamed"),
    ],
)
def test_150_labels_are_the_categories_in_their_order(labels):
    expected = {kind: sorted(CATEGORIES.index(category) for category in merged) for kind, merged in KINDS.items()}
    assert kinds_of_labels(labels) == expected and list(kinds_of_labels(labels)) == list(KINDS)


WITH_BACKGROUND = dict(enumerate(("background", *CATEGORIES)))


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({149 - number: category for number, category in IN_ORDER.items()}, id="another order"),
        pytest.param(WITH_BACKGROUND, id="another number"),
    ],
)
def test_other_labels_are_sorted_by_name(labels):
    assert merged(labels) == {kind: set(categories) for kind, categories in KINDS.items()}


def test_the_first_synonym_that_is_a_category_counts():
    synonyms = {number: f"{name.title()}, thing; other" for number, name in WITH_BACKGROUND.items()}
    assert kinds_of_labels(synonyms) == kinds_of_labels(WITH_BACKGROUND)


def test_kinds_without_a_label_are_left_out():
    few = {number: category for number, category in enumerate(CATEGORIES[:100]) if category != "sky"}
    assert "sky" not in kinds_of_labels(few) and "walls" in kinds_of_labels(few)


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        pytest.param(dict(enumerate(CITYSCAPES.split(", "))), 13, id="Cityscapes"),
        pytest.param({number: f"LABEL_{number}" for number in range(1000)}, 0, id="1000 unnamed"),
        pytest.param({number: f"breed {number}" for number in range(150)}, 0, id="other names"),
        pytest.param({number: "wall" for number in range(150)}, 1, id="one category"),
        pytest.param(dict(enumerate(CATEGORIES[:75])), 75, id="half of the categories"),
        pytest.param({}, 0, id="no label"),
    ],
)
def test_labels_of_other_data_are_refused(labels, known):
    with pytest.raises(InputError, match=f"^labels: {known} of ADE20K's 150 .*among {len(labels)} labels") as caught:
        kinds_of_labels(labels)
    assert "\n" not in str(caught.value)
