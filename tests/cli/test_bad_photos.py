"""Unusual content and style photos, kinds 1 to 36 of docs/reliability.md."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_input import (
    CONTENT,
    Accepted,
    Call,
    Change,
    Refused,
    as_style,
    assert_documented,
    each,
    edited,
    photo_file,
    png,
)
from PIL import Image, PngImagePlugin, features

from fastphoto.photos.sixteen_bits import can_read_sixteen_bits

GREY = CONTENT.array[..., 0]
DEEP = np.round(CONTENT.array.astype(np.float64) * 257).astype(">u2")
FRAME = Image.fromarray(CONTENT.array[::-1].copy())

# ---- writing photos


def saved(**options: Any) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(CONTENT.array).save(path, **options)


def converted(mode: str, **options: Any) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(CONTENT.array).convert(mode).save(path, **options)


def array(values: np.ndarray) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(values).save(path)


def noise(height: int, width: int) -> Callable[[Path], object]:
    return array(np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8))


def content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def oriented(orientation: int) -> Callable[[Path], object]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(exif=exif)


def commented(comment: str) -> Callable[[Path], object]:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", comment, zip=True)
    return saved(pnginfo=info)


# ---- what is no regular file, and odd names


def make_socket(path: Path) -> None:
    folder = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may have a hundred bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(folder)


def piped(chunks: Callable[[], Iterable[bytes]]) -> Callable[[Path], object]:
    """Return a function that makes a pipe, into which another thread writes chunks until there is no reader."""

    def make(path: Path) -> None:
        os.mkfifo(path)

        def write() -> None:
            with contextlib.suppress(BrokenPipeError), path.open("wb") as pipe:
                pipe.writelines(chunks())

        threading.Thread(target=write, daemon=True).start()

    return make


def photo_bytes() -> Iterable[bytes]:
    data = io.BytesIO()
    Image.fromarray(CONTENT.array).save(data, "PNG")
    return [data.getvalue()]


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def named(name: str | bytes) -> Change:
    def change(folder: Path) -> Call:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        with open(path, "wb") as file:
            Image.fromarray(CONTENT.array).save(file, "PNG")
        return {"content": Path(os.fsdecode(path))}

    return change


# ---- the kinds

REFUSED = [
    Refused(1, "missing", lambda folder: {"content": folder / "nowhere.png"}, error="no such file"),
    Refused(2, "folder", photo_file("folder.png", Path.mkdir), error="is a folder"),
    Refused(3, "empty", photo_file("empty.png", content(b"")), error="the file is empty"),
    Refused(4, "HTML", photo_file("page.png", content(b"<html><body>404")), error="not an image in one of"),
    Refused(4, "text", photo_file("notes.jpg", content(b"see attachment\n" * 9)), error="not an image in one of"),
    Refused(
        5, "header cut short", photo_file("cut.png", edited(lambda b: b[:20], saved())), error="not an image|damaged"
    ),
    Refused(6, "pixels cut short", photo_file("half.png", edited(half, saved())), error="damaged image file"),
    Refused(6, "JPEG cut short", photo_file("half.jpg", edited(half, saved())), error="damaged image file"),
    Refused(9, "bomb", photo_file("bomb.png", content(png(30_000, 30_000))), error="too many pixels|million"),
    Refused(10, "more than the limit", photo_file("big.png", content(png(20_000, 10_001))), error="200 million"),
    Refused(
        11,
        "bad PNG chunk",
        photo_file("c.png", edited(lambda b: b[:33] + b"\0\0\0\5ab" + b[33:], saved())),
        error="damaged|not an image",
    ),
    Refused(12, "EPS", photo_file("page.eps", saved()), error="not an image in one of"),
    Refused(12, "PDF", photo_file("page.pdf", saved()), error="not an image in one of"),
    Refused(13, "SVG", photo_file("a.svg", content(b"<svg xmlns='...'></svg>")), error="not an image in one of"),
    Refused(
        14,
        "HEIC",
        photo_file("a.heic", content(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64)),
        error="HEIC files are not supported; convert",
    ),
    Refused(
        22, "float beyond 0 to 1", photo_file("f.tif", array(GREY.astype(np.float32))), error=r"must be in \[0, 1\]"
    ),
    Refused(28, "no pixels", photo_file("none.png", content(png(0, 4))), error="damaged|not an image"),
    Refused(29, "one pixel", photo_file("one.png", noise(1, 1)), error="at least 16"),
    Refused(29, "one row", photo_file("row.png", noise(1, 60)), error="at least 16"),
    Refused(30, "side of 15", photo_file("low.png", noise(15, 60)), error="at least 16"),
    Refused(30, "side of 3", photo_file("thin.png", noise(60, 3)), error="at least 16"),
    Refused(31, "sliver", photo_file("sliver.png", noise(20, 1200)), error="shrink to .* use at least"),
    Refused(33, "empty pipe", photo_file("pipe", piped(list)), error="the file is empty"),
    Refused(33, "endless device", lambda folder: {"content": Path("/dev/zero")}, error="not a regular file"),
    Refused(33, "socket", photo_file("socket.png", make_socket), error="not a regular file"),
    Refused(35, "NUL in the name", lambda folder: {"content": f"{folder}/a\0b.png"}, error="null|no such file"),
    Refused(36, "link to itself", photo_file("loop.png", link_to_itself), error="symbolic link|no such"),
]

NEEDS_AVIF = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
NEEDS_LIBVIPS = pytest.mark.skipif(not can_read_sixteen_bits(), reason="libvips is not installed")

ACCEPTED = [
    Accepted(7, "trailer lost", photo_file("t.png", edited(lambda b: b[:-12], saved()))),
    Accepted(8, "JPEG named PNG", photo_file("j.png", saved(format="JPEG")), warning="named .png but holds JPEG"),
    Accepted(15, "AVIF", photo_file("a.avif", saved(quality=90)), marks=[NEEDS_AVIF]),
    *(
        Accepted(
            16,
            f"animated {extension}",
            photo_file(f"a.{extension}", saved(save_all=True, append_images=[FRAME], **options)),
            warning="holds 2 frames",
        )
        for extension, options in (("gif", {}), ("webp", {"lossless": True}), ("png", {}))
    ),
    Accepted(17, "CMYK without profile", photo_file("c.jpg", converted("CMYK")), warning="CMYK without"),
    Accepted(18, "palette", photo_file("p.png", converted("P"))),
    Accepted(19, "alpha", photo_file("rgba.png", converted("RGBA"))),
    Accepted(19, "grey with alpha", photo_file("la.png", converted("LA"))),
    Accepted(20, "16-bit grey", photo_file("g.png", array(CONTENT.array[..., 1].astype(np.uint16) * 257))),
    Accepted(
        21,
        "16-bit colour",
        photo_file("d.png", content(png(48, 40, 16, 2, b"".join(b"\0" + row.tobytes() for row in DEEP)))),
        marks=[NEEDS_LIBVIPS],
    ),
    Accepted(
        21,
        "16-bit colour of a PPM",
        photo_file("d.ppm", content(b"P6\n48 40\n65535\n" + DEEP.tobytes())),
        warning="more than 8 bits",
    ),
    Accepted(22, "float in 0 to 1", photo_file("f.tif", array(GREY.astype(np.float32) / 255))),
    Accepted(23, "one bit", photo_file("b.png", converted("1"))),
    Accepted(23, "grey", photo_file("l.png", converted("L"))),
    *(Accepted(24, f"orientation {n}", photo_file(f"o{n}.jpg", oriented(n))) for n in range(10)),  # 1 to 8 are valid
    Accepted(25, "corrupt EXIF", photo_file("e.jpg", saved(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\xff\xff"))),
    Accepted(25, "huge PNG text", photo_file("text.png", commented("x" * 3_000_000))),
    Accepted(
        27, "garbage profile", photo_file("i.png", saved(icc_profile=b"none" * 99)), warning="profile is unusable"
    ),
    Accepted(30, "side of 16", photo_file("edge.png", noise(16, 40))),
    Accepted(33, "pipe", photo_file("pipe", piped(photo_bytes))),
    Accepted(35, "newline in the name", named("a\nb.png")),
    Accepted(35, "leading dash in the name", named("-rf.png")),
    Accepted(35, "other scripts in the name", named("é 写真.png")),
    Accepted(35, "bytes that are no text in the name", named(b"\xff\xfe.png")),
]

CASES = [*REFUSED, *ACCEPTED]
CASES += [as_style(case) for case in CASES]


@each(CASES)
def test_command(case, tmp_path, capsys):
    case.check_command(tmp_path, capsys)


@each(CASES)
def test_python(case, tmp_path):
    case.check_python(tmp_path)


def test_documentation_says_the_same():
    assert_documented(CASES)
