"""SVG charts made part of a page: cleaned, and refused where they would run a script or load something."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from fastphoto.errors import InputError, error_text
from fastphoto.reports.document import valid_text

_ACTIVE_ELEMENTS = frozenset({"script", "foreignObject", "iframe", "animate", "set", "handler"})


def inline_svg(text: str, prefix: str, label: str) -> str:
    """Return an SVG as an element of HTML: without namespaces and metadata, and with a prefix before each id.

    Args:
        text: text of the SVG file.
        prefix: prefix that no other chart of the page has.
        label: description for screen readers.

    Raises:
        InputError: text that is not SVG, or SVG that runs a script or refers to anything outside itself.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"svg: not well-formed XML ({error_text(error)})") from error
    if _local_name(root.tag) != "svg":
        raise InputError(f"svg: the root element is <{_local_name(root.tag)}>; it must be <svg>")
    _remove_metadata(root)
    for element in root.iter():
        element.tag = _local_name(element.tag)
        if element.tag in _ACTIVE_ELEMENTS:
            raise InputError(f"svg: contains <{element.tag}>; charts must not run or move")
        attributes = {_local_name(name): value for name, value in element.attrib.items()}
        element.attrib.clear()
        for name, value in attributes.items():
            element.set(name, _with_prefix(name, value, prefix))
        if element.tag == "style":
            element.text = _with_prefix("style", element.text or "", prefix)
    root.set("role", "img")
    root.set("aria-label", valid_text(label))
    return ElementTree.tostring(root, encoding="unicode")


def _remove_metadata(root: ElementTree.Element) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if _local_name(child.tag) == "metadata":
                parent.remove(child)


def _local_name(name: str) -> str:
    """Return a name without its namespace."""
    return name.rpartition("}")[2]


def _with_prefix(name: str, value: str, prefix: str) -> str:
    """Return an attribute's value with the prefix before each id that it defines or refers to."""
    if name.lower().startswith("on"):
        raise InputError(f"svg: contains {name}, a script; charts must not run or move")
    if name == "id":
        return prefix + value
    if name in ("href", "src"):
        if value.startswith("data:image/"):
            return value
        if not value.startswith("#"):
            raise _reaches_outside(value)
        return f"#{prefix}{value[1:]}"
    targets = re.findall(r"url\(\s*['\"]?([^'\")]*)", value)
    if "@import" in value or not all(target.startswith("#") for target in targets):
        raise _reaches_outside(value)
    return re.sub(r"(url\(\s*['\"]?#)", rf"\g<1>{prefix}", value)


def _reaches_outside(value: str) -> InputError:
    return InputError(f"svg: refers to {value[:60]}; charts must contain everything they show")
