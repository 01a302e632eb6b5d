"""Kinds of unusual input: a good call, one change to it, and what the command and `fastphoto.transfer` must do then.

A kind has the number of its row in docs/reliability.md. What is refused must leave all files as they were; what is
accepted must give a picture of the content's size that is not blank.
"""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_here
from locations import ROOT
from PIL import Image
from rendered_photos import day, dusk

import fastphoto
from fastphoto.errors import FastPhotoError, FastPhotoWarning

CONTENT, STYLE = day(40, 48), dusk(48, 40)
OPTIONS = (
    "content_mask", "style_mask", "size", "seed", "device", "encoder", "weights", "preset", "orphans", "regions"
)  # fmt: skip
"""Arguments that the command has an option for; all others are settings, given by --set."""

Call = dict[str, Any]
Change = Callable[[Path], Call]
"""Writes files into a folder and returns the arguments of the call that change."""


def good_call(folder: Path) -> Call:
    """Write a pair of photos and return the arguments of a quick transfer between them."""
    Image.fromarray(CONTENT.array).save(folder / "content.png")
    Image.fromarray(STYLE.array).save(folder / "style.png")
    return {"content": folder / "content.png", "style": folder / "style.png", "output": folder / "out.png", "steps": 2}


def arguments(**values: Any) -> Change:
    """Return a change of arguments alone."""
    return lambda folder: values


def command_words(call: Call) -> list[str]:
    """Return the words of the command that makes a call."""
    settings = call.keys() - {"content", "style", "output", *OPTIONS}
    words = ["transfer", "-o", str(call["output"])]
    words += [f"--{name.replace('_', '-')}={call[name]}" for name in OPTIONS if name in call]
    words += [f"--set={name}={as_text(call[name])}" for name in sorted(settings)]
    return [*words, "--", str(call["content"]), str(call["style"])]


def as_text(value: object) -> str:
    """Return a setting as `--set` reads it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def files_in(folder: Path) -> dict[bytes, bytes | None]:
    """Return the content of each file, None for what is not a regular file; names may be any bytes."""
    paths = [os.path.join(root, name) for root, _, names in os.walk(os.fsencode(folder)) for name in names]
    return {path: Path(os.fsdecode(path)).read_bytes() if os.path.isfile(path) else None for path in paths}


@dataclass(frozen=True)
class Case:
    """One kind of input."""

    number: int
    what: str
    change: Change = field(default=lambda folder: {}, repr=False)
    marks: Sequence[pytest.MarkDecorator] = ()

    def __str__(self) -> str:
        return f"{self.number}-{self.what.replace(' ', '-')}"

    @property
    @abstractmethod
    def documented(self) -> str:
        """A regular expression that the row of docs/reliability.md matches."""

    @abstractmethod
    def check_command(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Check what the command does."""

    @abstractmethod
    def check_python(self, folder: Path) -> None:
        """Check what `fastphoto.transfer` does."""

    def call(self, folder: Path) -> Call:
        """Write the files and return the arguments."""
        return good_call(folder) | self.change(folder)


@dataclass(frozen=True)
class Refused(Case):
    """Input that is refused, with an error that matches a regular expression."""

    error: str = field(kw_only=True)
    documented = "refuse"

    def check_command(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        call = self.call(folder)
        if call["output"] == folder / "out.png":
            call["output"].write_bytes(b"an older result")
        before = files_in(folder)
        status = run_here(*command_words(call))
        said = capsys.readouterr().err
        errors = [line for line in said.splitlines() if line.startswith("fastphoto: error: ")]
        assert status == 2 and len(errors) == 1 and said.splitlines()[-1] == errors[0], said
        assert re.search(self.error, errors[0]), errors[0]
        assert files_in(folder) == before, "files changed although the input was refused"

    def check_python(self, folder: Path) -> None:
        call = self.call(folder)
        output, *photos = (call.pop(name) for name in ("output", "content", "style"))
        with warnings.catch_warnings(), pytest.raises(FastPhotoError, match=self.error) as error:
            warnings.simplefilter("ignore")
            fastphoto.transfer(*photos, **call)
        assert isinstance(error.value, (ValueError, OSError)), "neither a ValueError nor an OSError"
        assert "\n" not in str(error.value), "more than one line"
        assert not output.exists(), "written although nothing asked for a file"


@dataclass(frozen=True)
class Accepted(Case):
    """Input that is used; with a warning that matches a regular expression, if there is one."""

    warning: str = ""

    @property
    def documented(self) -> str:
        return "remark|warning" if self.warning else "accepted"

    def check_command(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        call = self.call(folder)
        before = files_in(folder)
        status = run_here(*command_words(call))
        said = capsys.readouterr().err
        assert status == 0 and "fastphoto: error: " not in said, said
        self._check_warnings([line for line in said.splitlines() if line.startswith("fastphoto: warning: ")])
        assert files_in(folder).keys() - before.keys() == {os.fsencode(call["output"])}, "not just the result written"
        with Image.open(call["output"]) as image:
            assert_picture(image)

    def check_python(self, folder: Path) -> None:
        call = self.call(folder)
        _, *photos = (call.pop(name) for name in ("output", "content", "style"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = fastphoto.transfer(*photos, **call)
        self._check_warnings([str(w.message) for w in caught if issubclass(w.category, FastPhotoWarning)])
        assert_picture(result)

    def _check_warnings(self, texts: list[str]) -> None:
        assert bool(texts) == bool(self.warning), texts
        assert not texts or any(re.search(self.warning, text) for text in texts), texts


def assert_picture(image: Image.Image) -> None:
    """Assert that a result shows something."""
    assert np.asarray(image.convert("RGB")).astype(float).std() > 4, "the picture is blank"


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Return the mark that runs a test once for each case."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=str(case), marks=case.marks) for case in cases])


def photo_file(name: str, write: Callable[[Path], object], role: str = "content") -> Change:
    """Return a change: a photo is the file of that name, which `write` writes."""

    def change(folder: Path) -> Call:
        write(folder / name)
        return {role: folder / name}

    return change


def as_style(case: Case) -> Case:
    """Return the case that does to the style photo what this one does to the content photo."""

    def change(folder: Path) -> Call:
        return {"style" if name == "content" else name: value for name, value in case.change(folder).items()}

    return replace(case, what=f"{case.what} style", change=change)


def edited(edit: Callable[[bytes], bytes], write: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return a function that writes a good file and then edits its bytes."""

    def write_edited(path: Path) -> None:
        write(path)
        path.write_bytes(edit(path.read_bytes()))

    return write_edited


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    """Return a PNG file whose header promises a picture of that size, and whose pixels are the rows given."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


@cache
def documented_outcomes() -> dict[int, str]:
    """Return {number: what happens} of all rows of docs/reliability.md that have a number."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    assert len(rows) == len(set(number for number, _ in rows)), "two rows have one number"
    return {int(number): outcome for number, outcome in rows}


def assert_documented(cases: Sequence[Case]) -> None:
    """Assert that docs/reliability.md says what the cases check."""
    wrong = [str(case) for case in cases if not re.search(case.documented, documented_outcomes()[case.number])]
    assert not wrong, "docs/reliability.md says otherwise"
