"""A strict reader of HTML pages: balanced tags, attributes, text, and nothing that is loaded from elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"br", "hr", "img", "input", "link", "meta"}
_LOADING = {"src", "href", "xlink:href", "srcset", "poster", "data", "action"}


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str]
    inside: tuple[str, ...]  # tags of the elements around it, outermost first
    text: list[str] = field(default_factory=list)  # pieces, with those of the elements in it

    @property
    def words(self) -> str:
        """The whole text of the element."""
        return "".join(self.text)


class Markup(HTMLParser):
    """The elements of a page in their order; a page whose tags do not balance raises AssertionError."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {[e.tag for e in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> repeats an attribute: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(e.tag for e in self._open))
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            assert "svg" in self._open.pop().inside, f"<{tag}/> does not close an element of HTML"

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1].tag == tag, f"</{tag}> closes {[e.tag for e in self._open]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text.append(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements with a tag, these attributes, and the class `kind` among their classes if it is given."""
        kind = attributes.pop("kind", None)
        return [
            e
            for e in self.elements
            if e.tag == tag
            and all(e.attributes.get(name) == value for name, value in attributes.items())
            and (kind is None or kind in e.attributes.get("class", "").split())
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        """Return the only such element."""
        elements = self.all(tag, **attributes)
        assert len(elements) == 1, f"{len(elements)} elements <{tag}> with {attributes}"
        return elements[0]

    def check(self) -> None:
        """Check what every page of the package promises: it fits phones, is accessible and loads nothing."""
        assert self.one("html").attributes["lang"], "the page does not name its language"
        assert self.one("title").words, "the page has no title"
        assert "width=device-width" in self.one("meta", name="viewport").attributes["content"]
        ids = [e.attributes["id"] for e in self.elements if "id" in e.attributes]
        assert len(set(ids)) == len(ids), f"an id is used twice: {sorted(ids)}"
        self._check_pictures(ids)
        self._check_controls()
        self._check_nothing_is_loaded()

    def _check_pictures(self, ids: list[str]) -> None:
        for image in self.all("img"):
            empty_dialog = "dialog" in image.inside and "alt" in image.attributes  # a script fills it
            assert image.attributes.get("alt") or empty_dialog, f"a picture has no alt text: {image.attributes['src']}"
            source = image.attributes.get("data-copy-of")
            assert source is None or source in ids, f"a picture is a copy of {source}, which does not exist"

    def _check_controls(self) -> None:
        for control in (*self.all("select"), *self.all("input"), *self.all("textarea")):
            labelled = control.attributes.get("aria-label") or "label" in control.inside
            assert labelled or self.all("label", **{"for": control.attributes["id"]}), f"no label: {control}"
        for button in self.all("button"):
            assert button.attributes.get("aria-label") or button.words.strip(), f"no label: {button}"

    def _check_nothing_is_loaded(self) -> None:
        for element in self.elements:
            for name, value in element.attributes.items():
                loads = name in _LOADING and not value.startswith(("data:", "#"))
                assert not loads, f"<{element.tag} {name}={value[:60]}> loads something"
                targets = re.findall(r"url\(\s*['\"]?([^)]*)", value)
                assert all(target.startswith("#") for target in targets), f"<{element.tag}> loads {targets}"
        for style in self.all("style"):
            assert "url(" not in style.words and "@import" not in style.words, "a style loads something"
        for script in self.all("script"):
            loads = "src" in script.attributes or re.search(r"https?://|\bfetch\b|\bimport\b", script.words)
            assert not loads, f"a script loads something: {loads}"
        policy = self.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
        assert policy.startswith("default-src 'none'") and "http" not in policy, f"the policy allows loading: {policy}"
