"""Pages: valid and self-contained HTML, text that stays text, pictures stored once, and files written whole."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from markup import Markup
from PIL import Image
from rendered_photos import day, dusk

from fastphoto.errors import FileError, InputError
from fastphoto.reports.page import Page
from fastphoto.reports.page_tables import Column

HOSTILE = """</title></script><script>alert("x")</script><img src=x onerror='y'>&amp;$x"""
CHART = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text>3 &lt; 4</text></svg>'


def whole_page(text: str = "a text") -> Page:
    """Return a page of everything that a page can hold, with the text in every argument that takes one."""
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


def sizes_of_pictures(html: str) -> list[tuple[int, int]]:
    """Return (width, height) of the pictures that a page stores, in its order."""
    encoded = re.findall(r'"data:image/(?:jpeg|png);base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(data))).size for data in encoded]


# ---- markup and text ---------------------------------------------------------------------------------------


def test_page_is_balanced_accessible_and_loads_nothing():
    Markup(whole_page().html()).check()


def test_headings_and_paragraphs_come_in_their_order():
    markup = Markup(whole_page().html())
    assert [e.words for e in markup.all("h1") + markup.all("h2")] == ["title a text", "heading a text"]
    assert [e.words for e in markup.all("p")] == [
        "introduction a text",
        "and a text",
        "beginning a text",
        "paragraph a text",
    ]


def test_text_is_never_read_as_html():
    """Hostile text comes back as it was, in every element and attribute, and adds no element to the page."""
    calm, hostile = Markup(whole_page().html()), Markup(whole_page(HOSTILE).html())
    assert [(e.tag, e.inside) for e in calm.elements] == [(e.tag, e.inside) for e in hostile.elements]
    for before, after in zip(calm.elements, hostile.elements, strict=True):
        assert after.words == before.words.replace("a text", HOSTILE)
        expected = {name: value.replace("a text", HOSTILE) for name, value in before.attributes.items()}
        assert after.attributes == expected
    attributes = [value for element in calm.elements for value in element.attributes.values()]
    assert sum("a text" in value for value in attributes) >= 6, "alt texts and labels hold no text, and test nothing"


def test_characters_that_html_cannot_hold_are_replaced():
    page = Page("nul \0, bell \a, half a pair \udce9 and a line\r\nbreak")
    assert Markup(page.html()).one("h1").words == "nul \ufffd, bell \ufffd, half a pair \ufffd and a line\nbreak"
    page.html().encode("utf-8")


def test_same_calls_give_the_same_page():
    assert whole_page().html() == whole_page().html()


def test_html_can_be_called_again():
    page = whole_page()
    assert page.html() == page.html()


def test_image_width_below_one_pixel_is_refused():
    with pytest.raises(InputError, match="image_width: must be at least 1 pixel, got 0"):
        Page("title", image_width=0)


# ---- pictures ----------------------------------------------------------------------------------------------


def test_picture_that_is_used_again_is_stored_once():
    page = Page("pictures")
    page.viewer([("day", day().array), ("dusk", dusk().array), ("day again", Image.fromarray(day().array))])
    page.gallery([("dusk", dusk().array, ""), ("day", day().array, "")])
    assert sizes_of_pictures(page.html()) == [(64, 48), (48, 56)]
    markup = Markup(page.html())
    copies = [e.attributes for e in markup.all("img") if "data-copy-of" in e.attributes]
    assert [(attributes["data-copy-of"], attributes["alt"]) for attributes in copies] == [
        ("picture1", "day again"),
        ("picture2", "dusk"),
        ("picture1", "day"),
    ]
    assert markup.one("img", id="picture2").attributes["alt"] == "dusk"


def test_pictures_are_no_wider_than_the_page_asks_for():
    page = Page("pictures", image_width=100)
    page.gallery([("wide", day(60, 240).array, ""), ("narrow", day(240, 60).array, "")])
    assert sizes_of_pictures(page.html()) == [(100, 25), (60, 240)]
    assert [e.attributes.get("width") for e in Markup(page.html()).all("img")] == ["100", "60", None]


def test_pictures_of_noise_are_stored_too():
    """They take more than a byte a pixel, which is the buffer that Pillow gives an optimised JPEG."""
    noise = np.random.default_rng(0).integers(0, 256, (350, 400, 3), dtype=np.uint8)
    page = Page("title", "introduction")
    page.gallery([("noise", noise, "")])
    assert sizes_of_pictures(page.html()) == [(400, 350)]


def test_empty_gallery_adds_nothing():
    page = Page("pictures")
    before = page.html()
    page.gallery([])
    assert page.html() == before


def test_viewer_begins_with_the_chosen_sides():
    page = Page("sides")
    page.viewer([("a", day().array), ("b", dusk().array), ("c", day(30, 90).array)], left="b", right="c")
    markup = Markup(page.html())
    assert [e.words for e in markup.all("option") if "selected" in e.attributes] == ["b", "c"]
    assert markup.one("img", kind="left").attributes["alt"] == "b"
    assert markup.one("img", kind="right").attributes["alt"] == "c"
    assert "--ratio:3.0000" in markup.one("div", kind="viewer").attributes["style"], "not the shape of the right side"


@pytest.mark.parametrize(
    "names, sides, words",
    [
        pytest.param(["a"], {}, "two or more", id="one picture"),
        pytest.param(["a", "a"], {}, "different names", id="a repeated name"),
        pytest.param(["a", "b"], {"left": "c"}, "left is 'c'; give one of", id="an unknown left side"),
        pytest.param(["a", "b"], {"right": ""}, "right is ''; give one of", id="an unknown right side"),
    ],
)
def test_viewer_refuses(names, sides, words):
    with pytest.raises(InputError, match=words):
        Page("sides").viewer([(name, day().array) for name in names], **sides)


# ---- charts ------------------------------------------------------------------------------------------------


def test_each_chart_has_its_own_ids():
    chart = CHART.replace("<text>", '<path id="dot"/><use href="#dot"/><text>')
    page = Page("charts")
    page.svg(chart, "one")
    page.svg(chart, "two")
    markup = Markup(page.html())
    markup.check()
    assert [e.attributes["href"] for e in markup.all("use")] == ["#chart1-dot", "#chart2-dot"]
    assert [e.attributes["aria-label"] for e in markup.all("svg")] == ["one", "two"]


# ---- files -------------------------------------------------------------------------------------------------


def test_page_is_written_as_it_is(tmp_path):
    page = whole_page()
    page.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == page.html().encode("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"], "a temporary file was left"


def test_file_stays_as_it_was_if_the_disk_is_full(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "page.html"
    path.write_text("before")
    page = Page("large", "x" * 1_000_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(FileError, match=r"page\.html: cannot be written \(File too large\)"):
            page.write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"], "a temporary file was left"


def test_reader_of_the_old_file_never_meets_a_half_written_one(tmp_path):
    path, page = tmp_path / "page.html", Page("new")
    path.write_text("before")
    with open(path) as reader:
        page.write(path)
        assert reader.read() == "before" and path.read_text() == page.html()


@pytest.mark.parametrize("name", ["", "missing/page.html"], ids=["a folder", "in a missing folder"])
def test_page_cannot_be_written_there(tmp_path, name):
    with pytest.raises(FileError, match="cannot be written"):
        Page("a").write(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_link_is_followed(tmp_path):
    (tmp_path / "real.html").write_text("before")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    page = Page("new")
    page.write(tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink() and (tmp_path / "real.html").read_text() == page.html()
