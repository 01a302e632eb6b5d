"""Reads HTML pages as a strict parser would: balanced tags, attributes, text, and what is loaded from where."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"br", "hr", "img", "input", "link", "meta"}
_LOADING = {"src", "href", "xlink:href", "srcset", "poster", "data", "action"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    inside: tuple[str, ...]  # tags of the elements around it, outermost first
    text: list[str] = field(default_factory=list)  # its own and that of elements in it

    @property
    def words(self) -> str:
        return "".join(self.text)


class Markup(HTMLParser):
    """The elements of a page in order; raises AssertionError where tags do not balance."""

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
            assert "svg" in self._open.pop().inside, f"<{tag}/> is no way to close an element of HTML"

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1].tag == tag, f"</{tag}> closes {[e.tag for e in self._open]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text.append(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Elements with that tag and these attributes; a class need only be one of an element's."""
        kind = attributes.pop("kind", None)
        return [
            e
            for e in self.elements
            if e.tag == tag
            and all(e.attributes.get(name) == value for name, value in attributes.items())
            and (kind is None or kind in e.attributes.get("class", "").split())
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} <{tag}> with {attributes}"
        return found[0]

    def check(self) -> None:
        """What holds for every page of the package."""
        html = self.one("html")
        assert html.attributes["lang"] and self.one("title").words
        assert "width=device-width" in self.one("meta", name="viewport").attributes["content"]
        ids = [e.attributes["id"] for e in self.elements if "id" in e.attributes]
        assert len(set(ids)) == len(ids), "an id is given twice"
        for image in self.all("img"):
            assert image.attributes.get("alt") or ("dialog" in image.inside and "alt" in image.attributes)
            assert image.attributes.get("data-copy-of", ids[0] if ids else None) in [*ids, None]
        for control in (*self.all("select"), *self.all("input"), *self.all("textarea")):
            labelled = control.attributes.get("aria-label") or "label" in control.inside
            assert labelled or self.all("label", **{"for": control.attributes["id"]}), control
        for button in self.all("button"):
            assert button.attributes.get("aria-label") or button.words.strip()
        self._check_nothing_is_loaded()

    def _check_nothing_is_loaded(self) -> None:
        for element in self.elements:
            for name, value in element.attributes.items():
                if name in _LOADING:
                    assert value.startswith(("data:", "#")), f"<{element.tag} {name}={value[:60]}>"
                assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)]*)", value))
        for style in self.all("style"):
            assert "url(" not in style.words and "@import" not in style.words
        for script in self.all("script"):
            assert "src" not in script.attributes and not re.search(r"https?://|\bfetch\b|\bimport\b", script.words)
        policy = self.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
        assert policy.startswith("default-src 'none'") and "http" not in policy
