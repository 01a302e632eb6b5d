"""Reading the answers to a user study: what comes back, and which files are refused."""

from __future__ import annotations

import json

import pytest

from fastphoto.errors import FileError, InputError
from fastphoto.reports.study_answers import Answer, method_titles, read_answers, scores_of_results


def test_answers_come_back_with_their_pair_and_method(study, tmp_path):
    images = study.read_key()["images"]
    ratings = {image: (number % 4 + 1, 4 - number % 4) for number, image in enumerate(images)}
    rated = [{"image": image, "photorealism": p, "faithfulness": f} for image, (p, f) in ratings.items()]
    files = [study.save_answers(tmp_path / f"{name}.json", participant=name, answers=rated) for name in ("one", "two")]
    assert read_answers(study.key, files) == [
        Answer(participant, images[image]["pair"], images[image]["method"], *ratings[image])
        for participant in ("one", "two")
        for image in images
    ]


def test_titles_of_methods_come_from_the_key(study, comparisons):
    assert method_titles(study.key) == comparisons.titles


def test_scores_of_results_come_from_the_key(study, comparisons):
    expected = {
        (pair, method): {"stains": 0.5 + 0.1 * number, "look": 0.9 - 0.1 * number}
        for pair in comparisons.pairs
        for number, method in enumerate(comparisons.titles)
    }
    assert scores_of_results(study.key) == expected


def test_results_without_scores_are_left_out(study):
    key = study.read_key()
    first, second, *others = key["images"].values()
    first["scores"] = {}
    del second["scores"]
    study.key.write_text(json.dumps(key))
    assert set(scores_of_results(study.key)) == {(other["pair"], other["method"]) for other in others}


@pytest.mark.parametrize("scores", [["stains"], {"stains": "few"}, {"stains": None}, 3], ids=str)
def test_key_whose_scores_are_no_numbers_is_refused(study, scores):
    key = study.read_key()
    next(iter(key["images"].values()))["scores"] = scores
    study.key.write_text(json.dumps(key))
    with pytest.raises(InputError, match=r"key\.json: is not the key of a study"):
        scores_of_results(study.key)


def test_questions_that_were_left_out_are_none(study, tmp_path):
    first, second, *_ = study.read_key()["images"]
    rated = [{"image": first, "photorealism": 4}, {"image": second, "faithfulness": 1, "photorealism": None}]
    answers = read_answers(study.key, [study.save_answers(tmp_path / "a.json", answers=rated)])
    assert [(answer.photorealism, answer.faithfulness) for answer in answers] == [(4, None), (None, 1)]


@pytest.mark.parametrize("count", [0, 1], ids=["no result", "a result without a rating"])
def test_results_without_a_rating_are_left_out(study, tmp_path, count):
    unrated = [{"image": image} for image in list(study.read_key()["images"])[:count]]
    assert read_answers(study.key, [study.save_answers(tmp_path / "a.json", answers=unrated)]) == []


# ---- files that are refused --------------------------------------------------------------------------------


def rating(value: object) -> list[dict[str, object]]:
    return [{"image": "IMAGE", "photorealism": value, "faithfulness": 2}]  # IMAGE stands for an id of the study


@pytest.mark.parametrize(
    "changes, words",
    [
        pytest.param({"study": "0123"}, "answers to study '0123'", id="another study"),
        pytest.param({"study": None}, "answers to study None", id="no study"),
        pytest.param({"participant": ""}, '"participant" must be text', id="no participant"),
        pytest.param({"participant": 3}, '"participant" must be text', id="a participant's number"),
        pytest.param({"answers": {}}, '"answers" must be a list', id="answers in an object"),
        pytest.param({"answers": [1]}, '"answers" must be a list', id="answers that are numbers"),
        pytest.param({"answers": [{"photorealism": 1}]}, "rates image None", id="no image"),
        pytest.param({"answers": [{"image": ["a"]}]}, "which the study does not have", id="a list of images"),
        pytest.param(
            {"answers": [{"image": "feedbeef"}]},
            "rates image 'feedbeef', which the study does not have",
            id="an unknown image",
        ),
        pytest.param({"answers": rating(1) + rating(1)}, "twice", id="an image rated twice"),
        *(
            pytest.param(
                {"answers": rating(value)},
                "photorealism of image .* must be a whole number from 1 to 4",
                id=f"rating {value!r}",
            )
            for value in (0, 5, 2.5, 3.0, "3", True, [2])
        ),
    ],
)
def test_wrong_answers_are_refused_with_the_name_of_the_file(study, tmp_path, changes, words):
    image = next(iter(study.read_key()["images"]))
    changes = json.loads(json.dumps(changes).replace("IMAGE", image))
    good = study.save_answers(tmp_path / "good.json", participant="p2")
    bad = study.save_answers(tmp_path / "bad.json", **changes)
    assert read_answers(study.key, [good])
    with pytest.raises(InputError, match=rf"bad\.json: .*{words}"):
        read_answers(study.key, [good, bad])


not_answers = pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[1]", b'{"study": 1}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut off", "a list", "another object", "binary", "nested too deeply"],
)


@not_answers
def test_file_that_holds_no_answers_is_refused_in_one_line(study, tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"bad\.json: ") as caught:
        read_answers(study.key, [path])
    assert "\n" not in str(caught.value)


@not_answers
def test_file_that_is_no_key_is_refused(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"bad\.json: "):
        read_answers(path, [])


def test_two_files_of_one_participant_are_refused(study, tmp_path):
    first, second = study.save_answers(tmp_path / "first.json"), study.save_answers(tmp_path / "second.json")
    with pytest.raises(InputError, match=r"second\.json: is from the same participant as .*first\.json"):
        read_answers(study.key, [first, second])


def test_missing_file_of_answers_is_named(study, tmp_path):
    with pytest.raises(FileError, match=r"none\.json: no such file"):
        read_answers(study.key, [tmp_path / "none.json"])


def test_missing_key_is_named(tmp_path):
    with pytest.raises(FileError, match=r"key\.json: no such file"):
        read_answers(tmp_path / "key.json", [])
