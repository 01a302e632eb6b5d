"""The user study: a page that gives nothing away, answers that are checked, and intervals that are right."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from browser import MISSING, browser
from markup import Markup
from PIL import Image
from rendered_photos import Rendered, day, dusk

from fastphoto.errors import FileError, InputError
from fastphoto.reports.study import Answer, make_study, method_titles, read_answers
from fastphoto.reports.study_scores import chart_answers, score

METHODS = {"zebraoptimiser": "Zebra & sons <2001>", "mediannoise": "Median $x_1$ noise", "quaggatransfer": "Quagga"}
PAIRS = ("harbourpair", "volcanopair")


def result(pair: int, method: int) -> Rendered:
    """A result unlike all others."""
    return (day, dusk)[pair](40 + 8 * method, 60)


def write_comparison(folder: Path, pair: int = 0, methods: dict[str, str] = METHODS) -> Path:
    folder.mkdir(parents=True)
    Image.fromarray(day(50, 70).array).save(folder / "secretcontent.png")
    Image.fromarray(dusk(50, 70).array).save(folder / f"secretstyle{pair}.png")
    described = {}
    for number, (name, title) in enumerate(methods.items()):
        Image.fromarray(result(pair, number).array).save(folder / f"{name}-file.png")
        described[name] = {"file": f"{name}-file.png", "title": title, "seconds": 1.5}
    found = {"content": "secretcontent.png", "style": f"secretstyle{pair}.png", "methods": described}
    (folder / "comparison.json").write_text(json.dumps(found))
    return folder


@pytest.fixture
def comparisons(tmp_path) -> list[Path]:
    return [write_comparison(tmp_path / "comparisons" / name, number) for number, name in enumerate(PAIRS)]


@pytest.fixture
def study(comparisons, tmp_path) -> Path:
    """The study's folder."""
    return make_study(comparisons, tmp_path / "study", introduction="Hello & welcome <all>.\n\nMore.").parent


def page_data(folder: Path) -> dict:
    return json.loads(Markup((folder / "study.html").read_text()).one("script", id="data").words)


def picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))), float)


def save_answers(path: Path, **changes: object) -> Path:
    """A file of answers to the study beside it, complete unless changed."""
    key = json.loads((path.parent / "study" / "key.json").read_text())
    rated = [{"image": image, "photorealism": 3, "faithfulness": 2} for image in key["images"]]
    path.write_text(json.dumps({"study": key["study"], "participant": "p1", "answers": rated} | changes))
    return path


# The page


def test_page_says_nothing_of_methods_pairs_and_files(study, comparisons):
    page = re.sub('base64,[^"]+', "", (study / "study.html").read_text()).lower()
    for uri in page_data(study)["pictures"].values():
        image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}, "pictures carry no notes"
    files = [path.stem for folder in comparisons for path in folder.iterdir() if path.suffix == ".png"]
    titles = [word for title in METHODS.values() for word in re.findall(r"\w{4,}", title)]
    for word in (*METHODS, *PAIRS, *titles, *files, "comparison", "median"):
        assert word.lower() not in page, word
    assert "fastphoto" in page, "only as a part of the name under which the browser keeps answers"
    assert re.findall(r"fastphoto(.{7})", page) == ["-study-"]


def test_order_on_the_page_says_nothing_either(study):
    data, key = page_data(study), json.loads((study / "key.json").read_text())
    ids = [entry["id"] for entry in data["results"]]
    assert ids == sorted(ids) and list(data["pictures"]) == sorted(data["pictures"])
    by_name = sorted(key["images"], key=lambda image: tuple(key["images"][image].values()))
    assert by_name != ids


def test_key_tells_which_picture_is_which(study):
    data, key = page_data(study), json.loads((study / "key.json").read_text())
    assert key["study"] == data["study"] and key["methods"] == METHODS
    assert sorted(map(tuple, (entry.values() for entry in key["images"].values()))) == sorted(
        itertools.product(PAIRS, METHODS)
    )
    for entry in data["results"]:
        named = key["images"][entry["id"]]
        pair = PAIRS.index(named["pair"])
        wanted = {
            "result": result(pair, list(METHODS).index(named["method"])),
            "content": day(50, 70),
            "style": dusk(50, 70),
        }
        for role, rendered in wanted.items():
            found = picture(data["pictures"][entry[role]])
            assert found.shape == rendered.array.shape
            assert np.abs(found - rendered.array).mean() < 5, role
    assert len(data["pictures"]) == 6 + 2, "content and style, the same for both pairs, are held once"


def test_study_page_is_balanced_labelled_and_loads_nothing(study):
    markup = Markup((study / "study.html").read_text())
    markup.check()
    assert "Hello & welcome <all>." in [e.words for e in markup.all("p")]
    for question, words in (("photorealism", "photorealistic"), ("faithfulness", "faithful to the style")):
        labels = [e.attributes["aria-label"] for e in markup.all("input", name=question)]
        assert labels == [f"1, definitely not {words}", "2", "3", f"4, definitely {words}"]


def test_title_cannot_leave_its_place(comparisons, tmp_path):
    hostile = """</title></script><script>1</script>$count ${blank} <b>"""
    usual = Markup(make_study(comparisons, tmp_path / "one").read_text())
    other = Markup(make_study(comparisons, tmp_path / "two", title=hostile).read_text())
    assert [e.tag for e in usual.elements] == [e.tag for e in other.elements]
    assert other.one("title").words == other.all("h1")[0].words == hostile


def test_seed_chooses_the_ids_and_the_same_call_gives_the_same_bytes(comparisons, tmp_path):
    def written(name: str, folders: list[Path], seed: int) -> list[bytes]:
        make_study(folders, tmp_path / name, seed=seed)
        return [(tmp_path / name / file).read_bytes() for file in ("study.html", "key.json")]

    one, again, other = (written(n, f, s) for n, f, s in (
        ("one", comparisons, 0), ("again", comparisons[::-1], 0), ("other", comparisons, 1)))  # fmt: skip
    assert one == again
    keys = [json.loads(key) for _, key in (one, other)]
    assert keys[0]["study"] != keys[1]["study"] and not set(keys[0]["images"]) & set(keys[1]["images"])


def test_key_of_another_study_is_not_lost(study, comparisons):
    before = {path.name: path.read_bytes() for path in study.iterdir()}
    make_study(comparisons, study, introduction="Hello & welcome <all>.\n\nMore.")
    assert {path.name: path.read_bytes() for path in study.iterdir()} == before
    with pytest.raises(InputError, match=r"key\.json: is the key of another study"):
        make_study(comparisons[:1], study)
    assert {path.name: path.read_bytes() for path in study.iterdir()} == before


def test_pairs_need_names_of_their_own(tmp_path):
    folders = [write_comparison(tmp_path / run / "lake", number) for number, run in enumerate(("a", "b"))]
    with pytest.raises(InputError, match="two folders are named lake"):
        make_study(folders, tmp_path / "study")
    with pytest.raises(InputError, match="none given"):
        make_study([], tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"methods": {}}, InputError, '"methods" must name'),
        ({"methods": ["a"]}, InputError, '"methods" must name'),
        ({"methods": {"a": "a.png"}}, InputError, "no description of a"),
        ({"methods": {"a": {"file": "../a.png"}}}, InputError, '"file" must be the name of a file beside it'),
        ({"content": None}, InputError, '"content" must be the name'),
        ({"style": "missing.png"}, FileError, r"missing\.png: no such file"),
        ({"style": "comparison.json"}, FileError, r"comparison\.json: not an image"),
    ],
)
def test_unusable_comparisons_are_named(tmp_path, change, error, words):
    folder = write_comparison(tmp_path / "pair")
    path = folder / "comparison.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error, match=words):
        make_study([folder], tmp_path / "study")
    with pytest.raises(FileError, match=r"comparison\.json: no such file"):
        make_study([tmp_path], tmp_path / "study")


# Answers


def test_answers_come_back_with_their_pair_and_method(study, tmp_path):
    images = json.loads((study / "key.json").read_text())["images"]
    numbers = {image: (number % 4 + 1, 4 - number % 4) for number, image in enumerate(images)}
    rated = [{"image": i, "photorealism": p, "faithfulness": f} for i, (p, f) in numbers.items()]
    files = [save_answers(tmp_path / f"{name}.json", participant=name, answers=rated) for name in ("one", "two")]
    found = read_answers(study / "key.json", files)
    assert found == [
        Answer(name, images[image]["pair"], images[image]["method"], *numbers[image])
        for name in ("one", "two")
        for image in images
    ]
    assert method_titles(study / "key.json") == METHODS


def test_incomplete_answers_are_taken_as_they_are(study, tmp_path):
    first, second, third, *_ = json.loads((study / "key.json").read_text())["images"]
    rated = [{"image": first, "photorealism": 4}, {"image": second, "faithfulness": 1, "photorealism": None}]
    path = save_answers(tmp_path / "a.json", answers=[*rated, {"image": third}])
    found = [(answer.photorealism, answer.faithfulness) for answer in read_answers(study / "key.json", [path])]
    assert found == [(4, None), (None, 1)]
    assert read_answers(study / "key.json", [save_answers(tmp_path / "b.json", answers=[])]) == []


def rating(value: object) -> list:
    return [{"image": "IMAGE", "photorealism": value, "faithfulness": 2}]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"study": "0123"}, "answers of study '0123'"),
        ({"study": None}, "answers of study None"),
        ({"participant": ""}, '"participant" must be text'),
        ({"participant": 3}, '"participant" must be text'),
        ({"answers": {}}, '"answers" must be a list'),
        ({"answers": [1]}, '"answers" must be a list'),
        ({"answers": [{"photorealism": 1}]}, "rates image None"),
        ({"answers": [{"image": ["a"]}]}, "which the study does not have"),
        ({"answers": [{"image": "feedbeef"}]}, "rates image 'feedbeef', which the study does not have"),
        ({"answers": rating(1) + rating(1)}, "twice"),
        *(({"answers": rating(v)}, "photorealism of image .* must be a whole number from 1 to 4") for v in (0, 5)),
        *(({"answers": rating(v)}, "photorealism of image .* must be a whole") for v in (2.5, 3.0, "3", True, [2])),
    ],
)
def test_wrong_answers_are_refused_with_the_files_name(study, tmp_path, changes, words):
    image = next(iter(json.loads((study / "key.json").read_text())["images"]))
    changes = json.loads(json.dumps(changes).replace("IMAGE", image))
    good, bad = save_answers(tmp_path / "good.json", participant="p2"), save_answers(tmp_path / "bad.json", **changes)
    assert read_answers(study / "key.json", [good])
    with pytest.raises(InputError, match=rf"bad\.json: .*{words}"):
        read_answers(study / "key.json", [good, bad])


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"study": 1}', b"\xff\xfe", b"[" * 100_000])
def test_files_that_hold_something_else_are_refused(study, tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"bad\.json: ") as caught:
        read_answers(study / "key.json", [path])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"bad\.json: "):
        read_answers(path, [])


def test_one_participant_counts_once(study, tmp_path):
    first, second = save_answers(tmp_path / "first.json"), save_answers(tmp_path / "second.json")
    with pytest.raises(InputError, match=r"second\.json: is of the same participant as .*first\.json"):
        read_answers(study / "key.json", [first, second])


def test_missing_files_are_named(study, tmp_path):
    with pytest.raises(FileError, match=r"none\.json: no such file"):
        read_answers(study / "key.json", [tmp_path / "none.json"])
    with pytest.raises(FileError, match="no such file"):
        read_answers(tmp_path / "key.json", [])


# Scores


def given(ratings: dict[str, list[int]], method: str = "a") -> list[Answer]:
    return [Answer(p, str(n), method, v, 5 - v) for p, values in ratings.items() for n, v in enumerate(values)]


def check_interval(found, groups: list[list[int]]) -> None:
    """The ends cut 2.5 % off each side of the mean's distribution over all equally likely resamples."""
    means = np.array(
        [
            np.mean([value for group in drawn for value in group])
            for drawn in itertools.product(groups, repeat=len(groups))
        ]
    )
    for end, share in ((found.low, 0.025), (found.high, 0.975)):
        below, upto = np.mean(means < end - 1e-9), np.mean(means <= end + 1e-9)
        assert below <= share + 0.005 and upto >= share - 0.005


def test_interval_is_that_of_all_resamples_of_participants():
    ratings = {"p": [4, 4, 3, 4], "q": [1, 2], "r": [3, 3, 3], "s": [2, 4, 1], "t": [4]}
    found = score(given(ratings), "photorealism")
    assert found.mean == pytest.approx(np.mean(sum(ratings.values(), [])))
    assert (found.answers, found.participants, found.resampled) == (13, 5, "participants")
    assert 1 < found.low < found.mean < found.high < 4
    check_interval(found, list(ratings.values()))
    opposite = score(given(ratings), "faithfulness")
    assert [opposite.mean, opposite.low, opposite.high] == pytest.approx(
        [5 - found.mean, 5 - found.high, 5 - found.low]
    )


def test_answers_of_one_person_are_no_independent_answers():
    """Two people who each always say the same leave the mean open between them, however often they say it."""
    found = score(given({"p": [1] * 20, "q": [4] * 20}), "photorealism")
    assert (found.low, found.high) == (1, 4)


def test_answers_are_resampled_where_one_participant_gave_them_all():
    ratings = [1, 2, 4, 4, 2]
    found = score(given({"p": ratings}), "photorealism")
    assert (found.answers, found.participants, found.resampled) == (5, 1, "answers")
    check_interval(found, [[value] for value in ratings])


def test_intervals_of_little_and_of_equal_answers():
    alone = score(given({"p": [3]}), "photorealism")
    assert (alone.mean, alone.low, alone.high, alone.resampled) == (3, None, None, "")
    agreed = score(given({"p": [3, 3], "q": [3]}), "photorealism")
    assert (agreed.mean, agreed.low, agreed.high) == (3, 3, 3)
    assert score([Answer("p", "a", "b", None, 2)], "photorealism") is None
    assert score([Answer("p", "a", "b", None, 2), Answer("p", "c", "b", 4, 2)], "photorealism").answers == 1


# Charts

SAID = [
    *given({"p": [1, 2], "q": [1, 1], "r": [2, 1]}, "weak"),
    *given({"p": [4, 3], "q": [3, 3], "r": [4, 4]}, "strong"),
    *given({"p": [2, 3], "q": [3, 2], "r": [2, 2]}, "middle"),
    Answer("p", "0", "unseen", None, 2),
]
TITLES = {"weak": "Weak & <b>bold</b>", "strong": "Strong $x_1$"}


@pytest.fixture
def charts(tmp_path) -> Path:
    pytest.importorskip("matplotlib")
    return chart_answers(SAID, tmp_path / "scores", TITLES).parent


def test_table_file_holds_the_scores(charts):
    with open(charts / "scores.csv", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["strong", "middle", "weak", "unseen"], "the most photorealistic first, the unrated last"
    for method, row in rows.items():
        for question in ("photorealism", "faithfulness"):
            found = score([a for a in SAID if a.method == method], question)
            if found is None:
                assert row[f"{question}_mean"] == row[f"{question}_low"] == "" and row[f"{question}_answers"] == "0"
                continue
            for part in ("mean", "low", "high"):
                value = getattr(found, part)
                assert row[f"{question}_{part}"] == ("" if value is None else repr(value))
            assert int(row[f"{question}_answers"]) == found.answers
            assert row[f"{question}_resampled"] == found.resampled


def test_bars_and_whiskers_are_as_long_as_the_scores(charts):
    markup = Markup((charts / "scores.html").read_text())
    markup.check()
    for prefix, question in (("chart1", "photorealism"), ("chart2", "faithfulness")):
        scores = [score([a for a in SAID if a.method == m], question) for m in ("strong", "middle", "weak", "unseen")]
        scores = [s for s in scores if s]
        spans = [e for e in markup.all("path") if f"#{prefix}-" in e.attributes.get("clip-path", "")]
        numbers = [np.array(re.findall(r"[\d.]+", e.attributes["d"]), float).reshape(-1, 2)[:, 0] for e in spans]
        styles = [e.attributes.get("style", "") for e in spans]
        bars = [n for n, style in zip(numbers, styles, strict=True) if "var(--accent)" in style]
        grid = [n[0] for n, style in zip(numbers, styles, strict=True) if "var(--line)" in style]
        whiskers = [n for n, style in zip(numbers, styles, strict=True) if "currentColor" in style]
        assert len(grid) == 4 and np.allclose(np.diff(grid), grid[1] - grid[0], rtol=1e-3)

        def value(x: float, grid: list[float] = grid) -> float:
            return 1 + 3 * (x - grid[0]) / (grid[3] - grid[0])

        assert [value(b.max()) for b in bars] == pytest.approx([s.mean for s in scores], abs=0.01)
        assert [value(b.min()) for b in bars] == pytest.approx([1] * len(scores), abs=0.01)
        ends = [end for s in scores if s.low is not None for end in (s.low, s.high)]
        assert [value(x) for w in whiskers for x in (w.min(), w.max())] == pytest.approx(ends, abs=0.01)


def test_charts_name_methods_and_say_what_the_intervals_are(charts):
    page = (charts / "scores.html").read_text()
    markup = Markup(page)
    lines = [e.words for e in markup.all("text") + markup.all("tspan")]
    for line in ("Strong $x_1$", "Weak & <b>bold</b>", "middle", "n = 6", "2.67"):
        assert line in lines, lines
    assert [e.words for e in markup.all("th", scope="row")] == [
        "Strong $x_1$",
        "middle",
        "Weak & <b>bold</b>",
        "unseen",
    ]
    assert "3 participants, 2 photo pairs" in page and "Participants were drawn" in page and "no interval" in page
    assert "#010203" not in page and "#000000" not in page, "every colour follows the theme"


def test_page_says_when_one_participant_is_all_there_is(tmp_path):
    pytest.importorskip("matplotlib")
    alone = [a for a in SAID if a.participant == "p"]
    page = chart_answers(alone, tmp_path).read_text()
    assert "nothing about other people" in page and "Participants were drawn" not in page and "1 participant," in page


def test_same_answers_give_the_same_bytes(charts, tmp_path):
    again = chart_answers(SAID, tmp_path / "again", TITLES).parent
    for name in ("scores.html", "scores.csv"):
        assert (charts / name).read_bytes() == (again / name).read_bytes()


def test_charts_need_answers_and_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # what Python itself writes there for "cannot be imported"
    with pytest.raises(InputError, match=r"matplotlib: pip install fastphoto\[study\]"):
        chart_answers(SAID, tmp_path / "scores")
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    for nothing in ([], [Answer("p", "a", "b", None, None)]):
        with pytest.raises(InputError, match="answers: none given"):
            chart_answers(nothing, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


# In a browser

needs_browser = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
ENTER = "\ue007"


def on_page(window, name: str) -> str:
    return window.run("return document.getElementById(arguments[0]).textContent", name)


def handed_in(window, path: Path) -> Path:
    path.write_text(window.run("return document.getElementById('text').value"))
    return path


@needs_browser
def test_participant_rates_everything_with_keys_and_clicks(study, tmp_path):
    with browser() as window:
        window.open(study / "study.html")
        window.click("#start")
        assert on_page(window, "place") == "1 of 6" and on_page(window, "next") == "Skip"
        window.press("32")
        assert on_page(window, "next") == "Next"
        window.press(ENTER)
        assert on_page(window, "place") == "2 of 6"
        window.click("#faithfulness label:nth-child(4)")
        window.press("1")  # the question that is still open
        window.click("#back")
        chosen = "return [...document.querySelectorAll('input:checked')].map(e => e.name + e.value)"
        assert window.run(chosen) == ["photorealism3", "faithfulness2"]
        window.click("#photorealism label:nth-child(2)")  # another opinion
        window.press(ENTER + ENTER + ENTER)
        assert on_page(window, "place") == "3 of 6", "and no further: Enter skips nothing"

        window.open(study / "study.html")  # closed and opened again
        assert on_page(window, "start") == "Go on (2 of 6 rated)"
        window.click("#start")
        assert on_page(window, "place") == "3 of 6"
        for keys in ("33", "4", "", "21"):
            if keys:
                window.press(keys)
            window.click("#next")
        assert "You rated 4 of 6 results" in on_page(window, "summary")

        first = handed_in(window, tmp_path / "first.json")
        found = read_answers(study / "key.json", [first])
        assert [(a.photorealism, a.faithfulness) for a in found] == [(2, 2), (1, 4), (3, 3), (4, None), (2, 1)]
        window.downloads_to(tmp_path / "saved")
        window.click("#save")
        saved = tmp_path / "saved" / f"answers-{json.loads(first.read_text())['participant']}.json"
        for _ in range(100):
            if saved.exists():
                break
            time.sleep(0.05)
        assert saved.read_text() == first.read_text()
        window.click("#resume")
        assert on_page(window, "place") == "4 of 6", "the first that is not complete"
        assert window.run("return [...document.querySelectorAll('form img')].every(i => i.naturalWidth > 50)")
        window.click(".result button")
        assert window.run("return document.getElementById('enlarged').open")
        window.press("3")
        assert window.run(chosen) == ["photorealism4"], "keys do not rate what an enlarged picture hides"
        assert window.mistakes() == []


@needs_browser
def test_each_participant_has_an_order_and_a_number_of_their_own(tmp_path):
    methods = {f"method{n}": str(n) for n in range(8)}
    page = make_study([write_comparison(tmp_path / "pair", methods=methods)], tmp_path / "study")
    with browser(360, 700, touch=True) as window:
        window.open(page)
        files = []
        for number in range(2):
            window.click("#start")
            window.click("#photorealism label:nth-child(1)")
            window.click("#faithfulness label:nth-child(3)")
            assert window.run("return document.documentElement.scrollWidth") == 360
            window.click("#next")
            window.press(("13" + ENTER) * 7)
            files.append(handed_in(window, tmp_path / f"{number}.json"))
            window.click("#another")
            window.accept()
        assert window.mistakes() == []
    found = read_answers(page.parent / "key.json", files)
    assert len(found) == 16 and len({a.participant for a in found}) == 2
    orders = {tuple(a.method for a in found[8 * n : 8 * n + 8]) for n in range(2)}
    assert len(orders) == 2 and all(len(set(order)) == 8 for order in orders)
    assert {(a.photorealism, a.faithfulness) for a in found} == {(1, 3)}
