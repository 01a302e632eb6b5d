"""The type `Photo`: a decoded photograph, and what makes a result the same kind of object."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MINIMUM_SIDE = 16  # pixels: conv5_1 of a VGG-19 lies below four poolings


@dataclass(frozen=True, eq=False)
class Photo:
    """One decoded photograph, and what makes a result the same kind of object as the source.

    `read_photo` makes it, `to_source_kind` and `write_photo` use it.

    Example:
        >>> from fastphoto.photos.read import read_photo
        >>> photo = read_photo(torch.rand(4, 24, 32), "style")
        >>> photo.kind, photo.name, photo.size, photo.alpha.shape
        ('tensor', 'style', (24, 32), torch.Size([24, 32]))
    """

    pixels: Tensor  # (3, H, W) float32, sRGB in [0, 1]
    alpha: Tensor | None  # (H, W) float32 in [0, 1]; 0 is transparent
    kind: Literal["path", "pil", "numpy", "tensor"]  # of the source
    name: str  # what messages call it: the path, or the role
    bits: int = 8  # a channel, of the source
    dtype: np.dtype[Any] | torch.dtype | None = None  # of an array or tensor
    layout: Literal["chw", "nchw"] = "chw"  # of a tensor; arrays always have channels last
    format: str | None = None  # of a file: "PNG", "JPEG", ...
    icc: bytes | None = None  # RGB profile of the source, embedded in results
    icc_is_srgb: bool = True  # if not, results are converted to it
    exif: bytes | None = None  # without the orientation, which is applied
    dpi: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, after the EXIF orientation is applied."""
        return self.pixels.shape[-2], self.pixels.shape[-1]


PhotoSource = str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any] | Tensor | Photo
"""What `read_photo` reads; a `Photo` is used as it is."""
