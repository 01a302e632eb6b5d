"""Making a user study: a page that gives no name away, and the key that only its maker has."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re

import numpy as np
import pytest
from markup import Markup
from PIL import Image

from fastphoto.errors import FileError, InputError
from fastphoto.reports.study import make_study


def picture_of(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


# ---- what participants may not learn -----------------------------------------------------------------------


def test_page_names_no_method_pair_or_file(study, comparisons):
    page = re.sub('base64,[^"]+', "", study.page.read_text()).lower()
    files = [path.stem for folder in comparisons.folders for path in folder.glob("*.png")]
    titles = [word for title in comparisons.titles.values() for word in re.findall(r"\w{4,}", title)]
    secrets = [*comparisons.titles, *comparisons.pairs, *titles, *files, "comparison", "median"]
    assert [word for word in secrets if word.lower() in page] == [], "the page gives names away"


def test_page_names_the_program_only_in_the_storage_key(study):
    page = re.sub('base64,[^"]+', "", study.page.read_text()).lower()
    assert re.findall(r"fastphoto(.{7})", page) == ["-study-"]


def test_pictures_carry_no_metadata(study):
    for uri in study.read_data()["pictures"].values():
        assert set(picture_of(uri).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_results_and_pictures_are_in_the_order_of_their_random_ids(study):
    data, images = study.read_data(), study.read_key()["images"]
    ids = [result["id"] for result in data["results"]]
    assert ids == sorted(ids)
    assert list(data["pictures"]) == sorted(data["pictures"])
    by_name = sorted(images, key=lambda image: tuple(images[image].values()))
    assert by_name != ids, "the order of the ids is that of the names"


# ---- key ---------------------------------------------------------------------------------------------------


def test_key_has_the_study_all_methods_and_every_result_once(study, comparisons):
    key = study.read_key()
    assert key["study"] == study.read_data()["study"]
    assert key["methods"] == comparisons.titles
    named = sorted((image["pair"], image["method"]) for image in key["images"].values())
    assert named == sorted(itertools.product(comparisons.pairs, comparisons.titles))


def test_key_says_which_picture_is_which(study, comparisons):
    data, images = study.read_data(), study.read_key()["images"]
    for shown in data["results"]:
        named = images[shown["id"]]
        pair, method = comparisons.pairs.index(named["pair"]), list(comparisons.titles).index(named["method"])
        expected = {
            "result": comparisons.result(pair, method),
            "content": comparisons.content,
            "style": comparisons.style,
        }
        for role, photo in expected.items():
            picture = np.asarray(picture_of(data["pictures"][shown[role]]), float)
            assert picture.shape == photo.array.shape
            assert np.abs(picture - photo.array).mean() < 5, f"another picture stands for the {role} of {named}"


def test_pictures_that_several_results_share_are_stored_once(study):
    """Both pairs have the same content and style."""
    assert len(study.read_data()["pictures"]) == 6 + 2


def test_key_of_another_study_is_not_overwritten(study, comparisons):
    before = {path.name: path.read_bytes() for path in study.folder.iterdir()}
    with pytest.raises(InputError, match=r"key\.json: is the key of another study"):
        make_study(comparisons.folders[:1], study.folder)
    assert {path.name: path.read_bytes() for path in study.folder.iterdir()} == before


def test_same_study_is_written_again(study, comparisons):
    before = {path.name: path.read_bytes() for path in study.folder.iterdir()}
    make_study(comparisons.folders, study.folder, introduction="Hello & welcome <all>.\n\nMore.")
    assert {path.name: path.read_bytes() for path in study.folder.iterdir()} == before


# ---- page --------------------------------------------------------------------------------------------------


def test_study_page_is_balanced_accessible_and_loads_nothing(study):
    markup = Markup(study.page.read_text())
    markup.check()
    assert "Hello & welcome <all>." in [element.words for element in markup.all("p")]


@pytest.mark.parametrize(
    "question, words",
    [("photorealism", "photorealistic"), ("faithfulness", "faithful to the style")],
    ids=["photorealism", "faithfulness"],
)
def test_both_ends_of_a_scale_are_labelled(study, question, words):
    markup = Markup(study.page.read_text())
    labels = [element.attributes["aria-label"] for element in markup.all("input", name=question)]
    assert labels == [f"1, definitely not {words}", "2", "3", f"4, definitely {words}"]


def test_title_is_text_and_not_html(comparisons, tmp_path):
    hostile = """</title></script><script>1</script>$count ${blank} <b>"""
    usual = Markup(make_study(comparisons.folders, tmp_path / "one").read_text())
    other = Markup(make_study(comparisons.folders, tmp_path / "two", title=hostile).read_text())
    assert [e.tag for e in usual.elements] == [e.tag for e in other.elements]
    assert other.one("title").words == other.all("h1")[0].words == hostile


# ---- seed --------------------------------------------------------------------------------------------------


def test_same_seed_gives_the_same_bytes_whatever_the_order_of_folders(comparisons, tmp_path):
    one = make_study(comparisons.folders, tmp_path / "one").parent
    again = make_study(comparisons.folders[::-1], tmp_path / "again").parent
    for name in ("study.html", "key.json"):
        assert (one / name).read_bytes() == (again / name).read_bytes()


def test_another_seed_gives_other_ids(comparisons, tmp_path):
    make_study(comparisons.folders, tmp_path / "one", seed=0)
    make_study(comparisons.folders, tmp_path / "other", seed=1)
    one, other = (json.loads((tmp_path / name / "key.json").read_text()) for name in ("one", "other"))
    assert one["study"] != other["study"]
    assert not set(one["images"]) & set(other["images"]), "two seeds share an id"


# ---- input that cannot be used -----------------------------------------------------------------------------


def test_two_pairs_of_one_name_are_refused(comparisons, tmp_path):
    folders = [comparisons.write(tmp_path / run / "lake", number) for number, run in enumerate(("a", "b"))]
    with pytest.raises(InputError, match="two folders are named lake"):
        make_study(folders, tmp_path / "study")
    assert not (tmp_path / "study").exists(), "the output folder was made although nothing is written"


def test_no_comparison_is_refused(tmp_path):
    with pytest.raises(InputError, match="none given"):
        make_study([], tmp_path / "study")
    assert not (tmp_path / "study").exists(), "the output folder was made although nothing is written"


def test_folder_without_a_comparison_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"comparison\.json: no such file"):
        make_study([tmp_path], tmp_path / "study")


@pytest.mark.parametrize(
    "change, error, words",
    [
        pytest.param({"methods": {}}, InputError, '"methods" must name', id="no methods"),
        pytest.param({"methods": ["a"]}, InputError, '"methods" must name', id="a list of methods"),
        pytest.param({"methods": {"a": "a.png"}}, InputError, "no description of a", id="no description"),
        pytest.param(
            {"methods": {"a": {"file": "../a.png"}}},
            InputError,
            '"file" must be the name of a file beside it',
            id="a file elsewhere",
        ),
        *(
            pytest.param(
                {"methods": {"a": {"file": "a.png", "scores": scores}}},
                InputError,
                r'comparison\.json: "scores" of a must be numbers by name',
                id=f"scores {scores}",
            )
            for scores in (["few"], {"stains": "few"}, {"stains": True}, None)
        ),
        pytest.param({"content": None}, InputError, '"content" must be the name', id="no content"),
        pytest.param({"style": "missing.png"}, FileError, r"missing\.png: no such file", id="a missing file"),
        pytest.param({"style": "comparison.json"}, FileError, r"comparison\.json: not an image", id="not an image"),
    ],
)
def test_unusable_comparison_is_refused(comparisons, tmp_path, change, error, words):
    path = comparisons.folders[0] / "comparison.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error, match=words):
        make_study(comparisons.folders[:1], tmp_path / "study")
