"""Weight files of VGG-19-shaped encoders: verify one and read it into one form, whatever its format."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fastphoto.encoders.download import KNOWN, DownloadProgress, download_weights, find_cached, known_files
from fastphoto.encoders.layers import CONVOLUTIONS
from fastphoto.errors import FileError, InputError

CAFFE_SCALE = 256.0
"""The paper multiplies pixels in [0, 1] by 256, not by 255, before it subtracts the mean colour."""
CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Mean colour of ImageNet as the Caffe network was trained with it: B, G, R in 0-255."""
TORCHVISION_MEAN, TORCHVISION_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SEQUENTIAL = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)  # their places in `features`

# The first 3x3 kernel of conv1_1 scaled to norm 1. Caffe's and torchvision's files share names, shapes and
# the size of their values; what they were trained to does tell them apart, and survives being saved again.
_FINGERPRINTS = {
    "caffe": (0.45290, 0.45130, -0.05953, 0.30816, 0.11918, -0.40261, -0.09638, -0.32743, -0.44711),
    "torchvision": (-0.44750, -0.41221, -0.56858, 0.12816, 0.37716, 0.01795, 0.30316, 0.16736, 0.16623),
}
_FILE_NAME_HINTS = {"caffe": ("caffe", "d01eb7cb"), "torchvision": ("torchvision", "dcbb9e9d")}

Encoding = Literal["caffe", "torchvision"]


@dataclass(frozen=True)
class EncoderWeights:
    """One VGG-19-shaped encoder: x -> normalise -> (pad, 3x3 convolution, ReLU) with 2x2 max-pooling
    between blocks."""

    convolutions: dict[str, tuple[Tensor, Tensor]]
    """"conv1_1" -> (weight (out, in, 3, 3), bias (out,)), float32, in network order."""
    normalise: tuple[Tensor, Tensor]
    """Weight (3, 3) and bias (3,) of the 1x1 convolution that takes RGB in [0, 1] to what conv1_1 expects."""
    padding: Literal["zeros", "reflect"]
    """What surrounds the input of every 3x3 convolution, one pixel wide."""
    pooling: Literal["max_ceil", "max_floor"]
    """How 2x2 max-pooling rounds an odd size."""
    source: str
    """Where the weights come from, for people."""
    licence: str
    """The licence of the weights as their publisher states it; "" for a file that is not a known one."""
    sha256: str
    """SHA-256 of the whole file, 64 hexadecimal digits."""


def load_weights(
    encoder: str,
    path: str | os.PathLike[str] | None = None,
    *,
    format: Encoding | None = None,
    progress: DownloadProgress | None = None,
) -> EncoderWeights:
    """Weights of `encoder`, "vgg19" or "vgg19-16x": from `path`, else the cache, else the network.

    With a `path` the file alone decides what is read, see `read_weights`. Otherwise a missing file is
    downloaded into `cache_folder()`, where `progress(name, bytes so far, bytes in all or None)` is called
    now and then. Whichever way, all bytes of a known file are compared with its SHA-256 before it is opened.

    Raises InputError for an unknown encoder, FileError for a file that cannot be had, verified or used.
    """
    known = known_files(encoder)[0]
    if path is not None:
        return read_weights(path, format=format)
    cached = find_cached(encoder)
    return read_weights(cached or download_weights(known, progress=progress), format=format)


def read_weights(path: str | os.PathLike[str], *, format: Encoding | None = None) -> EncoderWeights:
    """Read a weight file, safetensors or PyTorch pickle; its content counts, not its extension.

    Names of tensors that are understood:
    - `conv1_1.weight` ... with `normalise.weight` (3, 3[, 1, 1]) and `normalise.bias`: used as they are. The
      safetensors metadata may hold `padding`, `pooling`, `source` and `licence`; without, "reflect" and
      "max_floor".
    - `features.0.weight` ...: VGG-19 without batch normalisation. Caffe's (BGR, x256, minus the mean; ceil
      pooling) and torchvision's ((x - mean) / std; floor pooling) carry the same names. `format` says which;
      without it the SHA-256 of known files, then the kernels themselves, then "caffe", "torchvision" or the
      published eight digits in the file name decide; a file none of them settles is refused.
    - `conv0.weight`, `conv11.weight` ...: the 16x encoder of Collaborative-Distillation (reflect, floor).

    Layers may stop early ("conv3_1"); widths are free but must chain. Files with names of the first kind may also
    leave layers out, but not the first of a block. Pickles run no code. Raises FileError.
    """
    path = Path(path)
    if format not in (None, "caffe", "torchvision"):
        raise InputError(f"format: got {format!r}; use 'caffe', 'torchvision' or None")
    sha256 = _hash(path)
    named = next((k for k in KNOWN if k.name == path.name), None)
    if named and not sha256.startswith(named.sha256):
        raise FileError(
            f"{path}: SHA-256 is {sha256}, expected {named.digits}; "
            "delete it and download it again, or rename it if it was changed on purpose"
        )
    known = next((k for k in KNOWN if sha256.startswith(k.sha256)), None)
    tensors, metadata = _read_tensors(path)
    normalise = None
    padding, pooling = "zeros", "max_floor"
    if "conv1_1.weight" in tensors:
        names = {layer: layer for layer in CONVOLUTIONS}
        normalise = "normalise"
        padding, pooling = metadata.get("padding", "reflect"), metadata.get("pooling", "max_floor")
    elif "conv0.weight" in tensors and "conv11.weight" in tensors:
        names = {layer: layer.replace("_", "") for layer in CONVOLUTIONS}
        normalise, padding = "conv0", "reflect"
    elif "features.0.weight" in tensors:
        names = {layer: f"features.{place}" for layer, place in zip(CONVOLUTIONS, _SEQUENTIAL, strict=True)}
    else:
        some = ", ".join(list(map(str, tensors))[:4]) or "none"
        raise FileError(f"{path}: not a VGG-19-shaped encoder, its tensors are {some}; pass another weight file")
    if padding not in ("zeros", "reflect") or pooling not in ("max_ceil", "max_floor"):
        raise FileError(f"{path}: metadata says padding {padding!r}, pooling {pooling!r}; pass another file")
    convolutions = _convolutions(path, tensors, names)
    if normalise:
        matrix = _tensor(path, tensors, f"{normalise}.weight")
        offset = _tensor(path, tensors, f"{normalise}.bias")
        if tuple(matrix.shape) not in ((3, 3), (3, 3, 1, 1)) or tuple(offset.shape) != (3,):
            raise FileError(f"{path}: {normalise} has shape {tuple(matrix.shape)}; it must be (3, 3, 1, 1)")
        matrix = matrix.reshape(3, 3)
    else:
        encoding = format or (known.format if known else _recognise(path, convolutions["conv1_1"][0]))
        if encoding == "caffe":
            matrix, offset = CAFFE_SCALE * torch.eye(3).flip(0), -torch.tensor(CAFFE_MEAN)
            pooling = "max_ceil"
        else:
            std = torch.tensor(TORCHVISION_STD)
            matrix, offset = torch.diag(1 / std), -torch.tensor(TORCHVISION_MEAN) / std
    return EncoderWeights(
        convolutions=convolutions,
        normalise=(matrix, offset),
        padding=padding,
        pooling=pooling,
        source=known.source if known else metadata.get("source", path.name),
        licence=known.licence if known else metadata.get("licence", ""),
        sha256=sha256,
    )


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}; pass a readable weight file") from error
    return digest.hexdigest()


def _read_tensors(path: Path) -> tuple[Mapping[str, Any], dict[str, str]]:
    """All named tensors of a file, of whichever container, with the metadata it may carry."""
    with open(path, "rb") as file:
        head = file.read(512)
    broken = f"{path}: damaged or cut short; download it again"
    if not head:
        raise FileError(f"{path}: empty file; download it again")
    if head[8:9] == b"{":
        try:
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise FileError(broken) from error
    if head.lstrip()[:1] == b"<":
        raise FileError(f"{path}: a web page, not weights; download the file itself (the raw file)")
    zipped = head[:4] == b"PK\x03\x04"
    if not zipped and head[:1] != b"\x80":
        raise FileError(f"{path}: neither safetensors nor a PyTorch file; pass another weight file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except MemoryError:
        raise
    except Exception as error:  # torch names no set of exceptions for bytes that are not what they should be
        if "unsupported global" in str(error).lower():
            raise FileError(f"{path}: holds more than tensors and is not run; pass a file of weights") from error
        raise FileError(broken) from error
    for wrapper in ("model", "SE", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise FileError(f"{path}: holds a {type(content).__name__}, not named tensors; pass another weight file")
    return content, {}


def _convolutions(path: Path, tensors: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, tuple[Tensor, Tensor]]:
    held = [layer for layer in CONVOLUTIONS if f"{names[layer]}.weight" in tensors]
    expected = CONVOLUTIONS[: len(held)]
    if names["conv1_1"] == "conv1_1":  # a network of ours may have fewer layers in a block, but no block without one
        expected = [layer for layer in CONVOLUTIONS if layer in held or (layer[-1] == "1" and layer < held[-1])]
    if held != list(expected) or "features.1.weight" in tensors:
        first = next((want for want, have in zip(expected, held, strict=False) if want != have), "conv1_1")
        raise FileError(f"{path}: not VGG-19 without batch normalisation, at {first}; pass another weight file")
    convolutions, channels = {}, 3
    for layer in held:
        weight, bias = (_tensor(path, tensors, f"{names[layer]}.{part}") for part in ("weight", "bias"))
        if weight.ndim != 4 or tuple(weight.shape[1:]) != (channels, 3, 3) or bias.shape != weight.shape[:1]:
            raise FileError(
                f"{path}: {layer} has weight {tuple(weight.shape)} and bias {tuple(bias.shape)}, expected "
                f"(n, {channels}, 3, 3) and (n,); pass another weight file"
            )
        convolutions[layer], channels = (weight, bias), len(weight)
    return convolutions


def _tensor(path: Path, tensors: Mapping[str, Any], key: str) -> Tensor:
    value = tensors.get(key)
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.numel():
        got = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise FileError(f"{path}: {key} must be a tensor of floats, got {got}; pass another weight file")
    value = value.detach().to(torch.float32, copy=True).contiguous()
    if not torch.isfinite(value).all():
        raise FileError(f"{path}: {key} holds NaN or infinite values; download the file again")
    return value


def _recognise(path: Path, weight: Tensor) -> str:
    """Caffe's or torchvision's, by the first kernel of conv1_1 (out, 3, 3, 3), else by the file name."""
    kernel = weight[0, 0].flatten()
    for encoding, fingerprint in _FINGERPRINTS.items():
        if torch.nn.functional.cosine_similarity(kernel, torch.tensor(fingerprint), dim=0) > 0.9999:
            return encoding
    hinted = [e for e, hints in _FILE_NAME_HINTS.items() if any(h in path.name.lower() for h in hints)]
    if len(hinted) == 1:
        return hinted[0]
    raise FileError(
        f"{path}: could be Caffe's or torchvision's VGG-19, which expect different input; "
        "put 'caffe' or 'torchvision' into the file name"
    )
