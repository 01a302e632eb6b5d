"""Conversion of decoded images to sRGB, and of results to the colour profile of their photo."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from fastphoto.errors import InputError, error_text, warn
from fastphoto.photos.formats import WIDE_GREY_MODES


class SrgbImage(NamedTuple):
    """An image in sRGB, and the colour profile for its results."""

    values: np.ndarray[Any, Any]  # (H, W) grey or (H, W, C) colour, C = 4 with alpha; uint8, uint16 or float32
    icc: bytes | None = None  # RGB profile of the source, None if missing, unusable or not for RGB
    icc_is_srgb: bool = True  # if False, results are converted to the profile


def to_srgb(image: Image.Image, name: str) -> SrgbImage:
    """Convert an image of any mode and colour profile to sRGB.

    Args:
        image: loaded image.
        name: name of the image in messages.

    Returns:
        The values and the profile. Values have 8 bits, except in grey images of 16 or 32 bits.

    Raises:
        InputError: Pillow cannot convert the mode, or integer grey values are outside 0 to 65535.

    Warns with a FastPhotoWarning about a profile that cannot be used and about CMYK without a profile.
    """
    icc: bytes | None = image.info.get("icc_profile")
    if image.mode in WIDE_GREY_MODES:
        if icc:
            warn(f"{name}: the colour profile of a {image.mode} image is not applied; read as sRGB")
        return SrgbImage(_wide_grey(image, name))
    alpha = None
    try:
        if image.has_transparency_data:
            is_grey = image.mode in ("LA", "La")
            straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA")).convert("RGBA")
            alpha = straight.getchannel("A")
            image = straight.convert("L" if is_grey else "RGB")
        elif image.mode not in ("RGB", "L", "CMYK"):
            if image.mode == "LAB":
                icc = None  # CIELAB needs no profile, and that of the file may be for results in CIELAB
            image = image.convert("L" if image.mode == "1" else "RGB")
        image, icc, icc_is_srgb = _apply_profile(image, icc, name)
        if alpha is not None:
            image = image.convert("RGB")
            image.putalpha(alpha)
        return SrgbImage(np.array(image), icc, icc_is_srgb)
    except (ValueError, OSError) as error:
        raise InputError(f"{name}: a {image.mode} image cannot be read as a photo ({error_text(error)})") from error


def from_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """Convert an sRGB image (mode RGB) to an RGB profile that `to_srgb` returned."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return _transformed(image, _transform(_srgb(), profile, "RGB", "RGB"))


def _wide_grey(image: Image.Image, name: str) -> np.ndarray[Any, Any]:
    values = np.array(image)
    if image.mode == "F":
        return values.astype(np.float32)
    if image.mode == "I" and (values.min() < 0 or values.max() > 65535):
        raise InputError(f"{name}: 32-bit grey values {values.min()} to {values.max()}; only 0 to 65535 can be read")
    return values.astype(np.uint16)


def _apply_profile(image: Image.Image, icc: bytes | None, name: str) -> tuple[Image.Image, bytes | None, bool]:
    """Convert an RGB, L or CMYK image to sRGB; also return the RGB profile for results, and whether it is sRGB."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            space = profile.profile.xcolor_space.strip()
            if space != {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[image.mode]:
                raise ValueError(f"it is for {space}, the image is {image.mode}")
            forward = _transform(profile, _srgb(), image.mode, "RGB")
            if image.mode != "RGB":
                return _transformed(image, forward), None, True
            if _is_identity(forward):
                return image, icc, True
            _transform(_srgb(), profile, "RGB", "RGB")  # some profiles convert one way only
            return _transformed(image, forward), icc, False
        except Exception as error:  # PyCMSError derives from Exception alone
            warn(f"{name}: the colour profile is unusable ({error_text(error)}); read as sRGB")
    elif image.mode == "CMYK":
        warn(f"{name}: CMYK without a colour profile; converted by the simple formula")
    return (image.convert("RGB") if image.mode == "CMYK" else image), None, True


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _transform(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, source_mode: str, target_mode: str
) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        source,
        target,
        source_mode,
        target_mode,
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is None only for a conversion in place
    return converted


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether a transform changes no 8-bit colour by more than 2; profile names cannot be trusted."""
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
    moved = np.asarray(_transformed(Image.fromarray(colours), transform))
    return int(np.abs(moved.astype(int) - colours).max()) <= 2
