"""SVG charts made part of a page: ids of their own, no metadata, and nothing that runs or loads."""

from __future__ import annotations

import pytest
from markup import Markup

from fastphoto.errors import InputError
from fastphoto.reports.inline_svg import inline_svg

CHART = """<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">
<metadata><a xmlns="http://purl.org/dc/">made</a></metadata><style>*{stroke-linecap:butt}</style>
<defs><path id="dot" d="M0 0h1"/><clipPath id="clip"><path d="M0 0h9"/></clipPath></defs>
<g clip-path="url(#clip)"><use xlink:href="#dot" x="2"/></g><text>3 &lt; 4</text></svg>"""


def test_ids_and_references_to_them_get_the_prefix():
    markup = Markup(inline_svg(CHART, "p-", "label"))
    assert [e.attributes["id"] for e in markup.elements if "id" in e.attributes] == ["p-dot", "p-clip"]
    assert markup.one("use").attributes["href"] == "#p-dot"
    assert markup.one("g").attributes["clip-path"] == "url(#p-clip)"


def test_chart_is_a_labelled_image():
    svg = Markup(inline_svg(CHART, "p-", "label <1>")).one("svg")
    assert (svg.attributes["role"], svg.attributes["aria-label"]) == ("img", "label <1>")


def test_text_stays_and_metadata_goes():
    markup = Markup(inline_svg(CHART, "p-", "label"))
    assert markup.one("text").words == "3 < 4"
    assert not markup.all("metadata")


@pytest.mark.parametrize(
    "inside, words",
    [
        pytest.param("<script>1</script>", "contains <script>", id="script"),
        pytest.param("<g onclick='1'/>", "contains onclick, a script", id="script attribute"),
        pytest.param("<image href='https://example.org/a.png'/>", "refers to https://example.org", id="address"),
        pytest.param(
            "<image xmlns:x='http://www.w3.org/1999/xlink' x:href='b.png'/>", "refers to b.png", id="file by xlink"
        ),
        pytest.param("<g style='fill:url( https://example.org/#a)'/>", "refers to fill:url", id="address in a style"),
        pytest.param("<style>@import 'a.css'</style>", "refers to @import", id="import"),
        pytest.param("<foreignObject/>", "contains <foreignObject>", id="foreign object"),
        pytest.param("<g>", "not well-formed XML", id="not well-formed"),
    ],
)
def test_chart_that_runs_or_loads_something_is_refused(inside, words):
    with pytest.raises(InputError, match=f"svg: {words}"):
        inline_svg(f"<svg xmlns='http://www.w3.org/2000/svg'>{inside}</svg>", "p-", "label")


def test_other_xml_is_refused():
    with pytest.raises(InputError, match="the root element is <html>; it must be <svg>"):
        inline_svg("<html/>", "p-", "label")
