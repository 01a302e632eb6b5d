"""A photo of a tab: its file, a small copy to work on, a picture to look at, and planes to cut from."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fastphoto.errors import FastPhotoError, printable
from fastphoto.photos.formats import SAVE_OPTIONS
from fastphoto.photos.photo import MINIMUM_SIDE, Photo
from fastphoto.photos.read import read_photo
from fastphoto.photos.resize import fit_size, resize, shrunk_size

Side = Literal["content", "style"]
SIDES: tuple[Side, Side] = ("content", "style")

WORK_SIDE = 700
"""Long side in pixels of the copies that regions are found and painted on: the command's own default."""
VIEW_SIDE = 1400
"""Long side in pixels of pictures in the page."""


@dataclass(frozen=True, eq=False)
class TabPhoto:
    """A photo that the server could read."""

    side: Side
    path: Path
    name: str  # of the client's file; only ever shown
    size: tuple[int, int]  # (H, W)
    bits: int
    output: str  # extension of the format that a result is downloaded in
    work: Photo  # long side WORK_SIDE at most
    view: bytes  # JPEG, or PNG if it has alpha
    planes: Path  # (3, H, W) uint8

    def facts(self) -> dict[str, Any]:
        """Return what the page shows."""
        height, width = self.size
        work_height, work_width = self.work.size
        return {
            "side": self.side,
            "name": self.name,
            "width": width,
            "height": height,
            "bits": self.bits,
            "work": [work_width, work_height],
            "output": self.output,
            "key": self.path.name,
        }

    def files(self) -> tuple[Path, Path]:
        """Return the files that belong to the photo."""
        return self.path, self.planes


def open_photo(path: Path, side: Side, name: str) -> TabPhoto:
    """Read a photo as the command does.

    Raises:
        FastPhotoError: a photo that the command would refuse, with `side` in place of the path.
    """
    try:
        photo = read_photo(path, side)
        size = fit_size(*photo.size, WORK_SIDE, side)
    except FastPhotoError as error:
        raise type(error)(str(error).replace(printable(path), side)) from None
    alpha = None if photo.alpha is None else resize(photo.alpha[None], size)[0].clamp(0, 1)
    work = Photo(resize(photo.pixels, size).clamp(0, 1).clone(), alpha, "tensor", side, dtype=torch.float32)
    planes = path.with_suffix(".planes")
    write_planes(planes, photo.pixels, np.uint8)
    output = {"JPEG": "jpg", "TIFF": "tif"}.get(photo.format or "", (photo.format or "PNG").lower())
    return TabPhoto(
        side,
        path,
        name,
        photo.size,
        photo.bits,
        output if photo.format in SAVE_OPTIONS else "png",
        work,
        encode_view(photo.pixels, photo.alpha),
        planes,
    )


def shown_name(name: str, side: Side) -> str:
    """Return the last part of a client's file name as one short printable word for commands, never used as a path.

    Example:
        >>> shown_name("../../etc/passwd", "content"), shown_name("", "style"), shown_name("-o.png", "style")
        ('passwd', 'style.jpg', './-o.png')
    """
    name = printable(re.split(r"[/\\]", name)[-1].replace("\x00", "")).strip()[-100:]
    if name in ("", ".", ".."):
        return f"{side}.jpg"
    return f"./{name}" if name.startswith("-") else name


def view_pixels(pixels: Tensor) -> Tensor:
    """Return pixels (C, H, W) shrunk to the size of a picture in the page."""
    size = pixels.shape[1], pixels.shape[2]
    return resize(pixels, shrunk_size(size, VIEW_SIDE, min(MINIMUM_SIDE, *size)))


def encode_view(pixels: Tensor, alpha: Tensor | None = None) -> bytes:
    """Return pixels (3, H, W) in [0, 1] as a JPEG for the page, or as a PNG where there is alpha, of any size."""
    shown = view_pixels(pixels)
    if alpha is None:
        return encode_jpeg(shown)
    fitted = F.interpolate(alpha[None, None], shown.shape[1:], mode="bilinear", antialias=True)[0]
    image = image_of(torch.cat([shown, fitted]))
    return _saved(image, "PNG", compress_level=1)


def encode_jpeg(pixels: Tensor, quality: int = 95) -> bytes:
    """Return pixels (3, H, W) in [0, 1] as a JPEG with full chroma."""
    return _saved(image_of(pixels), "JPEG", quality=quality, subsampling=0)


def encode_png(values: np.ndarray[Any, Any]) -> bytes:
    """Return (H, W, 3 or 4) uint8 as a PNG."""
    return _saved(Image.fromarray(values), "PNG", compress_level=1)


def image_of(pixels: Tensor) -> Image.Image:
    """Return pixels (3 or 4, H, W) in [0, 1] as an image."""
    return Image.fromarray(np.ascontiguousarray(_bytes(pixels).transpose(1, 2, 0)))


def write_planes(path: Path, pixels: Tensor, dtype: type[np.generic]) -> None:
    """Write pixels (3, H, W) in [0, 1] plane by plane: as they are (np.float32), or as whole numbers (np.uint8)."""
    with open(path, "wb") as file:
        for plane in pixels:
            values = _bytes(plane) if dtype is np.uint8 else plane.contiguous().numpy()
            values.tofile(file)


def read_pixels(path: Path, size: tuple[int, int]) -> Tensor:
    """Return pixels (3, H, W) that `write_planes` wrote as np.float32."""
    return torch.from_numpy(np.fromfile(path, np.float32)).view(3, *size)


def cut(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> bytes:
    """Return a part of planes as a PNG.

    Args:
        path: file that `write_planes` wrote.
        size: (H, W) of the planes.
        box: left, top, width, height of the part; what lies outside is left out.
    """
    left, top, width, height = box
    floats = path.stat().st_size == 12 * size[0] * size[1]
    planes = np.memmap(path, np.float32 if floats else np.uint8, "r", shape=(3, *size))
    part = np.array(planes[:, max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)])
    del planes
    values = _bytes(torch.from_numpy(part)) if floats else part
    return encode_png(np.ascontiguousarray(values.transpose(1, 2, 0)))


def _bytes(pixels: Tensor) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = pixels.mul(255).round_().clamp_(0, 255).to(torch.uint8).numpy()
    return values


def _saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, file_format, **options)
    return data.getvalue()
