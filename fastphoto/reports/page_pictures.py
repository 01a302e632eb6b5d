"""Pictures of a page: shrunk to its width and encoded into data: URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from fastphoto.photos.photo import Photo, PhotoSource
from fastphoto.photos.read import read_photo

_JPEG_QUALITY = 90  # by eye
_FEW_COLOURS = 256  # a picture with no more is a mask or a chart, whose edges JPEG would smear


@dataclass(frozen=True)
class EncodedPicture:
    """A picture as a page holds it."""

    uri: str
    """data: URI of a JPEG, or of a PNG if the picture has few colours or alpha; sRGB."""
    width: int  # pixels
    height: int  # pixels

    @property
    def ratio(self) -> str:
        """Width over height, as CSS takes it."""
        return f"{self.width / self.height:.4f}"


def encode_picture(source: PhotoSource, name: str, width: int) -> EncodedPicture:
    """Encode anything that `read_photo` reads, shrunk to `width` pixels if it is wider; raise as `read_photo` does."""
    image = _image_of_photo(read_photo(source, name))
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    if image.mode == "RGBA" or image.getcolors(_FEW_COLOURS) is not None:
        kind = "png"
        image.save(stream, "PNG", optimize=True)
    else:
        kind = "jpeg"
        # Not optimised: that takes a hundredth of the bytes away, and Pillow fails at it for pictures of noise.
        image.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return EncodedPicture(f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}", *image.size)


def image_of_pixels(pixels: Tensor) -> Image.Image:
    """Return (3, H, W) or (4, H, W) in [0, 1] as an 8-bit RGB or RGBA image."""
    return Image.fromarray(pixels.mul(255).round_().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy())


def _image_of_photo(photo: Photo) -> Image.Image:
    """Return RGB, or RGBA if some pixel is not opaque."""
    if photo.alpha is None or float(photo.alpha.min()) >= 1:
        return image_of_pixels(photo.pixels)
    return image_of_pixels(torch.cat([photo.pixels, photo.alpha[None]]))
