"""Photographs in and out: path, PIL image, array or tensor to (3, H, W) float sRGB, and back to that kind."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .deep_files import DEEP_FORMATS, can_read_deep, deep_file, read_deep
from .errors import InputError, warn
from .image_files import (
    DEEP_MODES,
    SAVE_OPTIONS,
    check_output,
    from_srgb,
    loaded,
    open_image,
    reason,
    save_whole,
    shown,
    to_srgb,
    upright,
    write_whole,
)

__all__ = [
    "MINIMUM_SIDE",
    "Photo",
    "Source",
    "check_output",
    "fit_size",
    "read_photo",
    "resize",
    "same_kind",
    "write_photo",
]

Source = str | os.PathLike | Image.Image | np.ndarray | Tensor

MINIMUM_SIDE = 16  # pixels: conv5_1 of a VGG-19 lies below four poolings


@dataclass(frozen=True, eq=False)
class Photo:
    """One photograph, decoded, with what is needed to give a result back as the kind that came in."""

    pixels: Tensor  # (3, H, W) float32, sRGB-encoded, [0, 1]
    alpha: Tensor | None  # (H, W) float32, [0, 1]
    kind: str  # "path", "pil", "numpy" or "tensor"
    name: str  # what messages call it: the path, or the role
    bits: int = 8  # per channel, of the source
    dtype: np.dtype | torch.dtype | None = None  # of an array or tensor
    layout: str = "chw"  # of a tensor: "chw" or "nchw"; arrays always have channels last
    format: str | None = None  # of a file: "PNG", "JPEG", ...
    icc: bytes | None = None  # RGB profile of the source, embedded in results
    icc_is_srgb: bool = True  # if not, results are converted to it
    exif: bytes | None = None  # without the orientation, which is applied
    dpi: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels, after the EXIF orientation."""
        return self.pixels.shape[-2], self.pixels.shape[-1]


def read_photo(source: Source, role: str = "content") -> Photo:
    """Decode one photograph.

    source: a path; a PIL image; a numpy array (H, W, 3), (H, W, 4), (H, W) or (H, W, 1) of uint8, uint16 or
    float in [0, 1]; a tensor (C, H, W) or (1, C, H, W) with C of 1, 3 or 4, of uint8 or float in [0, 1]
    (detached). Grey becomes colour; an alpha channel is kept apart and given back with the result.
    role: what messages call a source that has no path.

    Files: PNG, JPEG, TIFF, WebP, BMP, PPM, GIF (first frame) and AVIF. The EXIF orientation is applied. An
    RGB profile other than sRGB, CMYK and grey profiles are converted to sRGB, in 8 bits; colours outside sRGB
    are clipped. 16 bits per channel are kept; those of colour need libvips (`fastphoto[deep]`).

    Raises FileError for a file that cannot be read and InputError for values, types or sizes that cannot be
    used (a side below 16 pixels, floats outside [0, 1], integers other than uint8 and uint16). Warns with
    FastPhotoWarning where it accepts with a change.
    """
    if isinstance(source, Image.Image):
        photo = _photo_of_image(*upright(loaded(source, role)), "pil", role, source.format)
    elif isinstance(source, np.ndarray):
        photo = _photo_of_array(source, role)
    elif isinstance(source, Tensor):
        photo = _photo_of_tensor(source, role)
    elif isinstance(source, (str, os.PathLike)):
        opened = open_image(source)
        photo = _photo_of_image(opened.image, opened.exif, "path", shown(source), opened.format)
        if opened.deep:
            photo = _with_all_bits(photo, source)
    else:
        raise InputError(
            f"{role}: cannot read a photo from {type(source).__name__}; give a path, PIL image, array or tensor"
        )
    if min(photo.size) < MINIMUM_SIDE:
        height, width = photo.size
        raise InputError(f"{photo.name}: {width}x{height} pixels; each side must have at least {MINIMUM_SIDE}")
    return photo


def _with_all_bits(photo: Photo, path: str | os.PathLike) -> Photo:
    """A photo whose file holds 16 bits a channel, with those instead of the eight that Pillow reads."""
    if photo.format not in DEEP_FORMATS or not can_read_deep():
        hint = "; pip install fastphoto[deep] reads and writes 16" if photo.format in DEEP_FORMATS else ""
        warn(f"{photo.name}: more than 8 bits per colour channel; read with 8 bits{hint}")
        return photo
    values = torch.from_numpy(read_deep(path, wide=not photo.icc_is_srgb).astype(np.float32)).div_(65535)
    planes = values.permute(2, 0, 1).contiguous()
    return replace(photo, pixels=planes[:3], alpha=planes[3] if len(planes) == 4 else photo.alpha, bits=16)


def _photo_of_image(image: Image.Image, exif: bytes | None, kind: str, name: str, file_format: str | None) -> Photo:
    info = image.info
    dpi = info.get("dpi")
    shared: dict[str, Any] = {"kind": kind, "name": name, "exif": exif, "format": file_format}
    if isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(d) < 1e6 for d in dpi):
        shared["dpi"] = (float(dpi[0]), float(dpi[1]))
    if image.mode in DEEP_MODES:
        if info.get("icc_profile"):
            warn(f"{name}: the colour profile of a {image.mode} image is not applied; read as sRGB")
        grey = _deep_grey(image, name)
        return Photo(grey.expand(3, -1, -1).contiguous(), None, bits=32 if image.mode == "F" else 16, **shared)
    try:
        alpha = None
        if image.has_transparency_data:
            grey = image.mode in ("LA", "La")
            straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA")).convert("RGBA")
            alpha = _planes(straight.getchannel("A"))[0]
            image = straight.convert("L" if grey else "RGB")
        elif image.mode not in ("RGB", "L", "CMYK"):
            image = image.convert("L" if image.mode == "1" else "RGB")
        image, icc, is_srgb = to_srgb(image, info.get("icc_profile"), name)
        pixels = _planes(image)
    except (ValueError, OSError) as error:
        raise InputError(f"{name}: a {image.mode} image cannot be read as a photo ({reason(error)})") from error
    return Photo(pixels.expand(3, -1, -1).contiguous(), alpha, icc=icc, icc_is_srgb=is_srgb, **shared)


def _planes(image: Image.Image) -> Tensor:
    """An 8-bit image as (C, H, W) float32 in [0, 1]."""
    values = np.array(image)
    planes = torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1)
    return planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def _deep_grey(image: Image.Image, name: str) -> Tensor:
    values = np.array(image)
    if image.mode == "F":
        return _unit_range(torch.from_numpy(values.astype(np.float32)), name)
    if image.mode == "I" and (values.min() < 0 or values.max() > 65535):
        raise InputError(f"{name}: 32-bit grey values {values.min()} to {values.max()}; only 0 to 65535 can be read")
    return torch.from_numpy(values.astype(np.float32)).div_(65535)


def _unit_range(values: Tensor, name: str) -> Tensor:
    """Check in place that float values lie in [0, 1] up to rounding."""
    if values.numel() == 0:
        return values
    low, high = (bound.item() for bound in torch.aminmax(values))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name}: holds NaN or infinite values; float values must be finite and in [0, 1]")
    if low < -0.001 or high > 1.001:
        fix = "divide by 255" if low >= 0 and high <= 255 else "scale them to it"
        raise InputError(f"{name}: float values must be in [0, 1], got {low:.4g} to {high:.4g}; {fix}")
    return values.clamp_(0, 1)


def _photo_of_array(array: np.ndarray, role: str) -> Photo:
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise InputError(f"{role}: array of {array.dtype}; give uint8, uint16, or float in [0, 1]")
    shape = "x".join(map(str, array.shape))
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        raise InputError(f"{role}: array of shape {shape}; numpy arrays have channels last, transpose(1, 2, 0)")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        raise InputError(f"{role}: array of shape {shape}; give (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    channels_first = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    with np.errstate(over="ignore"):  # a float64 too large for float32 is reported as infinite
        values = torch.from_numpy(np.array(channels_first, dtype=np.float32, order="C"))
    bits = array.dtype.itemsize * 8
    values = _unit_range(values, role) if array.dtype.kind == "f" else values.div_(2**bits - 1)
    pixels, alpha = _colour_and_alpha(values)
    return Photo(pixels, alpha, "numpy", role, bits=bits, dtype=array.dtype)


def _photo_of_tensor(tensor: Tensor, role: str) -> Photo:
    if tensor.dtype != torch.uint8 and not tensor.dtype.is_floating_point:
        raise InputError(f"{role}: tensor of {tensor.dtype}; give uint8, or float in [0, 1]")
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise InputError(f"{role}: a sparse, quantized or meta tensor has no pixels to read; give a dense tensor")
    shape = "x".join(map(str, tensor.shape))
    if tensor.ndim == 4 and tensor.shape[0] > 1:
        raise InputError(f"{role}: tensor of shape {shape} is a batch; give one photo at a time")
    planes = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
    if planes.ndim != 3 or planes.shape[0] not in (1, 3, 4):
        hint = (
            "; tensors have channels first, permute(2, 0, 1)"
            if planes.ndim == 3 and planes.shape[-1] in (1, 3, 4)
            else ""
        )
        raise InputError(f"{role}: tensor of shape {shape}; give (C, H, W) or (1, C, H, W) with C of 1, 3 or 4{hint}")
    values = planes.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    values = values.div_(255) if tensor.dtype == torch.uint8 else _unit_range(values, role)
    pixels, alpha = _colour_and_alpha(values)
    layout = "nchw" if tensor.ndim == 4 else "chw"
    bits = tensor.dtype.itemsize * 8
    return Photo(pixels, alpha, "tensor", role, bits=bits, dtype=tensor.dtype, layout=layout)


def _colour_and_alpha(values: Tensor) -> tuple[Tensor, Tensor | None]:
    if values.shape[0] == 4:
        return values[:3], values[3]
    return values.expand(3, -1, -1).contiguous(), None


def same_kind(photo: Photo, pixels: Tensor) -> Image.Image | np.ndarray | Tensor:
    """Give a result back as the kind `photo` came in.

    pixels: (3, H, W) float, sRGB-encoded; values are clamped to [0, 1].

    A path or a PIL image gives a PIL image (RGB, or RGBA with the photo's alpha) with its EXIF data,
    resolution and RGB profile; 16-bit grey files come back with 8 bits. An array gives an array (H, W, 3) or
    (H, W, 4) of the same dtype; a tensor gives (3, H, W) or (4, H, W), or (1, C, H, W), of the same dtype, on
    the device of `photo.pixels`. A grey source comes back in colour. Raises InputError for NaN or infinite
    pixels.
    """
    if pixels.ndim != 3 or pixels.shape[0] != 3:
        raise InputError(f"result for {photo.name}: shape {tuple(pixels.shape)}; wanted (3, H, W)")
    pixels = pixels.detach()
    if not torch.isfinite(pixels.sum()):
        raise InputError(f"result for {photo.name}: holds NaN or infinite values")
    if photo.kind in ("path", "pil"):
        return _image_of(photo, pixels)
    values = _with_alpha(photo, pixels)
    if photo.kind == "tensor":
        assert isinstance(photo.dtype, torch.dtype)
        values = _quantised(values, 255) if photo.dtype == torch.uint8 else values.clamp(0, 1)
        values = values.to(photo.pixels.device, photo.dtype)
        return values.unsqueeze(0) if photo.layout == "nchw" else values
    assert isinstance(photo.dtype, np.dtype)
    integer = photo.dtype.kind == "u"
    values = _quantised(values, 2**photo.bits - 1) if integer else values.clamp(0, 1)
    return np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy().astype(photo.dtype))


def _quantised(values: Tensor, top: int) -> Tensor:
    return values.mul(top).round_().clamp_(0, top)


def _with_alpha(photo: Photo, pixels: Tensor) -> Tensor:
    if photo.alpha is None:
        return pixels
    alpha = photo.alpha.to(pixels)[None]
    if alpha.shape[1:] != pixels.shape[1:]:
        alpha = F.interpolate(alpha[None], pixels.shape[1:], mode="bilinear", antialias=True)[0]
    return torch.cat([pixels, alpha])


def _image_of(photo: Photo, pixels: Tensor) -> Image.Image:
    values = _quantised(_with_alpha(photo, pixels), 255).to(torch.uint8)
    image = Image.fromarray(np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy()))
    if photo.icc is not None and not photo.icc_is_srgb:
        colour = from_srgb(image.convert("RGB"), photo.icc)
        if photo.alpha is not None:
            colour.putalpha(image.getchannel("A"))
        image = colour
    for key, value in (("icc_profile", photo.icc), ("exif", photo.exif), ("dpi", photo.dpi)):
        if value is not None:
            image.info[key] = value
    return image


def write_photo(path: str | os.PathLike, photo: Photo, pixels: Tensor) -> None:
    """Write a result (3, H, W) for `photo` to a file, whole or not at all.

    The extension chooses PNG, JPEG (quality 95, full chroma), TIFF or WebP; 8 bits per channel, or 16 in a PNG or TIFF
    of a photo whose file has more than 8, where libvips is installed (`fastphoto[deep]`). Alpha is
    flattened on white, with a FastPhotoWarning, where the format has none. An existing file is replaced only
    when the new one is complete. Raises as `check_output` and `same_kind` do, and FileError where writing
    fails.
    """
    name, file_format = shown(path), check_output(path)
    if not torch.isfinite(pixels.sum()):
        raise InputError(f"result for {photo.name}: holds NaN or infinite values")
    if photo.kind == "path" and photo.bits > 8 and file_format in DEEP_FORMATS and can_read_deep():
        values = _quantised(_with_alpha(photo, pixels.detach()), 65535).permute(1, 2, 0).cpu().numpy()
        exif = photo.exif if file_format == "PNG" else None
        data = deep_file(values.astype(np.uint16), file_format, photo.icc, not photo.icc_is_srgb, photo.dpi, exif)
        write_whole(path, lambda file: file.write(data))
        return
    image = _image_of(photo, pixels.detach())
    options = SAVE_OPTIONS[file_format] | {k: image.info[k] for k in ("icc_profile", "exif", "dpi") if k in image.info}
    if file_format == "JPEG" and image.mode == "RGBA":
        warn(f"{name}: JPEG has no transparency; flattened on white")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    save_whole(path, image, file_format, options)


def fit_size(height: int, width: int, long_side: int, name: str = "photo") -> tuple[int, int]:
    """(h, w) of the same aspect whose longer side is `long_side`, or (height, width) where that is smaller.

    Raises InputError where a side would fall below 16 pixels.
    """
    scale = min(1.0, long_side / max(height, width))
    size = round(height * scale), round(width * scale)
    if min(size) < MINIMUM_SIDE:
        needed = -(-MINIMUM_SIDE * max(height, width) // min(height, width))
        raise InputError(
            f"{name}: at size {long_side}, {width}x{height} pixels shrink to {size[1]}x{size[0]}, below {MINIMUM_SIDE} "
            f"on a side; use at least {needed}"
        )
    return size


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Shrink (C, H, W) float to (C, h, w): antialiased bicubic, kept within the input's range.

    Raises InputError for a size that enlarges.
    """
    height, width = pixels.shape[-2:]
    if size == (height, width):
        return pixels
    if size[0] > height or size[1] > width:
        raise InputError(f"resize: {width}x{height} to {size[1]}x{size[0]} pixels enlarges; only shrinking is done")
    low, high = torch.aminmax(pixels)
    small = F.interpolate(pixels[None], size, mode="bicubic", antialias=True, align_corners=False)[0]
    return small.clamp_(low, high)


def enlarge(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge (C, H, W) float to (C, h, w): bicubic, kept within the input's range; a smaller size is as `resize`."""
    height, width = pixels.shape[-2:]
    if size[0] <= height and size[1] <= width:
        return resize(pixels, size)
    low, high = torch.aminmax(pixels)
    return F.interpolate(pixels[None], size, mode="bicubic", align_corners=False)[0].clamp_(low, high)
