"""Every kind of input that docs/reliability.md lists, by its number, through the command and through Python.

A kind is refused (exit 2 and one line; FastPhotoError), accepted, or accepted with a warning. What is refused leaves
the output as it was and nothing beside it; what is accepted gives a picture of the content's size that is not blank.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from locations import ROOT
from PIL import Image, PngImagePlugin, features
from rendered_photos import day, dusk

import fastphoto
from fastphoto.cli import command as cli
from fastphoto.encoders.encoder import EMBEDDED
from fastphoto.errors import FastPhotoError, FastPhotoWarning
from fastphoto.photos.sixteen_bits import can_read_sixteen_bits
from fastphoto.regions.palette import PALETTE

CONTENT, STYLE = day(40, 48), dusk(48, 40)
Outcome = Literal["refused", "accepted", "warned"]


@dataclass(frozen=True)
class Case:
    """What is done with a good pair of photos, and what must come of it."""

    number: int
    what: str
    outcome: Outcome
    says: str = ""  # a regular expression that the error or warning matches
    change: Callable[[Path], dict[str, Any]] = field(default=lambda folder: {}, repr=False)

    def __str__(self) -> str:
        return f"{self.number}-{self.what.replace(' ', '-')}"


def settled(folder: Path, case: Case) -> dict[str, Any]:
    """The call's arguments: good files, then what the case makes of them."""
    for name, photo in (("content", CONTENT), ("style", STYLE)):
        Image.fromarray(photo.array).save(folder / f"{name}.png")
    call = {"content": folder / "content.png", "style": folder / "style.png", "output": folder / "out.png", "steps": 2}
    return call | case.change(folder)


def words_of(call: dict[str, Any]) -> list[str]:
    """The same call for the command."""
    flags = {
        "content_mask",
        "style_mask",
        "size",
        "seed",
        "device",
        "encoder",
        "weights",
        "preset",
        "orphans",
        "regions",
    }
    words = ["transfer"]
    for name, value in call.items():
        if name in flags:
            words += [f"--{name.replace('_', '-')}={os.fsdecode(value) if isinstance(value, (Path, bytes)) else value}"]
        elif name not in ("content", "style", "output"):
            words += [f"--set={name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"]
    return [*words, "-o", os.fsdecode(call["output"]), "--", os.fsdecode(call["content"]), os.fsdecode(call["style"])]


def listing(folder: Path) -> set[bytes]:
    return {os.path.join(root, name) for root, _, names in os.walk(os.fsencode(folder)) for name in names}


def check_command(folder: Path, case: Case, capsys) -> None:
    call = settled(folder, case)
    output = Path(os.fsdecode(call["output"]))
    keep = output.parent.is_dir() and not output.exists() and case.outcome == "refused"
    if keep:
        output.write_bytes(b"what was there before")
    before, sizes = listing(folder), output.read_bytes() if output.is_file() else None
    with warnings.catch_warnings():
        try:
            status = cli.main(words_of(call))
        except SystemExit as stop:  # errors of usage
            status = stop.code
    said = capsys.readouterr().err
    lines = said.splitlines()
    assert "Traceback" not in said
    errors = [line for line in lines if line.startswith("fastphoto: error: ")]
    told = [line for line in lines if line.startswith("fastphoto: warning: ")]
    if case.outcome == "refused":
        assert status == 2 and len(errors) == 1 and lines[-1] == errors[0], said
        assert re.search(case.says, errors[0]), errors[0]
        assert listing(folder) == before and (output.read_bytes() if output.is_file() else None) == sizes
        return
    assert status == 0 and not errors, said
    assert bool(told) == (case.outcome == "warned"), told
    assert case.outcome == "accepted" or any(re.search(case.says, line) for line in told), told
    assert listing(folder) - before == {os.fsencode(output)}
    with Image.open(output) as image:
        pixels = np.asarray(image.convert("RGB")).astype(float)
    assert pixels.std() > 4, "not blank"


def check_python(folder: Path, case: Case) -> None:
    call = settled(folder, case)
    output = call.pop("output")
    photos = [call.pop("content"), call.pop("style")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if case.outcome == "refused":
            with pytest.raises(FastPhotoError) as error:
                fastphoto.transfer(*photos, **call)
            assert isinstance(error.value, (ValueError, OSError))
            assert re.search(case.says, str(error.value)), error.value
            assert "\n" not in str(error.value) and not os.path.lexists(os.fsencode(output))
            return
        result = fastphoto.transfer(*photos, **call)
    told = [str(w.message) for w in caught if issubclass(w.category, FastPhotoWarning)]
    assert bool(told) == (case.outcome == "warned"), told
    assert case.outcome == "accepted" or any(re.search(case.says, line) for line in told), told
    assert np.asarray(result.convert("RGB")).astype(float).std() > 4


# What is done


def content_of(name: str, make: Callable[[Path], object]) -> Callable[[Path], dict[str, Any]]:
    """The content photo is a file that `make` writes."""

    def change(folder: Path) -> dict[str, Any]:
        make(folder / name)
        return {"content": folder / name}

    return change


def as_style(change: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
    """What was done to the content photo is done to the style photo."""

    def changed(folder: Path) -> dict[str, Any]:
        told = change(folder)
        return {("style" if key == "content" else key): value for key, value in told.items()}

    return changed


def told(**options: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: options


def saved(**options: Any) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(CONTENT.array).save(path, **options)


def converted(mode: str, **options: Any) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(CONTENT.array).convert(mode).save(path, **options)


def bytes_of(
    change: Callable[[bytes], bytes], source: Callable[[Path], object] | None = None
) -> Callable[[Path], object]:
    """A good file whose bytes are changed."""

    def make(path: Path) -> None:
        (source or saved())(path)
        path.write_bytes(change(path.read_bytes()))

    return make


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def deep_png(path: Path) -> None:
    values = np.round(CONTENT.array.astype(np.float64) * 257).astype(">u2")
    path.write_bytes(png(48, 40, 16, 2, b"".join(b"\0" + row.tobytes() for row in values)))


def frames(**options: Any) -> Callable[[Path], object]:
    other = Image.fromarray(CONTENT.array[::-1].copy())
    return lambda path: Image.fromarray(CONTENT.array).save(path, save_all=True, append_images=[other], **options)


def oriented(orientation: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(CONTENT.array).save(path, exif=exif)

    return make


def long_text(path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 3_000_000, zip=True)
    Image.fromarray(CONTENT.array).save(path, pnginfo=info)


def special(kind: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            server = socket.socket(socket.AF_UNIX)
            folder = os.getcwd()
            os.chdir(path.parent)  # the path of a socket may have a hundred bytes
            try:
                server.bind(path.name)
            finally:
                os.chdir(folder)
                server.close()
        elif kind == "loop":
            path.symlink_to(path.name)
        else:
            path.mkdir()

    return make


def array_of(shape: tuple[int, ...]) -> Callable[[Path], object]:
    values = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    return lambda path: Image.fromarray(values).save(path)


REFUSED_FILES: list[tuple[int, str, str, Callable[[Path], dict[str, Any]]]] = [
    (1, "missing", "no such file", lambda folder: {"content": folder / "nowhere.png"}),
    (2, "folder", "is a folder", content_of("folder.png", special("folder"))),
    (3, "empty", "the file is empty", content_of("empty.png", lambda p: p.write_bytes(b""))),
    (4, "HTML", "not an image in one of", content_of("page.png", lambda p: p.write_text("<html><body>404"))),
    (4, "text", "not an image in one of", content_of("notes.jpg", lambda p: p.write_text("see attachment\n" * 9))),
    (5, "header cut short", "not an image|damaged", content_of("cut.png", bytes_of(lambda b: b[:20]))),
    (6, "pixels cut short", "damaged image file", content_of("half.png", bytes_of(lambda b: b[: len(b) // 2]))),
    (6, "JPEG cut short", "damaged image file", content_of("half.jpg", bytes_of(lambda b: b[: len(b) // 2]))),
    (9, "bomb", "too many pixels|million", content_of("bomb.png", lambda p: p.write_bytes(png(30_000, 30_000)))),
    (10, "more than the limit", "200 million", content_of("big.png", lambda p: p.write_bytes(png(20_000, 10_001)))),
    (11, "bad PNG chunk", "damaged|not an image", content_of(
        "c.png", bytes_of(lambda b: b[:33] + b"\0\0\0\5ab" + b[33:]))),
    (12, "EPS", "not an image in one of", content_of("page.eps", saved())),
    (12, "PDF", "not an image in one of", content_of("page.pdf", saved())),
    (13, "SVG", "not an image in one of", content_of("a.svg", lambda p: p.write_text("<svg xmlns='...'></svg>"))),
    (14, "HEIC", "HEIC files are not supported; convert", content_of(
        "a.heic", lambda p: p.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64))),
    (22, "float beyond [0, 1]", "must be in .0, 1.", content_of(
        "f.tif", lambda p: Image.fromarray(CONTENT.array[..., 0].astype(np.float32)).save(p))),
    (28, "no pixels", "damaged|not an image", content_of("none.png", lambda p: p.write_bytes(png(0, 4)))),
    (29, "one pixel", "at least 16", content_of("one.png", array_of((1, 1, 3)))),
    (29, "one row", "at least 16", content_of("row.png", array_of((1, 60, 3)))),
    (30, "side of 15", "at least 16", content_of("low.png", array_of((15, 60, 3)))),
    (30, "side of 3", "at least 16", content_of("thin.png", array_of((60, 3, 3)))),
    (31, "sliver", "shrink to .* use at least", content_of("sliver.png", array_of((20, 1200, 3)))),
    (33, "FIFO", "not a regular file", content_of("pipe.png", special("fifo"))),
    (33, "endless device", "not a regular file", lambda folder: {"content": Path("/dev/zero")}),
    (33, "socket", "not a regular file", content_of("socket.png", special("socket"))),
    (35, "NUL in the name", "null|no such file", lambda folder: {"content": f"{folder}/a\0b.png"}),
    (36, "link to itself", "symbolic link|no such", content_of("loop.png", special("loop"))),
]  # fmt: skip

FILES = [Case(n, f"content: {what}", "refused", says, change) for n, what, says, change in REFUSED_FILES]
FILES += [Case(n, f"style: {what}", "refused", says, as_style(change)) for n, what, says, change in REFUSED_FILES]

ODD_FILES: list[tuple[int, str, Outcome, str, Callable[[Path], dict[str, Any]]]] = [
    (7, "trailer lost", "accepted", "", content_of("t.png", bytes_of(lambda b: b[:-12]))),
    (8, "JPEG named PNG", "warned", "named .png but holds JPEG", content_of("j.png", saved(format="JPEG"))),
    (15, "AVIF", "accepted", "", content_of("a.avif", saved(quality=90))),
    (16, "animated GIF", "warned", "holds 2 frames", content_of("a.gif", frames())),
    (16, "animated WebP", "warned", "holds 2 frames", content_of("a.webp", frames(lossless=True))),
    (16, "animated PNG", "warned", "holds 2 frames", content_of("a.png", frames())),
    (17, "CMYK without profile", "warned", "CMYK without", content_of("c.jpg", converted("CMYK"))),
    (18, "palette", "accepted", "", content_of("p.png", converted("P"))),
    (19, "alpha", "accepted", "", content_of("rgba.png", converted("RGBA"))),
    (19, "grey with alpha", "accepted", "", content_of("la.png", converted("LA"))),
    (20, "16-bit grey", "accepted", "", content_of(
        "g.png", lambda p: Image.fromarray(CONTENT.array[..., 1].astype(np.uint16) * 257).save(p))),
    (21, "16-bit colour", "accepted", "", content_of("d.png", deep_png)),
    (21, "16-bit colour of a PPM", "warned", "more than 8 bits", content_of("d.ppm", lambda p: p.write_bytes(
        b"P6\n48 40\n65535\n" + np.round(CONTENT.array.astype(np.float64) * 257).astype(">u2").tobytes()))),
    (22, "float in [0, 1]", "accepted", "", content_of(
        "f.tif", lambda p: Image.fromarray(CONTENT.array[..., 0].astype(np.float32) / 255).save(p))),
    (23, "one bit", "accepted", "", content_of("b.png", converted("1"))),
    (23, "grey", "accepted", "", content_of("l.png", converted("L"))),
    *((24, f"orientation {n}", "accepted", "", content_of(f"o{n}.jpg", oriented(n))) for n in (*range(1, 9), 0, 9)),
    (25, "corrupt EXIF", "accepted", "", content_of("e.jpg", saved(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\xff\xff"))),
    (25, "huge PNG text", "accepted", "", content_of("text.png", long_text)),
    (27, "garbage profile", "warned", "profile is unusable", content_of("i.png", saved(icc_profile=b"none" * 99))),
    (30, "side of 16", "accepted", "", content_of("edge.png", array_of((16, 40, 3)))),
    *((35, f"name {n}", "accepted", "", lambda folder, n=n: _renamed(folder, n))
      for n, in (("a\nb.png",), ("-rf.png",), ("é 写真.png",), (b"\xff\xfe.png",))),
]  # fmt: skip


def _renamed(folder: Path, name: str | bytes) -> dict[str, Any]:
    path = os.path.join(os.fsencode(folder), os.fsencode(name))
    with open(path, "wb") as file:
        Image.fromarray(CONTENT.array).save(file, "PNG")
    return {"content": Path(os.fsdecode(path))}


FILES += [Case(n, f"content: {what}", outcome, says, change) for n, what, outcome, says, change in ODD_FILES]
FILES += [Case(n, f"style: {what}", outcome, says, as_style(change)) for n, what, outcome, says, change in ODD_FILES]
FILES += [
    Case(19, "alpha to JPEG", "warned", "JPEG has no transparency",
         lambda f: content_of("rgba.png", lambda p: Image.fromarray(
             np.dstack([CONTENT.array, np.full((40, 48), 200, np.uint8)])).save(p))(f) | {"output": f / "out.jpg"}),
    Case(37, "output is the content", "refused", "also an input", lambda f: {"output": f / "content.png"}),
    Case(37, "output is the style", "refused", "also an input", lambda f: {"output": f / "style.png"}),
    Case(75, "extension of no image", "refused", "cannot write this kind", lambda f: {"output": f / "out.txt"}),
    Case(75, "no extension", "refused", "cannot write this kind", lambda f: {"output": f / "out"}),
    Case(76, "no folder", "refused", "does not exist", lambda f: {"output": f / "nowhere" / "out.png"}),
    Case(77, "output is a device", "refused", "regular file|cannot write", lambda f: {"output": "/dev/full"}),
]  # fmt: skip

# Masks


def painted(labels: np.ndarray, colours: tuple[str, ...] = ("lightblue", "green")) -> np.ndarray:
    return np.array([PALETTE[name] for name in colours], np.uint8)[labels]


def masks(
    content: Callable[[Path], object] | None = None, style: Callable[[Path], object] | None = None, name: str = "png",
    **options: Any,
) -> Callable[[Path], dict[str, Any]]:  # fmt: skip
    """Good masks, unless another is written in place of one."""

    def change(folder: Path) -> dict[str, Any]:
        paths = folder / f"content_mask.{name}", folder / f"style_mask.{name}"
        for path, make, photo in zip(paths, (content, style), (CONTENT, STYLE), strict=True):
            (make or (lambda p, photo=photo: Image.fromarray(photo.mask).save(p)))(path)
        return {"content_mask": paths[0], "style_mask": paths[1]} | options

    return change


def picture(values: np.ndarray, **options: Any) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(values).save(path, **options)


def resized(size: tuple[int, int], how: Image.Resampling = Image.Resampling.NEAREST) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(CONTENT.mask).resize(size, how).save(path)


NOISE = np.random.default_rng(1).integers(30, 220, (40, 48, 3)).astype(np.uint8)
SPOT = CONTENT.labels.copy()
SPOT[2:4, 2:4] = 2
NINETY = (np.arange(40)[:, None] // 2 * 4 + np.arange(48)[None] // 12 + 3).astype(np.uint8)  # eighty numbers
SOFT = np.dstack([CONTENT.mask, np.full((40, 48), 255, np.uint8)])
SOFT[10:20, :, 3] = 100

MASKS = [
    Case(38, "another aspect", "refused", "do not fit the photo's 48x40", masks(resized((40, 40)))),
    Case(38, "same aspect", "warned", "resized to the photo's", masks(resized((96, 80)))),
    Case(39, "unknown colours", "refused", r"\(\d+, \d+, \d+\) \d", masks(picture(NOISE))),
    Case(40, "smeared by JPEG", "accepted", "", masks(
        picture(CONTENT.mask, quality=85), picture(STYLE.mask, quality=85), "jpg")),
    Case(41, "blended edges", "accepted", "", masks(lambda p: Image.fromarray(CONTENT.mask).resize(
        (96, 80), Image.Resampling.BICUBIC).resize((48, 40), Image.Resampling.BILINEAR).save(p))),
    Case(42, "soft alpha", "warned", "partly transparent", masks(picture(SOFT))),
    Case(43, "class numbers", "accepted", "", masks(
        picture((CONTENT.labels * 7 + 3).astype(np.uint8)), picture((STYLE.labels * 7 + 3).astype(np.uint8)))),
    Case(44, "16-bit class numbers", "accepted", "", masks(
        picture((CONTENT.labels * 700 + 300).astype(np.uint16)),
        picture((STYLE.labels * 700 + 300).astype(np.uint16)))),
    Case(45, "orphan", "warned", "the style has no region for", masks(style=picture(painted(STYLE.labels * 0)))),
    Case(45, "orphan, error", "refused", "no region for green", masks(
        style=picture(painted(STYLE.labels * 0)), orphans="error")),
    Case(45, "orphan, drop", "warned", "the style has no region for", masks(
        style=picture(painted(STYLE.labels * 0)), orphans="drop")),
    Case(45, "orphan, global", "warned", "the style has no region for", masks(
        style=picture(painted(STYLE.labels * 0)), orphans="global")),
    Case(46, "only in the style", "warned", "the content has no region for green .* of the style", masks(
        picture(painted(CONTENT.labels * 0)))),
    Case(47, "tiny region", "accepted", "", masks(
        picture(painted(SPOT, ("lightblue", "green", "red"))),
        picture(painted(np.where(np.arange(40)[None] < 3, 2, STYLE.labels), ("lightblue", "green", "red"))))),
    Case(48, "all black", "accepted", "", masks(
        picture(np.zeros((40, 48, 3), np.uint8)), picture(np.zeros((48, 40, 3), np.uint8)))),
    Case(49, "none", "accepted", ""),
    Case(50, "eighty regions", "refused", "at most 64", masks(picture(NINETY))),
    Case(51, "swapped", "refused", "masks swapped", lambda f: {
        new: masks()(f)[old] for new, old in (("content_mask", "style_mask"), ("style_mask", "content_mask"))}),
    Case(52, "smeared by WebP", "accepted", "", masks(
        picture(CONTENT.mask, quality=80), picture(STYLE.mask, quality=80), "webp")),
    Case(1, "mask: missing", "refused", "no such file", lambda f: {"content_mask": f / "no.png"}),
    Case(3, "mask: empty", "refused", "the file is empty", masks(lambda p: p.write_bytes(b""))),
    Case(4, "mask: text", "refused", "not an image", masks(style=lambda p: p.write_text("nothing"))),
    Case(6, "mask: cut short", "refused", "damaged", masks(bytes_of(lambda b: b[:-40], picture(NOISE)))),
    Case(9, "mask: bomb", "refused", "million|too many", masks(lambda p: p.write_bytes(png(30_000, 30_000)))),
    Case(37, "output is a mask", "refused", "also an input", lambda f: masks()(f) | {"output": f / "style_mask.png"}),
]  # fmt: skip

# Options

OPTIONS = [
    Case(67, "negative weight", "refused", "photorealism_weight", told(photorealism_weight=-1.0)),
    Case(67, "NaN weight", "refused", "photorealism_weight", told(photorealism_weight=float("nan"))),
    Case(67, "infinite weight", "refused", "content_weight", told(content_weight=float("inf"))),
    Case(68, "all weights zero", "refused", "weight", told(
        photorealism_weight=0.0, content_weight=0.0, style_weights=(0.0,) * 5, total_variation_weight=0.0)),
    Case(69, "no iterations", "accepted", "", told(steps=0)),
    Case(69, "negative iterations", "refused", "steps", told(steps=-1)),
    Case(70, "unknown layer", "refused", "relu9_9.*did you mean|relu1_1", told(
        style_layers=("relu9_9", "relu2_1", "relu3_1", "relu4_1", "relu5_1"))),
    Case(71, "unknown device", "refused", "device 'gpu': unknown; give", told(device="gpu")),
    Case(72, "device that is not there", "refused", "cuda:99", told(device="cuda:99")),
    Case(78, "size below 16", "refused", "16", told(size=15)),
    Case(78, "size of nothing", "refused", "size", told(size=0)),
    Case(79, "negative seed", "refused", "seed", told(seed=-1)),
    Case(79, "seed beyond 64 bits", "refused", "seed", told(seed=2**64)),
    Case(80, "misspelt setting", "refused", "did you mean photorealism_weight", told(photorealism_weigth=1.0)),
    Case(80, "unknown preset", "refused", "preset|fats", told(preset="fats")),
    Case(80, "unknown encoder", "refused", "vgg91", told(encoder="vgg91")),
    Case(80, "unknown regions", "refused", "regions|sky", told(regions="sky")),
]  # fmt: skip

# Weights


def weights(make: Callable[[Path], object], name: str = "w.safetensors") -> Callable[[Path], dict[str, Any]]:
    def change(folder: Path) -> dict[str, Any]:
        make(folder / name)
        return {"encoder": "vgg19-16x", "weights": folder / name}

    return change


def rewritten(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], object]:
    from safetensors.torch import load_file, save_file

    def make(path: Path) -> None:
        tensors = load_file(EMBEDDED)
        change(tensors)
        save_file(tensors, path)

    return make


class Payload:
    """What would run when a pickle is trusted."""

    def __reduce__(self):
        return os.system, ("touch ran",)


WEIGHTS = [
    Case(81, "missing", "refused", "No such file", lambda f: {"encoder": "vgg19-16x", "weights": f / "no.pth"}),
    Case(82, "wrong hash", "refused", "SHA-256 is", weights(
        lambda p: p.write_bytes(EMBEDDED.read_bytes()), "vgg19-16x-E20.pth")),
    Case(83, "cut short", "refused", "damaged or cut short", weights(
        lambda p: p.write_bytes(EMBEDDED.read_bytes()[:9000]))),
    Case(83, "pickle cut short", "refused", "damaged or cut short", weights(
        bytes_of(lambda b: b[:-300], lambda p: torch.save({"conv1_1.weight": torch.rand(4, 3, 3, 3)}, p)), "w.pth")),
    Case(84, "HTML", "refused", "a web page, not weights", weights(lambda p: p.write_text("<!DOCTYPE html>"), "w.pth")),
    Case(85, "empty", "refused", "empty file", weights(lambda p: p.write_bytes(b""), "w.pth")),
    Case(86, "a flipped byte of a known file", "refused", "SHA-256 is", weights(
        bytes_of(lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:], lambda p: p.write_bytes(EMBEDDED.read_bytes())),
        "vgg19-dcbb9e9d.pth")),
    Case(87, "malicious pickle", "refused", "is not run", weights(lambda p: torch.save({"x": Payload()}, p), "w.pth")),
    Case(88, "other keys", "refused", "not a VGG-19-shaped", weights(
        lambda p: torch.save({"layer1.weight": torch.rand(3)}, p), "w.pth")),
    Case(88, "other shapes", "refused", "conv1_2 has weight", weights(
        rewritten(lambda t: t.update({"conv1_2.weight": torch.rand(7, 2, 3, 3)})))),
    Case(88, "NaN", "refused", "NaN or infinite", weights(
        rewritten(lambda t: t["conv1_1.weight"].view(-1).__setitem__(3, float("nan"))))),
]  # fmt: skip

CASES = FILES + MASKS + OPTIONS + WEIGHTS


def _skips(case: Case) -> None:
    if case.what.endswith("16-bit colour") and not can_read_sixteen_bits():
        pytest.skip("libvips is not here")
    if case.number == 15 and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_through_the_command(case, tmp_path, capsys):
    _skips(case)
    check_command(tmp_path, case, capsys)


IN_PYTHON = [case for case in CASES if not case.what.startswith(("output", "extension", "no extension", "no folder"))]


@pytest.mark.parametrize("case", [case for case in IN_PYTHON if case.what != "alpha to JPEG"], ids=str)
def test_through_python(case, tmp_path):
    _skips(case)
    check_python(tmp_path, case)


# Tensors

BAD_TENSORS = {
    (53, "NaN"): (lambda x: x.index_put((torch.tensor(0),), torch.tensor(float("nan"))), "NaN or infinite"),
    (54, "infinity"): (lambda x: x.index_put((torch.tensor(1),), torch.tensor(-float("inf"))), "NaN or infinite"),
    (55, "0 to 255"): (lambda x: x * 255, r"got 0 to 255; divide by 255|must be in \[0, 1\]"),
    (56, "int64"): (lambda x: (x * 255).long(), "tensor of torch.int64; give uint8"),
    (56, "complex"): (lambda x: x + 0j, "tensor of torch.complex64"),
    (58, "rank 2"): (lambda x: x[0], r"shape 40x48; give \(C, H, W\)"),
    (58, "two channels"): (lambda x: x[:2], "shape 2x40x48"),
    (58, "channels last"): (lambda x: x.permute(1, 2, 0), "permute"),
    (58, "batch"): (lambda x: torch.stack([x, x]), "one photo at a time"),
    (59, "no rows"): (lambda x: x[:, :0], "each side must have at least 16"),
    (60, "meta"): (lambda x: x.to("meta"), "sparse, quantized or meta"),
    (60, "sparse"): (lambda x: x.to_sparse(), "sparse, quantized or meta"),
    (60, "conjugate"): (lambda x: (x + 0j).conj(), "tensor of torch.complex64"),
}


@pytest.mark.parametrize("role", ["content", "style"])
@pytest.mark.parametrize(("change", "says"), BAD_TENSORS.values(), ids=[f"{n}-{what}" for n, what in BAD_TENSORS])
def test_bad_tensors_are_refused(change, says, role):
    photos = {"content": CONTENT.pixels, "style": STYLE.pixels}
    photos[role] = change(CONTENT.pixels)
    with pytest.raises(fastphoto.InputError, match=says) as error:
        fastphoto.transfer(**photos, steps=1)
    assert role in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.permute(1, 2, 0).contiguous().permute(2, 0, 1),
        lambda x: x[None].to(memory_format=torch.channels_last)[0],
        lambda x: torch.nn.functional.pad(x, (2, 3, 1, 4))[:, 1:-4, 2:-3],
        lambda x: x.clone().requires_grad_(),
    ],
    ids=["61-channels-last", "61-memory-format", "61-offset", "62-gradient"],
)
def test_views_give_the_same_bits(view):
    expected = fastphoto.transfer(CONTENT.pixels, STYLE.pixels, steps=2)
    result = fastphoto.transfer(view(CONTENT.pixels), view(STYLE.pixels), steps=2)
    assert torch.equal(result, expected) and not result.requires_grad


def test_a_photo_of_one_stored_row_is_read():
    grey = torch.linspace(0, 1, 48).expand(3, 40, 48)  # 61, stride 0
    assert torch.equal(
        fastphoto.transfer(grey, STYLE.pixels, steps=1), fastphoto.transfer(grey.clone(), STYLE.pixels, steps=1)
    )


# Environment and process


def command(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "fastphoto.cli", *map(os.fspath, words)]
    return subprocess.run(run, capture_output=True, text=True, timeout=120, **options)


@pytest.fixture
def pair(tmp_path):
    settled(tmp_path, Case(0, "", "accepted"))
    return [tmp_path / "content.png", tmp_path / "style.png", "-o", tmp_path / "out.png", "--set", "steps=2"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of a file's size")
def test_a_full_disk_is_one_line_and_the_old_file_stays(pair, tmp_path):
    import resource

    (tmp_path / "out.png").write_bytes(b"old")
    before = listing(tmp_path)
    full = 2000  # bytes, after which writing fails as on a full disk
    done = command("transfer", *pair, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (full, full)))
    assert done.returncode == 2 and "cannot be written (File too large)" in done.stderr.splitlines()[-1]
    assert (tmp_path / "out.png").read_bytes() == b"old" and listing(tmp_path) == before


@pytest.mark.parametrize("variables", [{}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}], ids=["96-none", "97-C"])
def test_a_bare_environment_is_enough(variables, pair, tmp_path):
    odd = tmp_path / "é 写真.png"
    odd.write_bytes((tmp_path / "content.png").read_bytes())
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")} | variables
    done = command("transfer", odd, *pair[1:], env=bare)
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out.png").size == (48, 40)
    bad = command("transfer", tmp_path / "写.png", *pair[1:], env=bare)
    assert bad.returncode == 2 and bad.stderr.count("\n") == 1 and "no such file" in bad.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_killed_while_writing_leaves_the_old_file_or_the_new(tmp_path):
    """Kind 100, thirty times here; `make fuzz` does it three hundred times."""
    words = [sys.executable, ROOT / "tests" / "stress" / "kill_writers.py", tmp_path, "30"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("30 writers killed"), done.stderr
    left = int(re.search(r"(\d+) of them", done.stdout)[1])
    assert left > 0, "none was killed while it wrote"


def test_two_writers_of_one_file_leave_one_of_theirs(tmp_path):
    from fastphoto.photos.write import write_image

    pictures = [Image.new("RGB", (400, 300), colour) for colour in ("red", "blue")]
    threads = [
        threading.Thread(target=lambda p=p: [write_image(tmp_path / "r.png", p, "PNG", {}) for _ in range(20)])
        for p in pictures
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.asarray(Image.open(tmp_path / "r.png")).tobytes() in [np.asarray(p).tobytes() for p in pictures]
    assert [p.name for p in tmp_path.iterdir()] == ["r.png"]


def test_the_documentation_lists_every_kind_once():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    numbers = [int(n) for n in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)]
    assert numbers == list(range(1, 107))
    outcomes = dict(re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE))
    word = {"refused": "refuse", "accepted": "accepted", "warned": "remark"}
    for case in CASES:
        if not case.what.startswith("mask:"):
            assert word[case.outcome] in outcomes[str(case.number)], case
