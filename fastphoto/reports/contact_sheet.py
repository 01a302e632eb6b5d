"""Contact sheets: one image of many pictures in rows, each with its caption."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

HEIGHT = 360
"""Default height of a sheet's pictures, in pixels."""

_MARGIN = 8  # pixels between pictures, and around the sheet
_FONT_SIZE = 16  # pixels
_LINE_SPACING = 1.25  # from one line to the next, in font sizes
_MINIMUM_COLUMN = 80  # pixels: room for the captions of narrow pictures

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def make_contact_sheet(
    rows: Sequence[Sequence[tuple[str, Image.Image]]], height: int = HEIGHT, font_size: int = _FONT_SIZE
) -> Image.Image:
    """Put captioned pictures in rows on a white sheet.

    Columns are as wide as their widest picture, and at least 80 pixels. Captions are wrapped at the column's width and
    written in ASCII, which the built-in font is sure to have. A row in which no picture has a caption leaves no room
    for captions.

    Args:
        rows: (caption, picture) pairs, row by row; rows may differ in length.
        height: height in pixels that every picture is scaled to.
        font_size: size of the captions' letters in pixels.

    Returns:
        The sheet, an RGB image.

    Example:
        >>> photo = Image.new("RGB", (300, 200), "navy")
        >>> make_contact_sheet([[("Content", photo), ("Style", photo)]], height=100).size
        (324, 136)
    """
    font, line_height = ImageFont.load_default(font_size), round(font_size * _LINE_SPACING)
    cells = [[(caption, _scaled(picture.convert("RGB"), height)) for caption, picture in row] for row in rows if row]
    columns = max(map(len, cells), default=0)
    widths = [max(_MINIMUM_COLUMN, *(row[c][1].width for row in cells if c < len(row))) for c in range(columns)]
    captions = [
        [_wrapped(caption, width, font) for (caption, _), width in zip(row, widths, strict=False)] for row in cells
    ]
    line_counts = [max(map(len, row)) for row in captions]
    total_height = sum(height + _MARGIN + count * line_height for count in line_counts) + _MARGIN
    sheet = Image.new("RGB", (sum(widths) + _MARGIN * (columns + 1), total_height), "white")
    draw, top = ImageDraw.Draw(sheet), _MARGIN
    for row, row_captions, line_count in zip(cells, captions, line_counts, strict=True):
        left = _MARGIN
        for (_, picture), lines, width in zip(row, row_captions, widths, strict=False):
            sheet.paste(picture, (left + (width - picture.width) // 2, top))
            for number, line in enumerate(lines):
                draw.text((left, top + height + 2 + number * line_height), line, "black", font)
            left += width + _MARGIN
        top += height + _MARGIN + line_count * line_height
    return sheet


def _scaled(picture: Image.Image, height: int) -> Image.Image:
    return picture.resize((max(1, round(picture.width * height / picture.height)), height), Image.Resampling.LANCZOS)


def _wrapped(caption: str, width: int, font: _Font) -> list[str]:
    """Return a caption in lines no wider than `width` pixels; a word that is wider by itself is broken."""
    lines: list[str] = []
    for word in _ascii(caption).split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _ascii(text: str) -> str:
    """Return text without accents, with Greek letters spelled out, and with ? for other letters beyond ASCII."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    names = (unicodedata.name(c, "").partition("GREEK SMALL LETTER ")[2].lower() if c > "~" else c for c in plain)
    return "".join(name or "?" for name in names).replace("lamda", "lambda")  # Unicode's names say LAMDA
