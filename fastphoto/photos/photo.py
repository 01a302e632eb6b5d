"""The type `Photo`: a decoded photograph, with the facts that give a result the form of the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastphoto.photos.input_files import FileSource

MINIMUM_SIDE = 16  # pixels: four poolings precede conv5_1 of VGG-19, and each halves the sides


@dataclass(frozen=True, eq=False)
class Photo:
    """One decoded photograph, with the facts that give a result the form of the source.

    `read_photo` makes it; `to_source_kind` and `write_photo` use it.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> photo = read_photo(torch.rand(4, 24, 32), "style")
        >>> photo.kind, photo.name, photo.size, photo.alpha.shape
        ('tensor', 'style', (24, 32), torch.Size([24, 32]))
    """

    pixels: Tensor  # (3, H, W) float32, sRGB in [0, 1]
    alpha: Tensor | None  # (H, W) float32 in [0, 1]; 0 is transparent
    kind: Literal["path", "pil", "numpy", "tensor"]  # kind of source; "path" also for bytes and streams
    name: str  # name in messages: the path, or the role
    bits: int = 8  # bits a channel of the source
    dtype: np.dtype[Any] | torch.dtype | None = None  # dtype of the array or tensor
    layout: Literal["chw", "nchw"] = "chw"  # layout of the tensor; arrays always have channels last
    format: str | None = None  # format of the file: "PNG", "JPEG", ...
    icc: bytes | None = None  # RGB profile of the source, embedded in results
    icc_is_srgb: bool = True  # if False, results are converted to the profile
    exif: bytes | None = None  # without the orientation, which is applied
    dpi: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, after the EXIF orientation is applied."""
        return self.pixels.shape[-2], self.pixels.shape[-1]


PhotoSource = FileSource | Image.Image | np.ndarray[Any, Any] | Tensor | Photo
"""Types that `read_photo` accepts; a `Photo` is returned as it is."""
