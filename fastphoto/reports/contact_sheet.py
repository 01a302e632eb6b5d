"""Contact sheets: a picture of pictures in rows, each with its caption."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

HEIGHT, MARGIN = 360, 8  # pixels, of a picture and between them
_TEXT, _LINE = 16, 20  # pixels, of a caption's letters and from one line of it to the next
_NARROWEST = 80  # pixels: what a column leaves its captions, however narrow its pictures


def make_contact_sheet(rows: Sequence[Sequence[tuple[str, Image.Image]]], height: int = HEIGHT) -> Image.Image:
    """Rows of captioned pictures on white, all of one height in pixels; columns are as wide as their widest picture.

    Captions are broken into lines that fit their columns, which therefore have 80 pixels or more, and written in ASCII,
    all that the font is sure to have. An empty caption takes no room where the whole row has none.
    """
    font = ImageFont.load_default(_TEXT)
    sized = [[(caption, _of_height(picture.convert("RGB"), height)) for caption, picture in row] for row in rows if row]
    columns = max(map(len, sized), default=0)
    widths = [max(_NARROWEST, *(row[c][1].width for row in sized if c < len(row))) for c in range(columns)]
    wrapped = [
        [_lines(caption, width, font) for (caption, _), width in zip(row, widths, strict=False)] for row in sized
    ]
    lines = [max(map(len, row)) for row in wrapped]
    total = sum(height + MARGIN + count * _LINE for count in lines) + MARGIN
    sheet = Image.new("RGB", (sum(widths) + MARGIN * (columns + 1), total), "white")
    draw, top = ImageDraw.Draw(sheet), MARGIN
    for row, captions, count in zip(sized, wrapped, lines, strict=True):
        left = MARGIN
        for (_, picture), caption, width in zip(row, captions, widths, strict=False):
            sheet.paste(picture, (left + (width - picture.width) // 2, top))
            for number, text in enumerate(caption):
                draw.text((left, top + height + 2 + number * _LINE), text, "black", font)
            left += width + MARGIN
        top += height + MARGIN + count * _LINE
    return sheet


def _lines(caption: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> list[str]:
    """A caption in lines that are no wider in pixels; a word that is wider by itself is broken."""
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
    """Text without accents, Greek letters by their names, and ? for what is neither."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    named = (unicodedata.name(c, "").partition("GREEK SMALL LETTER ")[2].lower() if c > "~" else c for c in plain)
    return "".join(name or "?" for name in named).replace("lamda", "lambda")  # as Unicode spells it


def _of_height(picture: Image.Image, height: int) -> Image.Image:
    return picture.resize((max(1, round(picture.width * height / picture.height)), height), Image.Resampling.LANCZOS)
