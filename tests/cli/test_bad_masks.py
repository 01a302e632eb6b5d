"""Unusual masks, kinds 38 to 52 of docs/reliability.md and what masks share with photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bad_input import CONTENT, STYLE, Accepted, Call, Change, Refused, assert_documented, each, edited, png
from PIL import Image

from fastphoto.regions.palette import PALETTE

# ---- writing masks


def picture(values: np.ndarray, **options: Any) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(values).save(path, **options)


def painted(region_map: np.ndarray, *colours: str) -> np.ndarray:
    """Return a region map in palette colours."""
    return np.array([PALETTE[name] for name in colours], np.uint8)[region_map]


def resized(size: tuple[int, int]) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(CONTENT.mask_picture).resize(size, Image.Resampling.NEAREST).save(path)


def blended(path: Path) -> None:
    large = Image.fromarray(CONTENT.mask_picture).resize((96, 80), Image.Resampling.BICUBIC)
    large.resize((48, 40), Image.Resampling.BILINEAR).save(path)


GOOD = picture(CONTENT.mask_picture), picture(STYLE.mask_picture)


def masks(
    content: Callable[[Path], object] = GOOD[0],
    style: Callable[[Path], object] = GOOD[1],
    extension: str = "png",
    **options: Any,
) -> Change:
    """Return a change that writes both masks."""

    def change(folder: Path) -> Call:
        call = {f"{role}_mask": folder / f"{role}_mask.{extension}" for role in ("content", "style")}
        content(call["content_mask"])
        style(call["style_mask"])
        return call | options

    return change


def swapped(folder: Path) -> Call:
    call = masks()(folder)
    return {"content_mask": call["style_mask"], "style_mask": call["content_mask"]}


NOISE = picture(np.random.default_rng(1).integers(30, 220, (40, 48, 3)).astype(np.uint8))
SKY_ALONE = picture(painted(STYLE.region_map * 0, "lightblue"))
BLACK = [picture(np.zeros((*size, 3), np.uint8)) for size in ((40, 48), (48, 40))]
ADE20K = np.array([(6, 230, 230), (140, 140, 140)], np.uint8)  # sky and road
EIGHTY = (np.arange(40)[:, None] // 2 * 4 + np.arange(48)[None] // 12 + 3).astype(np.uint8)  # as many numbers
SOFT = np.dstack([CONTENT.mask_picture, np.full((40, 48), 255, np.uint8)])
SOFT[10:20, :, 3] = 100
SPOT = CONTENT.region_map.copy()
SPOT[2:4, 2:4] = 2
STRIPE = np.where(np.arange(40)[None] < 3, 2, STYLE.region_map)

# ---- the kinds

CASES = [
    Refused(38, "another aspect", masks(resized((40, 40))), error="do not fit the photo's 48x40"),
    Accepted(38, "same aspect", masks(resized((96, 80))), warning="resized to the photo's"),
    Refused(39, "unknown colours", masks(NOISE), error=r"\(\d+, \d+, \d+\) \d"),
    Accepted(39, "colours of ADE20K", masks(*(picture(ADE20K[photo.region_map]) for photo in (CONTENT, STYLE)))),
    Accepted(
        40,
        "smeared by JPEG",
        masks(picture(CONTENT.mask_picture, quality=85), picture(STYLE.mask_picture, quality=85), "jpg"),
    ),
    Accepted(41, "blended edges", masks(blended)),
    Accepted(42, "soft alpha", masks(picture(SOFT)), warning="partly transparent"),
    Accepted(
        43,
        "class numbers",
        masks(*(picture((photo.region_map * 7 + 3).astype(np.uint8)) for photo in (CONTENT, STYLE))),
    ),
    Accepted(
        43,
        "two values, 0 and 1 or 255",
        masks(picture(CONTENT.region_map.astype(np.uint8)), picture((STYLE.region_map * 255).astype(np.uint8))),
    ),
    Refused(
        43,
        "class numbers beside colours",
        masks(picture((CONTENT.region_map * 7 + 3).astype(np.uint8))),
        error="content is in class numbers, that of the style in the nine colours; save both in one form",
    ),
    Accepted(
        44,
        "16-bit class numbers",
        masks(*(picture((photo.region_map * 700 + 300).astype(np.uint16)) for photo in (CONTENT, STYLE))),
    ),
    Accepted(45, "orphan", masks(style=SKY_ALONE), warning="the style has no region for"),
    Refused(45, "orphan, error", masks(style=SKY_ALONE, orphans="error"), error="no region for green"),
    Accepted(45, "orphan, drop", masks(style=SKY_ALONE, orphans="drop"), warning="the style has no region for"),
    Accepted(45, "orphan, global", masks(style=SKY_ALONE, orphans="global"), warning="the style has no region for"),
    Accepted(
        46,
        "only in the style",
        masks(picture(painted(CONTENT.region_map * 0, "lightblue"))),
        warning="the content has no region for green .* of the style",
    ),
    Accepted(
        47,
        "tiny region",
        masks(*(picture(painted(region_map, "lightblue", "green", "red")) for region_map in (SPOT, STRIPE))),
    ),
    Accepted(48, "all black", masks(*BLACK)),
    Accepted(49, "none"),
    Refused(50, "eighty regions", masks(picture(EIGHTY)), error="at most 64"),
    Refused(51, "swapped", swapped, error="masks swapped"),
    Accepted(
        52,
        "smeared by WebP",
        masks(picture(CONTENT.mask_picture, quality=80), picture(STYLE.mask_picture, quality=80), "webp"),
    ),
    Refused(1, "missing mask", lambda folder: {"content_mask": folder / "no.png"}, error="no such file"),
    Refused(3, "empty mask", masks(lambda path: path.write_bytes(b"")), error="the file is empty"),
    Refused(4, "text as mask", masks(style=lambda path: path.write_text("nothing")), error="not an image"),
    Refused(6, "mask cut short", masks(edited(lambda data: data[:-40], NOISE)), error="damaged"),
    Refused(9, "bomb as mask", masks(lambda path: path.write_bytes(png(30_000, 30_000))), error="million|too many"),
]


@each(CASES)
def test_command(case, tmp_path, capsys):
    case.check_command(tmp_path, capsys)


@each(CASES)
def test_python(case, tmp_path):
    case.check_python(tmp_path)


def test_documentation_says_the_same():
    assert_documented(CASES)
