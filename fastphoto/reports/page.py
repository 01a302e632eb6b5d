"""One self-contained web page of pictures, tables and charts, which loads nothing and opens from a disk."""

from __future__ import annotations

import base64
import html
import io
import math
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from fastphoto.errors import InputError, error_text
from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo
from fastphoto.runtime.files import write_text

Cell = str | float | None

JPEG_QUALITY = 90
FEW_COLOURS = 256  # a picture with no more is a mask or a chart, whose edges JPEG would smear
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
"""A transparent pixel, the source of pictures that the page's script fills in."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_ACTIVE_SVG = frozenset({"script", "foreignObject", "iframe", "animate", "set", "handler"})


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, which of its numbers is marked as the best, and how they are written."""

    name: str
    best: Literal["low", "high"] | None = None
    format: str = ""
    """Format specification of numbers, such as ".2f"; empty: integers whole, others with three digits."""


@dataclass(frozen=True)
class Picture:
    """An image as a page holds it."""

    uri: str
    """data: URI of a JPEG, or of a PNG for few colours or alpha; sRGB."""
    width: int  # pixels
    height: int  # pixels


class Page:
    """A page that grows from top to bottom by its methods' calls; text given to it is shown as it is, never as HTML.

    image_width: pixels; wider pictures are shrunk to it. A picture used several times is held once.
    """

    def __init__(self, title: str, introduction: str = "", image_width: int = 1600, language: str = "en") -> None:
        if image_width < 1:
            raise InputError(f"image_width: must be at least 1 pixel, got {image_width}")
        self.title = title
        self.image_width = image_width
        self.language = language
        self._parts = [f"<h1>{escaped(title)}</h1>"]
        self._ids: dict[str, str] = {}  # URI of a picture -> id of the element that holds it
        self._charts = 0
        self.paragraph(introduction, "introduction")

    def section(self, heading: str, text: str = "") -> None:
        """Begin a section with a heading and, if given, a paragraph."""
        self._parts.append(f"<h2>{escaped(heading)}</h2>")
        self.paragraph(text)

    def paragraph(self, text: str, kind: str = "") -> None:
        """Add a paragraph, or several where blank lines part the text; `kind` is their class in page.css."""
        marked = f' class="{escaped(kind)}"' if kind else ""
        self._parts += [f"<p{marked}>{escaped(part)}</p>" for part in re.split(r"\n\s*\n", text) if part.strip()]

    def viewer(
        self, pictures: Sequence[tuple[str, PhotoSource]], left: str | None = None, right: str | None = None
    ) -> None:
        """Add a before/after slider; two lists choose which of the named pictures are its sides.

        left, right: names shown first; default: the first and the last. The frame has the shape of the picture that
        is on the right first; pictures of another shape are fitted into it. Raises InputError for fewer than two
        pictures, a repeated name and an unknown one.
        """
        names = [name for name, _ in pictures]
        if len(names) < 2 or len(set(names)) < len(names):
            raise InputError(f"viewer: needs two or more pictures with different names, got {names}")
        sides = {"left": names[0] if left is None else left, "right": names[-1] if right is None else right}
        for side, name in sides.items():
            if name not in names:
                raise InputError(f"viewer: {side} is {name!r}, which is none of {names}")
        encoded = [encoded_picture(source, name, self.image_width) for name, source in pictures]
        frame = encoded[names.index(sides["right"])]
        choices = "".join(
            f'<label><span>{side.capitalize()}</span> <select data-side="{side}">'
            + "".join(f"<option{' selected' if n == name else ''}>{escaped(n)}</option>" for n in names)
            + "</select></label>"
            for side, name in sides.items()
        )
        stack = "".join(
            self._image(picture, name, " ".join(side for side, chosen in sides.items() if chosen == name))
            for name, picture in zip(names, encoded, strict=True)
        )
        self._parts.append(
            f'<div class="viewer" style="--ratio:{_ratio(frame)};--at:50">'
            f'<div class="choices">{choices}</div><div class="stage">{stack}'
            f'<span class="name" data-name="left" aria-hidden="true">{escaped(sides["left"])}</span>'
            f'<span class="name" data-name="right" aria-hidden="true">{escaped(sides["right"])}</span>'
            '<input type="range" min="0" max="100" step="0.5" value="50" '
            'aria-label="Where the left picture ends and the right one begins">'
            '<span class="divider" aria-hidden="true"></span></div></div>'
        )

    def gallery(self, pictures: Sequence[tuple[str, PhotoSource, str]]) -> None:
        """Add a grid of (caption, picture, note); a click, a tap or the Enter key enlarges one.

        All frames have the shape of the first picture; pictures of another shape are fitted into them.
        """
        if not pictures:
            return
        encoded = [encoded_picture(source, caption, self.image_width) for caption, source, _ in pictures]
        figures = "".join(
            f'<figure><button type="button" class="enlarge" aria-label="Enlarge: {escaped(caption)}">'
            f"{self._image(picture, caption)}</button><figcaption>"
            f"<strong>{escaped(caption)}</strong>{f' <span>{escaped(note)}</span>' if note else ''}"
            "</figcaption></figure>"
            for (caption, _, note), picture in zip(pictures, encoded, strict=True)
        )
        self._parts.append(f'<div class="gallery" style="--ratio:{_ratio(encoded[0])}">{figures}</div>')

    def table(
        self,
        columns: Sequence[str | Column],
        rows: Sequence[Sequence[Cell]],
        sortable: bool = True,
        caption: str = "",
    ) -> None:
        """Add a table whose first column names the rows; on narrow screens it scrolls sideways below that column.

        rows: one cell a column; None and NaN are shown as a dash. Columns of numbers only are right-aligned, and their
        best values marked where a `Column` asks for it. sortable: headings are buttons that sort.
        Raises InputError for a row of another length.
        """
        described = [column if isinstance(column, Column) else Column(column) for column in columns]
        for number, row in enumerate(rows, 1):
            if len(row) != len(described):
                raise InputError(f"table: row {number} has {len(row)} cells, wanted {len(described)}")
        values = [[_missing_as_none(row[c]) for row in rows] for c in range(len(described))]
        numeric = [
            any(v is not None for v in column) and all(v is None or _is_number(v) for v in column) for column in values
        ]
        bests = [
            _best(described[c], values[c]) if numeric[c] and described[c].best else None for c in range(len(described))
        ]
        head = "".join(_heading(column, number, sortable) for column, number in zip(described, numeric, strict=True))
        body = "".join(
            "<tr>"
            + "".join(
                _cell(described[c], values[c][r], numeric[c], bests[c], first=c == 0) for c in range(len(described))
            )
            + "</tr>"
            for r in range(len(rows))
        )
        title = f"<caption><span>{escaped(caption)}</span></caption>" if caption else ""
        self._parts.append(
            f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(caption or "Table")}">'
            f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def details(self, summary: str, rows: Sequence[tuple[str, object]]) -> None:
        """Add a list of names and values that is folded away until its summary is chosen."""
        entries = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(str(value))}</dd></div>" for name, value in rows)
        self._parts.append(f"<details><summary>{escaped(summary)}</summary><dl>{entries}</dl></details>")

    def svg(self, text: str, caption: str) -> None:
        """Add a chart; `currentColor`, `var(--accent)` and `var(--line)` in it follow the page's theme.

        Raises InputError for text that is no SVG, or one that runs a script or refers to anything outside itself.
        """
        self._charts += 1
        chart = _inline_svg(text, f"chart{self._charts}-", caption)
        self._parts.append(f'<figure class="chart">{chart}<figcaption>{escaped(caption)}</figcaption></figure>')

    def html(self) -> str:
        """The whole page."""
        body = "\n".join(self._parts)
        if 'class="enlarge"' in body:
            body += "\n" + ENLARGED
        return document(self.title, f"<main>\n{body}\n</main>", ["page.css"], ["page.js"], self.language)

    def write(self, path: str | os.PathLike) -> None:
        """Write the page to a file, whole or not at all; raises FileError where that fails."""
        write_text(path, self.html())

    def _image(self, picture: Picture, alt: str, kind: str = "") -> str:
        """An <img> that holds the picture, or one that the page's script fills from the one that does."""
        shared = f'width="{picture.width}" height="{picture.height}" alt="{escaped(alt)}"'
        if kind:
            shared += f' class="{kind}"'
        if picture.uri in self._ids:
            return f'<img src="{BLANK}" data-copy-of="{self._ids[picture.uri]}" {shared}>'
        name = self._ids[picture.uri] = f"picture{len(self._ids) + 1}"
        return f'<img id="{name}" src="{picture.uri}" {shared}>'


ENLARGED = (
    '<dialog id="enlarged" aria-label="Enlarged picture"><form method="dialog"><button>Close</button></form>'
    f'<figure><img src="{BLANK}" alt=""><figcaption></figcaption></figure></dialog>'
)
"""Where page.js shows the picture of a button of the class "enlarge"."""


def document(title: str, body: str, styles: Sequence[str], scripts: Sequence[str], language: str = "en") -> str:
    """An HTML document around a body, with files of this folder as its styles and scripts; it may load nothing."""
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
    """Text for an element or a quoted attribute of HTML."""
    return html.escape(_printable(text))


def _printable(text: str) -> str:
    """Text with U+FFFD for what HTML cannot hold: control characters, half surrogates, U+FFFE."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", re.sub("\r\n?", "\n", text))


def encoded_picture(source: PhotoSource, name: str, width: int) -> Picture:
    """Encode what `fastphoto.images.read_photo` reads, at most `width` pixels wide; raises as that does."""
    photo = read_photo(source, name)
    image = _image_of(photo)
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    if image.mode == "RGBA" or image.getcolors(FEW_COLOURS) is not None:
        kind = "png"
        image.save(stream, "PNG", optimize=True)
    else:
        kind = "jpeg"
        image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return Picture(f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}", *image.size)


def _ratio(picture: Picture) -> str:
    return f"{picture.width / picture.height:.4f}"


def _image_of(photo: Photo) -> Image.Image:
    """RGB, or RGBA where anything shows through."""
    transparent = photo.alpha is not None and float(photo.alpha.min()) < 1
    planes = torch.cat([photo.pixels, photo.alpha[None]]) if transparent else photo.pixels
    return Image.fromarray(planes.mul(255).round_().to(torch.uint8).permute(1, 2, 0).contiguous().numpy())


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _missing_as_none(value: Cell) -> Cell:
    return None if isinstance(value, Real) and math.isnan(value) else value


def _best(column: Column, values: Sequence[Cell]) -> float:
    numbers = [float(v) for v in values if v is not None]
    return min(numbers) if column.best == "low" else max(numbers)


def _heading(column: Column, numeric: bool, sortable: bool) -> str:
    kind = ' class="number"' if numeric else ""
    if not sortable:
        return f'<th scope="col"{kind}>{escaped(column.name)}</th>'
    first = "descending" if column.best == "high" else "ascending"
    return (
        f'<th scope="col"{kind} aria-sort="none" data-first="{first}">'
        f'<button type="button">{escaped(column.name)}</button></th>'
    )


def _cell(column: Column, value: Cell, numeric: bool, best: float | None, first: bool) -> str:
    tag, scope = ("th", ' scope="row"') if first else ("td", "")
    if value is None:
        shown = "–"
    elif _is_number(value):
        shown = format(value, column.format or ("d" if isinstance(value, Integral) else ".3g"))
    else:
        shown = str(value)
    kinds = ["number"] if numeric else []
    text = escaped(shown)
    if best is not None and value is not None and float(value) == best:
        kinds.append("best")
        text += '<span class="unseen"> (best)</span>'
    marked = f' class="{" ".join(kinds)}"' if kinds else ""
    exact = f' data-value="{float(value)!r}"' if numeric and value is not None else ""
    return f"<{tag}{scope}{marked}{exact}>{text}</{tag}>"


def _inline_svg(text: str, prefix: str, label: str) -> str:
    """An SVG as HTML holds it: no namespaces or metadata, its ids its own, and nothing that reaches outside."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"svg: not well-formed XML ({error_text(error)})") from error
    if _local(root.tag) != "svg":
        raise InputError(f"svg: the root element is <{_local(root.tag)}>, wanted <svg>")
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) == "metadata":
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        if element.tag in _ACTIVE_SVG:
            raise InputError(f"svg: holds <{element.tag}>; charts must be still")
        attributes = {_local(name): value for name, value in element.attrib.items()}
        element.attrib.clear()
        for name, value in attributes.items():
            element.set(name, _own_reference(name, value, prefix))
        if element.tag == "style":
            element.text = _own_reference("style", element.text or "", prefix)
    root.set("role", "img")
    root.set("aria-label", _printable(label))
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition("}")[2]


def _own_reference(name: str, value: str, prefix: str) -> str:
    """An attribute's value with the prefix before the id that it gives or refers to."""
    if name.lower().startswith("on"):
        raise InputError(f"svg: holds {name}, a script; charts must be still")
    if name == "id":
        return prefix + value
    if name in ("href", "src"):
        if value.startswith("data:image/"):
            return value
        if not value.startswith("#"):
            raise InputError(f"svg: refers to {value[:60]}; charts must hold all they need")
        return f"#{prefix}{value[1:]}"
    targets = re.findall(r"url\(\s*['\"]?([^'\")]*)", value)
    if "@import" in value or not all(target.startswith("#") for target in targets):
        raise InputError(f"svg: refers to {value[:60]}; charts must hold all they need")
    return re.sub(r"(url\(\s*['\"]?#)", rf"\g<1>{prefix}", value)
