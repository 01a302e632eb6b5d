"""HTML documents that load nothing: text is escaped, and styles and scripts are part of the file."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

BLANK_IMAGE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
"""A transparent pixel: the source of an <img> until a script fills it."""

ENLARGED_DIALOG = (
    '<dialog id="enlarged" aria-label="Enlarged picture"><form method="dialog"><button>Close</button></form>'
    f'<figure><img src="{BLANK_IMAGE}" alt=""><figcaption></figcaption></figure></dialog>'
)
"""The dialog in which page.js shows the picture of a clicked button of the class "enlarge"."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_INVALID_IN_HTML = "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"


def html_document(title: str, body: str, styles: Sequence[str], scripts: Sequence[str], language: str = "en") -> str:
    """Return a whole HTML document around a body; its security policy forbids loading anything.

    Args:
        title: title of the window.
        body: HTML of the body.
        styles: names of CSS files in this folder to copy into the document.
        scripts: names of JavaScript files in this folder to copy into the document.
        language: language of the text.
    """
    style, script = ("\n".join(_asset(name) for name in names) for names in (styles, scripts))
    return (
        f'<!DOCTYPE html>\n<html lang="{escaped(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n"
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def escaped(text: str) -> str:
    """Return text that shows as it is in an element or a quoted attribute of HTML."""
    return html.escape(valid_text(text))


def valid_text(text: str) -> str:
    """Return text with U+FFFD in place of characters that HTML forbids: controls, surrogates, U+FFFE and U+FFFF."""
    return re.sub(_INVALID_IN_HTML, "\ufffd", re.sub("\r\n?", "\n", text))


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
