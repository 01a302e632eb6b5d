"""Clips that are numbered images: a folder, or a pattern such as `frames/%04d.png`."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from fastphoto.errors import FileError, InputError, printable
from fastphoto.photos.formats import READ_EXTENSIONS, WRITE_FORMATS
from fastphoto.photos.photo import Photo
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import write_photo
from fastphoto.video.clip import Frame

_NUMBER = re.compile(r"%(0\d+)?d")


class ImageFrame:
    """One image of a sequence; its pixels are read when they are asked for."""

    def __init__(self, sequence: ImageSequence, path: Path, index: int) -> None:
        self._sequence, self.path, self.index = sequence, path, index

    def photo(self) -> Photo:
        """Return the image."""
        return self._sequence.photo(self.path)

    def pixels(self) -> Tensor:
        """Return the colours, (H, W, 3) float32 in [0, 1]."""
        return self.photo().pixels.permute(1, 2, 0).contiguous()

    def shrunk(self, size: tuple[int, int]) -> Tensor:
        """Return the colours averaged to a size (height, width), (3, h, w) float32 in [0, 1]."""
        return F.interpolate(self.photo().pixels[None], size, mode="area")[0]


class ImageSequence:
    """A sequence of images, in the order of the numbers in their names.

    Args:
        path: folder, or path with `%d` or `%04d` in the file's name.

    Raises:
        FileError: there are no images, or one cannot be read.
    """

    quarter_turns = 0  # `read_photo` turns images upright

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.name = Path(path), printable(path)
        self.images = _images(self.path)
        if not self.images:
            raise FileError(f"{self.name}: there are no images; give a folder of images, or a pattern such as %04d.png")
        self._latest: tuple[Path, Photo] | None = None
        self.size = self.photo(self.images[0]).size
        self.expected_frames: int | None = len(self.images)

    def frames(self) -> Iterator[Frame]:
        """Yield the images in order."""
        for index, path in enumerate(self.images):
            if self.photo(path).size != self.size:
                height, width = self.photo(path).size
                raise FileError(
                    f"{printable(path)}: {width}x{height} pixels, but the first image has {self.size[1]}x"
                    f"{self.size[0]}; all images of a sequence need one size"
                )
            yield ImageFrame(self, path, index)

    def photo(self, path: Path) -> Photo:
        """Read an image, or return it if it was the last one read."""
        if self._latest is None or self._latest[0] != path:
            self._latest = path, read_photo(path)
        return self._latest[1]


class ImageSequenceOutput:
    """The results of a sequence, in a temporary folder until all are written.

    Args:
        path: folder, where results keep the names of the images; or a pattern, where they are numbered like them.
        sequence: the images.

    Raises:
        InputError: the folder is that of the images, or a name has no format that can be written.
        FileError: the folder cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str], sequence: ImageSequence) -> None:
        self._name, target = printable(path), Path(path)
        self._pattern = target.name if _NUMBER.search(target.name) else None
        self._folder = target.parent if self._pattern else target
        self._numbers = _numbers_of(sequence)
        parent = os.path.dirname(os.path.realpath(self._folder))
        if not os.path.isdir(parent):
            raise FileError(f"{self._name}: the folder {printable(parent)} does not exist")
        if self._folder.exists() and not self._folder.is_dir():
            raise InputError(f"{self._name}: a sequence of images needs a folder or a pattern such as out/%04d.png")
        names = [self._name_of(path, index) for index, path in enumerate(sequence.images)]
        unwritable = next((each for each in names if Path(each).suffix.lower() not in WRITE_FORMATS), None)
        if unwritable is not None:
            raise InputError(
                f"{printable(unwritable)}: cannot write this kind of file; give a pattern with one of "
                f"{', '.join(WRITE_FORMATS)}"
            )
        targets = {os.path.realpath(self._folder / each) for each in names}
        if any(os.path.realpath(each) in targets for each in sequence.images):
            raise InputError(f"{self._name}: its images are also the input; write the results to another folder")
        self._temporary = Path(parent, f".fastphoto-{secrets.token_hex(6)}.tmp")
        try:
            self._temporary.mkdir()
        except OSError as error:
            raise FileError(f"{self._name}: cannot be written ({error.strerror})") from error

    def write(self, frame: Frame, pixels: Tensor) -> None:
        """Write the result of an image, (H, W, 3) in [0, 1], with its alpha, profile and EXIF data."""
        assert isinstance(frame, ImageFrame)
        write_photo(self._temporary / self._name_of(frame.path, frame.index), frame.photo(), pixels.permute(2, 0, 1))

    def complete(self) -> None:
        """Move all results to their folder."""
        try:
            self._folder.mkdir(exist_ok=True)
            for path in sorted(self._temporary.iterdir()):
                os.replace(path, self._folder / path.name)
        except OSError as error:
            raise FileError(f"{self._name}: cannot be written ({error.strerror})") from error
        self.discard()

    def discard(self) -> None:
        """Delete the results that are not at their place."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self._temporary)

    def _name_of(self, path: Path, index: int) -> str:
        if self._pattern is None:
            return path.name
        return _NUMBER.sub(lambda match: match.group() % self._numbers[index], self._pattern)


def is_sequence(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder or the pattern of numbered images."""
    return os.path.isdir(path) or (_NUMBER.search(Path(path).name) is not None and not os.path.exists(path))


def _images(path: Path) -> list[Path]:
    """Return the images that a folder or a pattern names, in the order of their numbers."""
    folder, pattern = (path, None) if path.is_dir() else (path.parent, _expression(path.name))
    if not folder.is_dir():
        raise FileError(f"{printable(folder)}: does not exist; give a folder of images")
    images = [
        each
        for each in folder.iterdir()
        if not each.name.startswith(".")
        and (each.suffix.lower() in READ_EXTENSIONS if pattern is None else pattern.fullmatch(each.name))
    ]
    return sorted(images, key=_natural_order)


def _expression(pattern: str) -> re.Pattern[str]:
    """Return the expression of the names that a pattern such as `frame-%04d.png` stands for."""
    match = _NUMBER.search(pattern)
    assert match is not None
    digits = match.group(1)
    number = rf"\d{{{int(digits)},}}" if digits else r"\d+"
    return re.compile(re.escape(pattern[: match.start()]) + f"({number})" + re.escape(pattern[match.end() :]))


def _numbers_of(sequence: ImageSequence) -> list[int]:
    """Return the number of each image: that in its name, or its place from 1 if the sequence is a folder."""
    if sequence.path.is_dir():
        return list(range(1, len(sequence.images) + 1))
    expression = _expression(sequence.path.name)
    matches = [expression.fullmatch(each.name) for each in sequence.images]
    return [int(match.group(1)) for match in matches if match is not None]


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts names by the numbers in them: frame-2 before frame-10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
