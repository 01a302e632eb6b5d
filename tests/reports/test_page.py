"""Pages: valid and self-contained HTML, text that stays text, pictures held once, and what a reader can do."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from browser import MISSING, browser
from markup import Markup
from PIL import Image
from rendered_photos import day, dusk

from fastphoto.errors import FileError, InputError
from fastphoto.reports.page import Column, Page, encoded_picture
from fastphoto.runtime.files import write_text

HOSTILE = """</title></script><script>alert("x")</script><img src=x onerror='y'>&amp;$x"""
CHART = """<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">
<metadata><a xmlns="http://purl.org/dc/">made</a></metadata><style>*{stroke-linecap:butt}</style>
<defs><path id="dot" d="M0 0h1"/><clipPath id="clip"><path d="M0 0h9"/></clipPath></defs>
<g clip-path="url(#clip)"><use xlink:href="#dot" x="2"/></g><text>3 &lt; 4</text></svg>"""

needs_browser = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def plain(colour: tuple[int, int, int], width: int = 120, height: int = 80) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def whole_page(text: str = "a text") -> Page:
    """A page with everything that a page can hold, the text given wherever it takes one."""
    page = Page(f"title {text}", f"introduction {text}\n\nand {text}")
    page.section(f"heading {text}", f"beginning {text}")
    page.paragraph(f"paragraph {text}")
    page.viewer([(f"day {text}", day().array), (f"dusk {text}", dusk().array)])
    page.gallery([(f"caption {text}", day().array, f"note {text}"), ("other", day(40, 40).array, "")])
    page.table(
        [f"column {text}", Column(f"score {text}", best="low")], [[f"cell {text}", 1.5], ["b", 2.5]], caption=text
    )
    page.details(f"summary {text}", [(f"name {text}", f"value {text}")])
    page.svg(CHART, f"chart {text}")
    page.svg(CHART, "the same again")
    return page


def pictures(html: str) -> list[Image.Image]:
    """The pictures that a page holds, in the page's order."""
    found = re.findall(r'"data:image/(?:jpeg|png);base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


# Markup


def test_page_is_balanced_labelled_and_loads_nothing():
    markup = Markup(whole_page().html())
    markup.check()
    assert [e.words for e in markup.all("h1") + markup.all("h2")] == ["title a text", "heading a text"]
    assert [e.words for e in markup.all("p")] == [
        "introduction a text",
        "and a text",
        "beginning a text",
        "paragraph a text",
    ]


def test_all_text_stays_text():
    """Whatever a name holds is read again as it was, and adds no element to the page."""
    calm, hostile = Markup(whole_page().html()), Markup(whole_page(HOSTILE).html())
    assert [(e.tag, e.inside) for e in calm.elements] == [(e.tag, e.inside) for e in hostile.elements]
    given = 0
    for before, after in zip(calm.elements, hostile.elements, strict=True):
        assert list(before.attributes) == list(after.attributes)
        assert after.words == before.words.replace("a text", HOSTILE)
        for name, value in before.attributes.items():
            assert after.attributes[name] == value.replace("a text", HOSTILE)
            given += "a text" in value
    assert given >= 6, "alt texts and labels are among them"


def test_what_html_cannot_hold_is_replaced():
    page = Page("nul \0, bell \a, half a pair \udce9 and a line\r\nbreak")
    assert Markup(page.html()).one("h1").words == "nul \ufffd, bell \ufffd, half a pair \ufffd and a line\nbreak"
    page.html().encode("utf-8")


def test_same_calls_give_the_same_page():
    assert whole_page().html() == whole_page().html()
    page = whole_page()
    assert page.html() == page.html()


# Pictures


def test_picture_used_again_is_held_once():
    page = Page("pictures")
    page.viewer([("day", day().array), ("dusk", dusk().array), ("day again", Image.fromarray(day().array))])
    page.gallery([("dusk", dusk().array, ""), ("day", day().array, "")])
    assert [p.size for p in pictures(page.html())] == [(64, 48), (48, 56)]
    markup = Markup(page.html())
    copies = [e for e in markup.all("img") if "data-copy-of" in e.attributes]
    assert [(e.attributes["data-copy-of"], e.attributes["alt"]) for e in copies] == [
        ("picture1", "day again"),
        ("picture2", "dusk"),
        ("picture1", "day"),
    ]
    assert markup.one("img", id="picture2").attributes["alt"] == "dusk"


def test_wide_pictures_are_shrunk_and_others_are_not():
    page = Page("pictures", image_width=100)
    page.gallery([("wide", day(60, 240).array, ""), ("narrow", day(240, 60).array, "")])
    wide, narrow = pictures(page.html())
    assert wide.size == (100, 25) and narrow.size == (60, 240)
    wanted = day(60, 240).array[:, :, 0].reshape(3, 20, 12, 20).mean((1, 3))
    found = np.asarray(wide, float)[:24, :96, 0].reshape(3, 8, 12, 8).mean((1, 3))
    assert np.abs(found - wanted).mean() < 5
    assert [e.attributes.get("width") for e in Markup(page.html()).all("img")] == ["100", "60", None]


def test_photos_become_jpeg_and_masks_stay_exact():
    photo, mask = encoded_picture(day().array, "photo", 999), encoded_picture(day().mask, "mask", 999)
    assert photo.uri.startswith("data:image/jpeg") and mask.uri.startswith("data:image/png")
    found, exact = pictures(f'"{photo.uri}" "{mask.uri}"')
    assert np.abs(np.asarray(found, float) - day().array).mean() < 4
    assert np.array_equal(np.asarray(exact.convert("RGB")), day().mask)


def test_transparency_is_kept():
    array = np.dstack([day().array, np.full((48, 64), 60, np.uint8)])
    assert np.array_equal(np.asarray(pictures(f'"{encoded_picture(array, "a", 999).uri}"')[0]), array)
    opaque = np.dstack([day().array, np.full((48, 64), 255, np.uint8)])
    assert encoded_picture(opaque, "a", 999) == encoded_picture(day().array, "a", 999)


# Parts


def test_viewer_begins_with_the_sides_asked_for():
    page = Page("sides")
    page.viewer([("a", day().array), ("b", dusk().array), ("c", day(30, 90).array)], left="b", right="c")
    markup = Markup(page.html())
    chosen = [e.words for e in markup.all("option") if "selected" in e.attributes]
    assert chosen == ["b", "c"]
    assert markup.one("img", kind="left").attributes["alt"] == "b"
    assert markup.one("img", kind="right").attributes["alt"] == "c"
    assert "--ratio:3.0000" in markup.one("div", kind="viewer").attributes["style"]


@pytest.mark.parametrize(
    "names, sides, words",
    [
        (["a"], {}, "two or more"),
        (["a", "a"], {}, "different names"),
        (["a", "b"], {"left": "c"}, "left is 'c'"),
        (["a", "b"], {"right": ""}, "right is ''"),
    ],
)
def test_viewer_refuses_what_it_cannot_show(names, sides, words):
    with pytest.raises(InputError, match=words):
        Page("sides").viewer([(name, day().array) for name in names], **sides)


def test_best_values_are_marked_and_numbers_aligned():
    page = Page("table")
    columns = ["method", Column("distance", "low", ".2f"), Column("kept", "high"), Column("steps", "low"), "licence"]
    rows = [
        ["a", 0.5, 0.123456, 70, "MIT"],
        ["b", np.float32(0.25), float("nan"), 9, None],
        ["c", 0.25, None, 1234, "MIT"],
    ]
    page.table(columns, rows)
    markup = Markup(page.html())
    cells = [[e for e in markup.all("td")][4 * r : 4 * r + 4] for r in range(3)]
    assert [[e.words for e in row] for row in cells] == [
        ["0.50", "0.123 (best)", "70", "MIT"],
        ["0.25 (best)", "–", "9 (best)", "–"],
        ["0.25 (best)", "–", "1234", "MIT"],
    ]
    for row in cells:
        assert ["number" in e.attributes.get("class", "") for e in row] == [True, True, True, False]
        assert ["best" in e.attributes.get("class", "") for e in row] == ["best" in e.words for e in row]
    assert [e.words for e in markup.all("th", scope="row")] == ["a", "b", "c"]
    assert len(markup.all("th", **{"aria-sort": "none"})) == 5
    unsorted = Page("table")
    unsorted.table(columns, rows, sortable=False)
    assert not Markup(unsorted.html()).all("button")


def test_rows_of_another_length_are_refused():
    with pytest.raises(InputError, match="row 2 has 1 cells, wanted 2"):
        Page("table").table(["a", "b"], [[1, 2], [3]])


def test_two_charts_do_not_share_their_ids():
    page = Page("charts")
    page.svg(CHART, "one")
    page.svg(CHART, "two")
    markup = Markup(page.html())
    markup.check()
    assert [e.attributes["href"] for e in markup.all("use")] == ["#chart1-dot", "#chart2-dot"]
    assert [e.attributes["clip-path"] for e in markup.all("g")] == ["url(#chart1-clip)", "url(#chart2-clip)"]
    assert [e.attributes["aria-label"] for e in markup.all("svg")] == ["one", "two"]
    assert not markup.all("metadata") and markup.all("text")[0].words == "3 < 4"


@pytest.mark.parametrize(
    "inside",
    [
        "<script>1</script>",
        "<g onclick='1'/>",
        "<image href='https://example.org/a.png'/>",
        "<image xmlns:x='http://www.w3.org/1999/xlink' x:href='b.png'/>",
        "<g style='fill:url( https://example.org/#a)'/>",
        "<style>@import 'a.css'</style>",
        "<foreignObject/>",
        "<g>",
    ],
)
def test_charts_that_reach_outside_or_run_are_refused(inside):
    with pytest.raises(InputError, match="svg: "):
        Page("charts").svg(f"<svg xmlns='http://www.w3.org/2000/svg'>{inside}</svg>", "chart")


def test_what_is_no_chart_is_refused():
    with pytest.raises(InputError, match="wanted <svg>"):
        Page("charts").svg("<html/>", "chart")


# Files


def test_page_is_written_as_it_is(tmp_path):
    page = whole_page()
    page.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == page.html().encode("utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_file_stays_as_it_was_where_the_disk_is_full(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "page.html"
    path.write_text("before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(FileError, match=r"page\.html: cannot be written \(File too large\)"):
            write_text(path, "x" * 1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_reader_of_the_old_file_never_meets_a_half_written_one(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("before")
    with open(path) as reader:
        write_text(path, "after")
        assert reader.read() == "before" and path.read_text() == "after"


def test_folders_and_missing_folders_are_no_files(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "page.html"):
        with pytest.raises(FileError, match="cannot be written"):
            Page("a").write(path)
    assert not list(tmp_path.iterdir())


def test_link_is_followed(tmp_path):
    (tmp_path / "real.html").write_text("before")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    write_text(tmp_path / "link.html", "after")
    assert (tmp_path / "link.html").is_symlink() and (tmp_path / "real.html").read_text() == "after"


# In a browser


def colour_at(window, folder: Path, share: float) -> tuple[int, ...]:
    """The colour on the screen at a share of the first viewer's width, a quarter from its lower edge."""
    box = window.run(
        "scrollTo(0, 0); const box = document.querySelector('.stage').getBoundingClientRect();"
        "return [box.x + box.width * arguments[0], box.y + box.height * 0.75, devicePixelRatio]",
        share,
    )
    window.screenshot(folder / "screen.png")
    return Image.open(folder / "screen.png").convert("RGB").getpixel((int(box[0] * box[2]), int(box[1] * box[2])))


RED, GREEN, BLUE = (200, 20, 20), (20, 160, 20), (20, 20, 200)


@pytest.fixture
def tried_page(tmp_path) -> Path:
    page = Page("In a browser")
    page.viewer([("red", plain(RED)), ("green", plain(GREEN)), ("blue", plain(BLUE, 80, 120))], right="green")
    page.gallery([("red", plain(RED), "a note"), ("photo", day(100, 150).array, "")])
    columns = ["method", Column("kept", "high"), *(Column(f"a wide column {n}", "low") for n in range(8))]
    page.table(columns, [["b10", 2.0, *range(8)], ["b9", None, *range(8)], ["a", 10.0, *range(8)]])
    page.write(tmp_path / "page.html")
    return tmp_path / "page.html"


@needs_browser
def test_slider_lists_sorting_and_enlarging_work(tried_page, tmp_path):
    with browser() as window:
        window.open(tried_page)
        assert window.run("return [...document.images].every(i => i.closest('dialog') || i.naturalWidth > 50)")

        assert colour_at(window, tmp_path, 0.25) == RED and colour_at(window, tmp_path, 0.75) == GREEN
        window.drag(".stage", (0.5, 0.7), (0.1, 0.7))
        assert colour_at(window, tmp_path, 0.05) == RED and colour_at(window, tmp_path, 0.15) == GREEN
        before = float(window.run("return document.querySelector('.stage input').value"))
        assert before == pytest.approx(10, abs=1)
        window.press("\ue014" * 4)  # the right arrow, on the slider that was dragged
        assert float(window.run("return document.querySelector('.stage input').value")) == before + 2
        window.press("\ue010")  # End
        assert colour_at(window, tmp_path, 0.95) == RED

        window.press("blue", "[data-side=right]")
        window.press("\ue011", ".stage input")  # Home
        assert colour_at(window, tmp_path, 0.5) == BLUE
        assert colour_at(window, tmp_path, 0.1) not in (RED, GREEN, BLUE), "no other picture shows beside a narrow one"
        assert "100 % blue" in window.run("return document.querySelector('.stage input').ariaValueText")

        def rows() -> str:
            return window.run("return [...document.querySelectorAll('tbody th')].map(e => e.textContent).join()")

        window.click("thead th:nth-child(2) button")
        assert rows() == "a,b10,b9", "the best first, missing values last"
        window.click("thead th:nth-child(2) button")
        assert rows() == "b10,a,b9"
        window.press("\ue007", "thead th:nth-child(1) button")  # Enter
        assert rows() == "a,b9,b10", "numbers in names count as numbers"

        window.click(".gallery figure:nth-child(2) button")
        shown = "const d = document.getElementById('enlarged'); return [d.open, d.querySelector('img').naturalWidth]"
        assert window.run(shown) == [True, 150]
        window.press("\ue00c")  # Escape
        assert window.run(shown)[0] is False
        window.press("\ue007", ".gallery figure:nth-child(1) button")
        assert window.run(shown) == [True, 120]
        window.click("#enlarged img")
        assert window.run(shown)[0] is False
        assert window.mistakes() == []


@needs_browser
def test_page_fits_a_phone_and_both_themes(tried_page, tmp_path):
    with browser(360, 740, touch=True) as window:
        papers = []
        for theme in ("light", "dark"):
            window.theme(theme)
            window.open(tried_page)
            assert window.run("return document.documentElement.scrollWidth") == 360, "nothing sticks out"
            assert window.run("const s = document.querySelector('.scroll'); return s.scrollWidth > s.clientWidth + 300")
            colours = window.run("const c = getComputedStyle(document.body); return [c.backgroundColor, c.color]")
            papers.append([sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours])
        assert papers[0][0] > 600 > 200 > papers[0][1] and papers[1][0] < 150 < 500 < papers[1][1]
        window.drag(".stage", (0.5, 0.7), (0.8, 0.7), kind="touch")
        assert colour_at(window, tmp_path, 0.7) == RED and colour_at(window, tmp_path, 0.9) == GREEN
        assert window.mistakes() == []
