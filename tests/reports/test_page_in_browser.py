"""Pages in a browser: the slider, sorting, enlarged pictures, phones and both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser import Browser, browser, needs_browser
from PIL import Image
from rendered_photos import day

from fastphoto.reports.page import Page
from fastphoto.reports.page_tables import Column

pytestmark = needs_browser
RED, GREEN, BLUE = (200, 20, 20), (20, 160, 20), (20, 20, 200)
ENTER, ESCAPE, RIGHT, HOME, END = "\ue007", "\ue00c", "\ue014", "\ue011", "\ue010"


def plain(colour: tuple[int, int, int], width: int = 120, height: int = 80) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


@pytest.fixture
def page(tmp_path) -> Path:
    page = Page("In a browser")
    page.viewer([("red", plain(RED)), ("green", plain(GREEN)), ("blue", plain(BLUE, 80, 120))], right="green")
    page.gallery([("red", plain(RED), "a note"), ("photo", day(100, 150).array, "")])
    columns = ["method", Column("kept", "high"), *(Column(f"a wide column {n}", "low") for n in range(8))]
    page.table(columns, [["b10", 2.0, *range(8)], ["b9", None, *range(8)], ["a", 10.0, *range(8)]])
    page.write(tmp_path / "page.html")
    return tmp_path / "page.html"


def colour_at(window: Browser, folder: Path, share: float) -> tuple[int, ...]:
    """Return the colour on the screen at a part of the viewer's width, a quarter above its lower edge."""
    x, y, scale = window.run(
        "scrollTo(0, 0); const box = document.querySelector('.stage').getBoundingClientRect();"
        "return [box.x + box.width * arguments[0], box.y + box.height * 0.75, devicePixelRatio]",
        share,
    )
    window.screenshot(folder / "screen.png")
    return Image.open(folder / "screen.png").convert("RGB").getpixel((int(x * scale), int(y * scale)))


def test_every_picture_is_shown(page):
    with browser() as window:
        window.open(page)
        assert window.run("return [...document.images].every(i => i.closest('dialog') || i.naturalWidth > 50)")
        assert window.console_errors() == []


def test_slider_follows_the_mouse_and_keys(page, tmp_path):
    position = "return Number(document.querySelector('.stage input').value)"
    with browser() as window:
        window.open(page)
        assert colour_at(window, tmp_path, 0.25) == RED and colour_at(window, tmp_path, 0.75) == GREEN
        window.drag(".stage", (0.5, 0.7), (0.1, 0.7))
        assert colour_at(window, tmp_path, 0.05) == RED and colour_at(window, tmp_path, 0.15) == GREEN
        before = window.run(position)
        assert before == pytest.approx(10, abs=1)
        window.press(RIGHT * 4)  # the slider has the focus since it was dragged
        assert window.run(position) == before + 2
        window.press(END)
        assert colour_at(window, tmp_path, 0.95) == RED
        assert window.console_errors() == []


def test_lists_choose_the_compared_pictures(page, tmp_path):
    with browser() as window:
        window.open(page)
        window.press("blue", "[data-side=right]")
        window.press(HOME, ".stage input")
        assert colour_at(window, tmp_path, 0.5) == BLUE
        assert colour_at(window, tmp_path, 0.1) not in (RED, GREEN, BLUE), "another picture shows beside a narrow one"
        assert "100 % blue" in window.run("return document.querySelector('.stage input').ariaValueText")
        assert window.console_errors() == []


def test_headings_sort_the_table(page):
    rows = "return [...document.querySelectorAll('tbody th')].map(e => e.textContent).join()"
    with browser() as window:
        window.open(page)
        window.click("thead th:nth-child(2) button")
        assert window.run(rows) == "a,b10,b9", "not the best first and missing values last"
        window.click("thead th:nth-child(2) button")
        assert window.run(rows) == "b10,a,b9", "not the worst first and missing values last"
        window.press(ENTER, "thead th:nth-child(1) button")
        assert window.run(rows) == "a,b9,b10", "numbers in names are sorted as letters"
        assert window.console_errors() == []


def test_pictures_are_enlarged_by_clicks_and_keys(page):
    enlarged = "const d = document.getElementById('enlarged'); return [d.open, d.querySelector('img').naturalWidth]"
    with browser() as window:
        window.open(page)
        window.click(".gallery figure:nth-child(2) button")
        assert window.run(enlarged) == [True, 150]
        window.press(ESCAPE)
        assert window.run(enlarged)[0] is False
        window.press(ENTER, ".gallery figure:nth-child(1) button")
        assert window.run(enlarged) == [True, 120]
        window.click("#enlarged img")
        assert window.run(enlarged)[0] is False
        assert window.console_errors() == []


def test_page_fits_a_phone(page, tmp_path):
    with browser(360, 740, touch=True) as window:
        window.open(page)
        assert window.run("return document.documentElement.scrollWidth") == 360, "the page is wider than the phone"
        assert window.run("const s = document.querySelector('.scroll'); return s.scrollWidth > s.clientWidth + 300")
        window.drag(".stage", (0.5, 0.7), (0.8, 0.7), kind="touch")
        assert colour_at(window, tmp_path, 0.7) == RED and colour_at(window, tmp_path, 0.9) == GREEN
        assert window.console_errors() == []


def test_page_follows_the_theme(page):
    brightness = {}
    with browser() as window:
        for theme in ("light", "dark"):
            window.set_theme(theme)
            window.open(page)
            colours = window.run("const c = getComputedStyle(document.body); return [c.backgroundColor, c.color]")
            brightness[theme] = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]  # 0 to 765
    paper, ink = brightness["light"]
    assert paper > 600 > 200 > ink
    paper, ink = brightness["dark"]
    assert paper < 150 < 500 < ink
