"""Contact sheets: the positions of pictures and captions, and captions that fit their columns."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from PIL import Image
from rendered_photos import day, dusk

from fastphoto.reports.contact_sheet import make_contact_sheet

HEIGHT, GAP, LINE, NARROWEST = 90, 8, 20, 80  # pixels
TALL = "ÅÉ|gjpqy,"  # letters that reach far above and below the line


def picture(width: int, seed: int = 0) -> Image.Image:
    """Return a picture as high as those of the sheet, so that it is shown pixel by pixel."""
    return Image.fromarray((day, dusk)[seed % 2](HEIGHT, width).array)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.int64)


def ink(part: np.ndarray) -> int:
    """Return how much darker than white all pixels are together."""
    return int((255 - part).sum())


def columns_of(widths: list[int]) -> list[slice]:
    """Return the columns of a sheet, as slices of its x axis."""
    lefts = accumulate([GAP, *(width + GAP for width in widths)])
    return [slice(left, left + width) for left, width in zip(lefts, widths, strict=False)]


def test_pictures_stand_in_rows_and_columns_with_captions_below():
    rows = [
        [(f"{TALL} {number}", picture(width, number)) for number, width in enumerate((120, 90, 150))],
        [(TALL, picture(100)), (f"{TALL} {TALL}", picture(130, 1))],
    ]
    sheet = pixels(make_contact_sheet(rows, HEIGHT))
    columns = columns_of([120, 130, 150])
    tops, lines = [GAP, GAP + HEIGHT + LINE + GAP], [1, 2]
    assert sheet.shape == (tops[1] + HEIGHT + 2 * LINE + GAP, 120 + 130 + 150 + 4 * GAP, 3)
    rest = sheet.copy()
    for row, top, count in zip(rows, tops, lines, strict=True):
        for (_, shown), column in zip(row, columns, strict=False):
            left = column.start + (column.stop - column.start - shown.width) // 2
            inside = np.s_[top : top + HEIGHT, left : left + shown.width]
            assert np.array_equal(sheet[inside], pixels(shown)), "the picture is covered or not where it belongs"
            below = np.s_[top + HEIGHT : top + HEIGHT + count * LINE + GAP // 2, column]
            assert ink(sheet[below][:LINE]) > 0, "no caption"
            rest[inside] = rest[below] = 255
    assert ink(rest) == 0, "the sheet is not white elsewhere"


def test_lines_do_not_overlap_and_hold_the_whole_caption():
    """Four words in four lines have as much ink as the four words by themselves."""
    words = ["Winterberge", TALL * 2, "Wolkenwand", "gjpqy" * 3]
    alone = [make_contact_sheet([[(word, picture(150))]], HEIGHT) for word in words]
    assert all(sheet.height == HEIGHT + LINE + 2 * GAP for sheet in alone)
    together = make_contact_sheet([[(" ".join(words), picture(150))]], HEIGHT)
    assert together.size == (150 + 2 * GAP, HEIGHT + 4 * LINE + 2 * GAP)
    below = GAP + HEIGHT
    assert ink(pixels(together)[below:]) == sum(ink(pixels(sheet)[below:]) for sheet in alone)


@pytest.mark.parametrize(
    "caption",
    ["W" * 60, "MW " * 30, "i" * 200, "x" * 20 + " W" * 5],
    ids=["a wide word", "short words", "narrow letters", "a long word and short ones"],
)
@pytest.mark.parametrize("width", [5, 90, 200])
def test_captions_stay_within_their_columns_and_lose_nothing(caption, width):
    column = max(width, NARROWEST)
    sheet = make_contact_sheet([[(caption, picture(width)), (caption, picture(width, 1)), ("", picture(40))]], HEIGHT)
    below = pixels(sheet)[GAP + HEIGHT :]
    first, second, third = columns_of([column, column, NARROWEST])
    # A letter may reach a pixel beyond its advance width.
    gaps = [slice(0, first.start - 1), slice(first.stop + 1, second.start - 1), slice(second.stop + 1, sheet.width)]
    assert [ink(below[:, gap]) for gap in gaps] == [0, 0, 0], "a caption leaves its column"
    assert third.stop + GAP == sheet.width
    drawn = ink(below[:, first.start - 1 : first.stop + 1])
    assert drawn == ink(below[:, second.start - 1 : second.stop + 1])
    single = make_contact_sheet([[(caption, picture(6000))]], HEIGHT)
    assert single.height == HEIGHT + LINE + 2 * GAP, "the caption to compare with is not on one line"
    assert drawn == pytest.approx(ink(pixels(single)[GAP + HEIGHT :]), rel=0.1), "letters are lost"


def test_captions_fill_their_lines():
    """Twelve narrow letters fit on one line, on which so many letters of mean width would not."""
    assert make_contact_sheet([[("i " * 12, picture(100))]], HEIGHT).height == HEIGHT + LINE + 2 * GAP


@pytest.mark.parametrize(
    "size, width",
    [((400, 200), 180), ((200, 400), 45), ((3, 2000), 1), ((2000, 30), 6000), ((30, 20), 135)],
    ids=["landscape", "portrait", "extremely tall", "extremely wide", "enlarged"],
)
def test_pictures_keep_their_aspect(size, width):
    sheet = make_contact_sheet([[("", Image.new("RGB", size, (200, 30, 60)))]], HEIGHT)
    column = max(width, NARROWEST)
    assert sheet.size == (column + 2 * GAP, HEIGHT + 2 * GAP)
    expected = np.full((sheet.height, sheet.width, 3), 255)
    left = GAP + (column - width) // 2
    expected[GAP : GAP + HEIGHT, left : left + width] = 200, 30, 60
    assert np.array_equal(pixels(sheet), expected)


def test_pictures_are_shrunk_smoothly():
    stripes = Image.fromarray(np.tile(np.uint8([0, 255]), (4 * HEIGHT, 2 * HEIGHT)))
    shown = pixels(make_contact_sheet([[("", stripes)]], HEIGHT))[
        GAP + 5 : GAP + HEIGHT - 5, GAP + 5 : GAP + HEIGHT - 5
    ]
    assert np.abs(shown - 127.5).max() < 20


@pytest.mark.parametrize(
    "captions, room",
    [(("", ""), 0), (("", "a"), LINE), (("  \n", ""), 0), (("a\nb", ""), LINE)],
    ids=["empty", "one caption", "only spaces", "a line break"],
)
def test_captions_take_room_only_in_rows_that_have_one(captions, room):
    plain = [("", picture(100))]
    sheet = pixels(make_contact_sheet([plain, [(c, picture(100)) for c in captions], plain], HEIGHT))
    assert len(sheet) == 3 * (HEIGHT + GAP) + room + GAP
    tops = GAP, 2 * GAP + HEIGHT, 3 * GAP + 2 * HEIGHT + room
    for top in tops:
        assert np.array_equal(sheet[top : top + HEIGHT, GAP : GAP + 100], pixels(picture(100)))


def test_rows_without_pictures_take_no_room():
    row = [("a", picture(100))]
    assert make_contact_sheet([[], row, []], HEIGHT).tobytes() == make_contact_sheet([row], HEIGHT).tobytes()


@pytest.mark.parametrize("rows", [[], [[]]], ids=["no row", "an empty row"])
def test_sheet_without_pictures_is_white(rows):
    sheet = make_contact_sheet(rows)
    assert ink(pixels(sheet)) == 0 and min(sheet.size) > 0


def test_grey_pictures_are_shown_and_not_changed():
    grey = picture(100).convert("L")
    before = grey.tobytes()
    sheet = make_contact_sheet([[("", grey)]], HEIGHT)
    assert np.array_equal(pixels(sheet)[GAP:-GAP, GAP:-GAP], pixels(grey.convert("RGB")))
    assert grey.mode == "L" and grey.tobytes() == before, "the picture was changed although only shown"


def test_pictures_are_360_pixels_high_by_default():
    assert make_contact_sheet([[("", picture(90))]]).size == (360 + 2 * GAP, 360 + 2 * GAP)


def test_letters_can_be_larger():
    small, large = (make_contact_sheet([[("A", picture(100))]], HEIGHT, size) for size in (16, 48))
    assert (small.height, large.height) == (HEIGHT + LINE + 2 * GAP, HEIGHT + 3 * LINE + 2 * GAP)
    inked = [(pixels(sheet)[HEIGHT + GAP :] < 128).all(2).any(1).sum() for sheet in (small, large)]
    assert inked[1] == pytest.approx(3 * inked[0], abs=3), "the letter is not three times as high"


@pytest.mark.parametrize(
    ("caption", "shown"),
    [("Pitié, α / β = 1e-3", "Pitie, alpha / beta = 1e-3"), ("λ = 10²", "lambda = 102"), ("雪 ~|", "? ~|")],
    ids=["accents and Greek", "lambda and superscripts", "others"],
)
def test_captions_are_written_in_ascii(caption, shown):
    sheets = [make_contact_sheet([[(text, picture(300))]], HEIGHT) for text in (caption, shown)]
    assert (pixels(sheets[0]) == pixels(sheets[1])).all()
