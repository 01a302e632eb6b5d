"""Conversion between the colour profile of an image and sRGB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from fastphoto.errors import error_text, warn


def to_srgb(image: Image.Image, icc: bytes | None, name: str) -> tuple[Image.Image, bytes | None, bool]:
    """Convert an RGB, L or CMYK image to sRGB; also give the RGB profile for results, and if it is sRGB."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            space = profile.profile.xcolor_space.strip()
            if space != {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[image.mode]:
                raise ValueError(f"it is for {space}, the image is {image.mode}")
            forward = _transform(profile, ImageCms.createProfile("sRGB"), image.mode, "RGB")
            if image.mode != "RGB":
                return ImageCms.applyTransform(image, forward), None, True
            if _is_identity(forward):
                return image, icc, True
            _transform(ImageCms.createProfile("sRGB"), profile, "RGB", "RGB")  # some profiles lead one way only
            return ImageCms.applyTransform(image, forward), icc, False
        except Exception as error:  # PyCMSError derives from Exception alone
            warn(f"{name}: the colour profile is unusable ({error_text(error)}); read as sRGB")
    elif image.mode == "CMYK":
        warn(f"{name}: CMYK without a colour profile; converted by the simple formula")
    return (image.convert("RGB") if image.mode == "CMYK" else image), None, True


def _transform(source: Any, target: Any, source_mode: str, target_mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        source,
        target,
        source_mode,
        target_mode,
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform moves no 8-bit colour by more than two steps: descriptions of profiles lie."""
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
    moved = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return int(np.abs(moved.astype(int) - colours).max()) <= 2


def from_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """Convert an sRGB image to an RGB profile that `to_srgb` returned."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return ImageCms.applyTransform(image, _transform(ImageCms.createProfile("sRGB"), profile, "RGB", "RGB"))
