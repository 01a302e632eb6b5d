"""Containers, codecs and pixel formats that moving pictures are written in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastphoto.errors import InputError, printable, warn
from fastphoto.video.libraries import load_pyav


@dataclass(frozen=True)
class _Container:
    name: str
    """Name of the muxer."""
    codec: str
    """Codec for 8 bits a channel."""
    deep_codec: str
    """Codec for 10 bits."""


CONTAINERS: Mapping[str, _Container] = {
    ".mp4": _Container("mp4", "libx264", "libx265"),
    ".m4v": _Container("mp4", "libx264", "libx265"),
    ".mov": _Container("mov", "libx264", "libx265"),
    ".mkv": _Container("matroska", "libx264", "libx265"),
    ".webm": _Container("webm", "libvpx-vp9", "libvpx-vp9"),
}
"""{extension: container}. H.264 of 10 bits is played by few devices, HEVC by most."""

_ALIASES = {
    "h264": "libx264",
    "h265": "libx265",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "prores": "prores_ks",
}
_QUALITY = {"libx264": 18, "libx265": 20, "libvpx-vp9": 24, "libsvtav1": 24}
"""{codec: default of its constant rate factor}, at which no difference shows; by eye."""
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "libx264": {"preset": "fast"},
    "libx265": {"preset": "fast", "x265-params": "log-level=error"},
    "libvpx-vp9": {"deadline": "good", "cpu-used": "4", "row-mt": "1", "b": "0"},
    "libsvtav1": {"preset": "8"},
}


@dataclass(frozen=True)
class Encoding:
    """How the frames of a clip are encoded."""

    container: str
    codec: str
    pixel_format: str
    options: Mapping[str, str]
    tag: str | None
    """Name of the codec in the container, where players know only one of several."""


def is_video_name(path: str | os.PathLike[str]) -> bool:
    """Return whether a path has the extension of a container that can be written."""
    return Path(path).suffix.lower() in CONTAINERS


def choose_encoding(
    path: str | os.PathLike[str],
    pixel_format: str,
    bits: int,
    size: tuple[int, int],
    codec: str | None,
    quality: int | None,
) -> Encoding:
    """Choose how to encode a clip.

    Args:
        path: file to be written; its extension names the container.
        pixel_format: pixel format of the clip.
        bits: bits a channel of the clip, 8 or 10.
        size: (height, width).
        codec: name of an encoder of FFmpeg, or a codec's common name. None: that of the container.
        quality: constant rate factor. None: that of the codec.

    Raises:
        InputError: an extension, codec or quality that cannot be used, or odd sides in a format that halves them.
    """
    name = printable(path)
    container = CONTAINERS.get(Path(path).suffix.lower())
    if container is None:
        raise InputError(f"{name}: cannot write this kind of video; use {', '.join(CONTAINERS)}")
    chosen = codec or (container.codec if bits == 8 else container.deep_codec)
    chosen = _ALIASES.get(chosen, chosen)
    encoder = _encoder(chosen)
    supported = [each.name for each in encoder.video_formats or ()]
    chosen_format = _pixel_format(supported, pixel_format if codec else None, bits)
    if bits > 8 and not _is_deep(chosen_format):
        warn(f"{name}: {chosen} has no pixel format of 10 bits; written with 8")
    if "420" in chosen_format and (size[0] % 2 or size[1] % 2):
        raise InputError(
            f"{name}: {size[1]}x{size[0]} pixels cannot be written as 4:2:0, which needs even sides; crop the clip, or "
            "give the codec ffv1 and a .mkv file"
        )
    options = dict(_OPTIONS.get(chosen, {}))
    if chosen in _QUALITY:
        options["crf"] = str(_QUALITY[chosen] if quality is None else quality)
    elif quality is not None:
        raise InputError(f"quality: {chosen} has no constant rate factor; leave it out, or use {', '.join(_QUALITY)}")
    tag = "hvc1" if chosen == "libx265" and container.name in ("mp4", "mov") else None
    return Encoding(container.name, chosen, chosen_format, options, tag)


def check_quality(quality: Any) -> int | None:
    """Return a constant rate factor; raises InputError for anything but a whole number from 0 to 63, or None."""
    if quality is None:
        return None
    if isinstance(quality, bool) or not isinstance(quality, int) or not 0 <= quality <= 63:
        raise InputError(f"quality: must be a whole number from 0 (best) to 63, got {quality!r}")
    return quality


def _encoder(codec: str) -> Any:
    av = load_pyav()
    try:
        encoder = av.Codec(codec, "w")
    except (av.codec.codec.UnknownCodecError, ValueError) as error:
        raise InputError(f"codec: {codec!r} is not in this PyAV; use {', '.join([*_QUALITY, 'ffv1'])}") from error
    if encoder.type != "video":
        raise InputError(f"codec: {codec!r} does not encode video; use {', '.join(_QUALITY)}")
    return encoder


def _pixel_format(supported: list[str], own: str | None, bits: int) -> str:
    """Return the pixel format to encode: the clip's own if the codec was asked for, or else 4:2:0, which all play."""
    planar = [f"yuv{kind}p" for kind in ("420", "422", "444")]
    deep = [f"{each}10le" for each in planar]
    wanted = [own.replace("yuvj", "yuv")] if own else []
    wanted += [*deep, *planar] if bits > 8 else [*planar, *deep]
    if not supported:
        return wanted[0]
    return next((each for each in wanted if each in supported), supported[0])


def _is_deep(pixel_format: str) -> bool:
    return max(each.bits for each in load_pyav().VideoFormat(pixel_format).components) > 8
