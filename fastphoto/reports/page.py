"""The type `Page`: one self-contained web page of pictures, tables and charts, which opens from a disk."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from fastphoto.errors import InputError
from fastphoto.photos.photo import PhotoSource
from fastphoto.reports.document import BLANK_IMAGE, ENLARGED_DIALOG, escaped, html_document
from fastphoto.reports.inline_svg import inline_svg
from fastphoto.reports.page_pictures import EncodedPicture, encode_picture
from fastphoto.reports.page_tables import Cell, Column, table_html
from fastphoto.runtime.files import write_text


class Page:
    """A web page that loads nothing; each call of a method adds to its end.

    Text is shown as it is, never read as HTML. A picture that is used several times is stored once.

    Args:
        title: the heading of the page, and the title of its window.
        introduction: text below the heading; blank lines separate paragraphs.
        image_width: largest width of pictures in pixels; wider ones are shrunk.
        language: the language of the text, as in `<html lang="en">`.

    Raises:
        InputError: an image width below 1.

    Example:
        >>> page = Page("Results", "Two methods on one photo pair.")
        >>> page.section("Time")
        >>> page.table(["method", Column("seconds", best="low")], [["ours", 2.7], ["theirs", 249.0]])
        >>> '<td class="number best" data-value="2.7">' in page.html()
        True
        >>> page.write("results.html")  # doctest: +SKIP
    """

    def __init__(self, title: str, introduction: str = "", image_width: int = 1600, language: str = "en") -> None:
        if image_width < 1:
            raise InputError(f"image_width: must be at least 1 pixel, got {image_width}")
        self.title = title
        self.image_width = image_width
        self.language = language
        self._parts = [f"<h1>{escaped(title)}</h1>"]
        self._ids: dict[str, str] = {}  # URI of a picture -> id of the <img> that holds it
        self._charts = 0
        self.paragraph(introduction, "introduction")

    def section(self, heading: str, text: str = "") -> None:
        """Begin a section with a heading and, if given, text; blank lines separate paragraphs."""
        self._parts.append(f"<h2>{escaped(heading)}</h2>")
        self.paragraph(text)

    def paragraph(self, text: str, css_class: str = "") -> None:
        """Add a paragraph, or several if blank lines separate them, with a class of page.css."""
        attribute = f' class="{escaped(css_class)}"' if css_class else ""
        self._parts += [f"<p{attribute}>{escaped(part)}</p>" for part in re.split(r"\n\s*\n", text) if part.strip()]

    def viewer(
        self, pictures: Sequence[tuple[str, PhotoSource]], left: str | None = None, right: str | None = None
    ) -> None:
        """Add a before/after slider; two lists choose which of the named pictures are compared.

        The frame has the shape of the picture that is shown first on the right; pictures of other shapes are fitted
        into it.

        Args:
            pictures: (name, picture) of at least two pictures with different names.
            left, right: names of the pictures shown first; None: the first and the last picture.

        Raises:
            InputError: fewer than two pictures, a repeated name, an unknown name, and what `read_photo` refuses.
        """
        names = [name for name, _ in pictures]
        if len(names) < 2 or len(set(names)) < len(names):
            raise InputError(f"viewer: needs two or more pictures with different names, got {names}")
        sides = {"left": names[0] if left is None else left, "right": names[-1] if right is None else right}
        for side, name in sides.items():
            if name not in names:
                raise InputError(f"viewer: {side} is {name!r}; give one of {names}")
        encoded = [encode_picture(source, name, self.image_width) for name, source in pictures]
        frame = encoded[names.index(sides["right"])]
        stack = "".join(
            self._image(picture, name, " ".join(side for side, chosen in sides.items() if chosen == name))
            for name, picture in zip(names, encoded, strict=True)
        )
        self._parts.append(
            f'<div class="viewer" style="--ratio:{frame.ratio};--at:50">'
            f'<div class="choices">{_side_lists(names, sides)}</div><div class="stage">{stack}'
            f'<span class="name" data-name="left" aria-hidden="true">{escaped(sides["left"])}</span>'
            f'<span class="name" data-name="right" aria-hidden="true">{escaped(sides["right"])}</span>'
            '<input type="range" min="0" max="100" step="0.5" value="50" '
            'aria-label="Position of the divider between the left and the right picture">'
            '<span class="divider" aria-hidden="true"></span></div></div>'
        )

    def gallery(self, pictures: Sequence[tuple[str, PhotoSource, str]]) -> None:
        """Add a grid of (caption, picture, note); a click, a tap or the Enter key enlarges a picture.

        All frames have the shape of the first picture; pictures of other shapes are fitted into them.
        """
        if not pictures:
            return
        encoded = [encode_picture(source, caption, self.image_width) for caption, source, _ in pictures]
        figures = "".join(
            f'<figure><button type="button" class="enlarge" aria-label="Enlarge: {escaped(caption)}">'
            f"{self._image(picture, caption)}</button><figcaption>"
            f"<strong>{escaped(caption)}</strong>{f' <span>{escaped(note)}</span>' if note else ''}"
            "</figcaption></figure>"
            for (caption, _, note), picture in zip(pictures, encoded, strict=True)
        )
        self._parts.append(f'<div class="gallery" style="--ratio:{encoded[0].ratio}">{figures}</div>')

    def table(
        self,
        columns: Sequence[str | Column],
        rows: Sequence[Sequence[Cell]],
        sortable: bool = True,
        caption: str = "",
    ) -> None:
        """Add a table whose first column names the rows; on narrow screens it scrolls sideways below that column.

        Args:
            columns: columns, each a heading or a `Column`.
            rows: one cell for each column; None and NaN are shown as a dash. Columns that hold only numbers are
                right-aligned, and their best values are marked where the `Column` asks for it.
            sortable: whether headings are buttons that sort the rows.
            caption: text above the headings.

        Raises:
            InputError: a row with more or fewer cells than there are columns.
        """
        self._parts.append(table_html(columns, rows, sortable, caption))

    def details(self, summary: str, rows: Sequence[tuple[str, object]]) -> None:
        """Add a list of names and values that is hidden until its summary is clicked."""
        entries = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(str(value))}</dd></div>" for name, value in rows)
        self._parts.append(f"<details><summary>{escaped(summary)}</summary><dl>{entries}</dl></details>")

    def svg(self, text: str, caption: str) -> None:
        """Add a chart; `currentColor`, `var(--accent)` and `var(--line)` in it follow the page's theme.

        Raises InputError for text that is not SVG, and for SVG that runs a script or refers to anything outside itself.
        """
        self._charts += 1
        chart = inline_svg(text, f"chart{self._charts}-", caption)
        self._parts.append(f'<figure class="chart">{chart}<figcaption>{escaped(caption)}</figcaption></figure>')

    def html(self) -> str:
        """Return the whole page."""
        body = "\n".join(self._parts)
        if 'class="enlarge"' in body:
            body += "\n" + ENLARGED_DIALOG
        return html_document(
            self.title, f"<main>\n{body}\n</main>", ["tokens.css", "page.css"], ["page.js"], self.language
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, which is complete or untouched; raise FileError where writing fails."""
        write_text(path, self.html())

    def _image(self, picture: EncodedPicture, alt: str, css_class: str = "") -> str:
        """Return an <img> that holds the picture; if an earlier <img> holds it, one that page.js fills from there."""
        attributes = f'width="{picture.width}" height="{picture.height}" alt="{escaped(alt)}"'
        if css_class:
            attributes += f' class="{css_class}"'
        if picture.uri in self._ids:
            return f'<img src="{BLANK_IMAGE}" data-copy-of="{self._ids[picture.uri]}" {attributes}>'
        image_id = self._ids[picture.uri] = f"picture{len(self._ids) + 1}"
        return f'<img id="{image_id}" src="{picture.uri}" {attributes}>'


def _side_lists(names: Sequence[str], sides: Mapping[str, str]) -> str:
    """Return a list of all names for each side of a viewer, with the name that is shown first selected."""
    return "".join(
        f'<label><span>{side.capitalize()}</span> <select data-side="{side}">'
        + "".join(f"<option{' selected' if name == chosen else ''}>{escaped(name)}</option>" for name in names)
        + "</select></label>"
        for side, chosen in sides.items()
    )
