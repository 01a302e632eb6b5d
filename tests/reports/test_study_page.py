"""The page of a user study in a browser: rating with keys and clicks, stopping and going on, saving answers."""

from __future__ import annotations

import json
import time
from pathlib import Path

from browser import Browser, browser, needs_browser

from fastphoto.reports.study import make_study
from fastphoto.reports.study_answers import read_answers

pytestmark = needs_browser
ENTER = "\ue007"


def text_of(window: Browser, name: str) -> str:
    return window.run("return document.getElementById(arguments[0]).textContent", name)


def chosen(window: Browser) -> list[str]:
    """The ratings of the shown result, such as "photorealism3"."""
    return window.run("return [...document.querySelectorAll('input:checked')].map(e => e.name + e.value)")


def write_shown_answers(window: Browser, path: Path) -> Path:
    path.write_text(window.run("return document.getElementById('text').value"))
    return path


def saved_text(path: Path) -> str:
    """The text of a download, once the browser has written it: until then an empty file may hold its name."""
    deadline = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline, f"nothing was saved in {path}"
        time.sleep(0.05)
    return path.read_text()


def test_participant_rates_everything_with_keys_and_clicks(study, tmp_path):
    with browser() as window:
        window.open(study.page)
        window.click("#start")
        assert text_of(window, "position") == "1 of 6" and text_of(window, "next") == "Skip"
        window.press("32")
        assert text_of(window, "next") == "Next"
        window.press(ENTER)
        assert text_of(window, "position") == "2 of 6"
        window.click("#faithfulness label:nth-child(4)")
        window.press("1")  # answers the question that is still open
        window.click("#back")
        assert chosen(window) == ["photorealism3", "faithfulness2"]
        window.click("#photorealism label:nth-child(2)")  # changes the rating
        window.press(ENTER + ENTER + ENTER)
        assert text_of(window, "position") == "3 of 6", "Enter skipped a result without ratings"

        window.open(study.page)  # closed and opened again
        assert text_of(window, "start") == "Continue (2 of 6 rated)"
        window.click("#start")
        assert text_of(window, "position") == "3 of 6"
        for keys in ("33", "4", "", "21"):
            if keys:
                window.press(keys)
            window.click("#next")
        assert "You rated 4 of 6 results" in text_of(window, "summary")

        first = write_shown_answers(window, tmp_path / "first.json")
        answers = [(answer.photorealism, answer.faithfulness) for answer in read_answers(study.key, [first])]
        assert answers == [(2, 2), (1, 4), (3, 3), (4, None), (2, 1)]
        window.save_downloads_in(tmp_path / "saved")
        window.click("#save")
        participant = json.loads(first.read_text())["participant"]
        assert saved_text(tmp_path / "saved" / f"answers-{participant}.json") == first.read_text()

        window.click("#resume")
        assert text_of(window, "position") == "4 of 6", "not the first result that is incomplete"
        assert window.run("return [...document.querySelectorAll('form img')].every(i => i.naturalWidth > 50)")
        window.click(".result button")
        assert window.run("return document.getElementById('enlarged').open")
        window.press("3")
        assert chosen(window) == ["photorealism4"], "a key rated a result behind an enlarged picture"
        assert window.console_errors() == []


def test_each_participant_has_their_own_order_and_number(comparisons, tmp_path):
    folder = comparisons.write(tmp_path / "pair", titles={f"method{n}": str(n) for n in range(8)})
    page = make_study([folder], tmp_path / "study")
    with browser(360, 700, touch=True) as window:
        window.open(page)
        files = []
        for number in range(2):
            window.click("#start")
            window.click("#photorealism label:nth-child(1)")
            window.click("#faithfulness label:nth-child(3)")
            assert window.run("return document.documentElement.scrollWidth") == 360, "the page is wider than the phone"
            window.click("#next")
            window.press(("13" + ENTER) * 7)
            files.append(write_shown_answers(window, tmp_path / f"{number}.json"))
            window.click("#another")
            window.accept()
        assert window.console_errors() == []
    answers = read_answers(page.parent / "key.json", files)
    assert len(answers) == 16 and len({answer.participant for answer in answers}) == 2
    orders = [[answer.method for answer in answers[start : start + 8]] for start in (0, 8)]
    assert [len(set(order)) for order in orders] == [8, 8], "a result was shown twice"
    assert orders[0] != orders[1], "both participants saw the same order"
    assert {(answer.photorealism, answer.faithfulness) for answer in answers} == {(1, 3)}
