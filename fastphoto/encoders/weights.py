"""Weight files of VGG-19-shaped encoders: verification, and reading of every format into one form."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fastphoto.encoders.download import (
    DownloadProgress,
    KnownFile,
    download_weights,
    find_cached,
    known_by_name,
    known_by_sha256,
    known_files,
)
from fastphoto.encoders.layers import CONVOLUTIONS, Layer
from fastphoto.errors import FileError, InputError

CAFFE_SCALE = 256.0
"""The paper multiplies pixels in [0, 1] by 256, not by 255, before it subtracts the mean colour."""
CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Mean colour of ImageNet in the training of the Caffe network: B, G, R in 0-255."""
TORCHVISION_MEAN, TORCHVISION_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's colours in torchvision's training: R, G, B in 0-1."""

Encoding = Literal["caffe", "torchvision"]
"""Preparation of a VGG-19's input, which its weight file does not state."""
Padding = Literal["zeros", "reflect"]
Pooling = Literal["max_ceil", "max_floor"]

# The first 3x3 kernel of conv1_1, scaled to norm 1. Caffe's and torchvision's files have the same tensor names, shapes
# and value ranges. The trained kernels distinguish them, even after a file was saved again.
_FINGERPRINTS: dict[Encoding, tuple[float, ...]] = {
    "caffe": (0.45290, 0.45130, -0.05953, 0.30816, 0.11918, -0.40261, -0.09638, -0.32743, -0.44711),
    "torchvision": (-0.44750, -0.41221, -0.56858, 0.12816, 0.37716, 0.01795, 0.30316, 0.16736, 0.16623),
}
_FILE_NAME_HINTS: dict[Encoding, tuple[str, ...]] = {
    "caffe": ("caffe", "d01eb7cb"),
    "torchvision": ("torchvision", "dcbb9e9d"),
}


@dataclass(frozen=True)
class EncoderWeights:
    """Weights and structure of one VGG-19-shaped encoder.

    The network is x -> normalise -> (pad, 3x3 convolution, ReLU), with 2x2 max-pooling between blocks.

    Example:
        >>> from fastphoto.encoders.encoder import EMBEDDED
        >>> weight, bias = read_weights(EMBEDDED).convolutions["conv1_1"]
        >>> weight.shape, bias.shape
        (torch.Size([16, 3, 3, 3]), torch.Size([16]))
    """

    convolutions: dict[str, tuple[Tensor, Tensor]]
    """{"conv1_1": (weight (out, in, 3, 3), bias (out,)), ...}, float32, in network order."""
    normalise: tuple[Tensor, Tensor]
    """Weight (3, 3) and bias (3,) of the 1x1 convolution from RGB in [0, 1] to the colours that conv1_1 expects."""
    padding: Padding
    """Padding of the input of every 3x3 convolution, one pixel wide."""
    pooling: Pooling
    """Rounding of odd sizes by 2x2 max-pooling."""
    source: str
    """Origin of the weights, as text to read."""
    licence: str
    """Licence of the weights as their publisher or their file states it; "" if neither does."""
    sha256: str
    """SHA-256 of the whole file, 64 hexadecimal digits."""


class _Network(NamedTuple):
    """The part of `EncoderWeights` that comes from the tensors."""

    convolutions: dict[str, tuple[Tensor, Tensor]]
    normalise: tuple[Tensor, Tensor]
    padding: Padding
    pooling: Pooling


def load_weights(
    encoder: str,
    path: str | os.PathLike[str] | None = None,
    *,
    format: Encoding | None = None,
    progress: DownloadProgress | None = None,
) -> EncoderWeights:
    """Load the weights of an encoder from a file, from the cache, or from the network.

    The SHA-256 of a known file is checked before the file is opened.

    Args:
        encoder: encoder name, "vgg19" or "vgg19-16x".
        path: weight file, read whatever `encoder` says, see `read_weights`. None: the cached file, or a download
            into `fastphoto.encoders.download.cache_folder()`.
        format: preparation of the input, see `read_weights`.
        progress: function called during a download with the file's name, bytes so far, and total bytes or None.

    Returns:
        The weights on the CPU.

    Raises:
        InputError: the encoder or the format is unknown.
        FileError: the file cannot be read, downloaded, verified or used.

    Example:
        >>> from fastphoto.encoders.encoder import EMBEDDED
        >>> load_weights("vgg19-16x", EMBEDDED).licence
        'MIT'
    """
    known = known_files(encoder)[0]
    if path is not None:
        return read_weights(path, format=format)
    cached = find_cached(encoder)
    return read_weights(cached or download_weights(known, progress=progress), format=format)


def read_weights(path: str | os.PathLike[str], *, format: Encoding | None = None) -> EncoderWeights:
    """Read a weight file, safetensors or PyTorch pickle, whatever its extension. No code in pickles is run.

    The names of the tensors determine the kind of file:

    - `conv1_1.weight` ... with `normalise.weight` (3, 3[, 1, 1]) and `normalise.bias`: used as they are. The
      safetensors metadata may hold `padding` (default "reflect"), `pooling` (default "max_floor"), `source` and
      `licence`.
    - `features.0.weight` ...: VGG-19 without batch normalisation. Caffe's file (BGR, x256, minus the mean; ceil
      pooling) and torchvision's ((x - mean) / std; floor pooling) have the same names. `format` decides between them;
      without it the SHA-256 of a known file, then the kernels themselves, then "caffe", "torchvision" or the eight
      published digits in the file name. If none of these decides, the file is refused.
    - `conv0.weight`, `conv11.weight` ...: the 16x encoder of Collaborative-Distillation (reflect, floor).

    The layers may stop early ("conv3_1"). Widths are free but must match from layer to layer. Files of the first kind
    may also leave out layers, except the first of a block.

    Args:
        path: weight file.
        format: preparation of the input, "caffe" or "torchvision", for files of the second kind. None: detect it.

    Returns:
        The weights on the CPU.

    Raises:
        InputError: the format is unknown.
        FileError: the file cannot be read, has another SHA-256 than the known file of its name, or is not such a file.

    Example:
        >>> from fastphoto.encoders.encoder import EMBEDDED
        >>> list(read_weights(EMBEDDED).convolutions)[:3]
        ['conv1_1', 'conv1_2', 'conv2_1']
    """
    path = Path(path)
    if format not in (None, "caffe", "torchvision"):
        raise InputError(f"format: got {format!r}; use 'caffe', 'torchvision' or None")
    sha256 = _sha256(path)
    known = _known_file(path, sha256)
    tensors, metadata = _read_tensors(path)
    if "conv1_1.weight" in tensors:
        network = _native_network(path, tensors, metadata)
    elif "conv0.weight" in tensors and "conv11.weight" in tensors:
        network = _collaborative_distillation_network(path, tensors)
    elif "features.0.weight" in tensors:
        network = _sequential_network(path, tensors, format, known)
    else:
        some = ", ".join(list(map(str, tensors))[:4]) or "none"
        raise FileError(f"{path}: not a VGG-19-shaped encoder, its tensors are {some}; pass another weight file")
    return EncoderWeights(
        *network,
        source=known.source if known else metadata.get("source", path.name),
        licence=known.licence if known else metadata.get("licence", ""),
        sha256=sha256,
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}; pass a readable weight file") from error
    return digest.hexdigest()


def _known_file(path: Path, sha256: str) -> KnownFile | None:
    """Return the known file with this SHA-256; refuse other bytes under the name of a known file."""
    named = known_by_name(path.name)
    if named and not sha256.startswith(named.sha256):
        raise FileError(
            f"{path}: SHA-256 is {sha256}, expected {named.displayed_sha256}; "
            "delete it and download it again, or rename it if it was changed on purpose"
        )
    return known_by_sha256(sha256)


# ---- files into named tensors


def _read_tensors(path: Path) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Return the named values of a safetensors or PyTorch file, and the metadata of safetensors."""
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
    except Exception as error:  # torch documents no set of exceptions for damaged files
        if "unsupported global" in str(error).lower():
            raise FileError(f"{path}: holds more than tensors and is not run; pass a file of weights") from error
        raise FileError(broken) from error
    for wrapper in ("model", "SE", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise FileError(f"{path}: holds a {type(content).__name__}, not named tensors; pass another weight file")
    return content, {}


# ---- named tensors into networks


def caffe_normalisation() -> tuple[Tensor, Tensor]:
    """Return the matrix (3, 3) and the offset (3,) that prepare RGB in [0, 1] for Caffe's VGG-19."""
    matrix = CAFFE_SCALE * torch.eye(3, dtype=torch.float32, device="cpu").flip(0)
    return matrix, -matrix.new_tensor(CAFFE_MEAN)


def _native_network(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> _Network:
    padding, pooling = metadata.get("padding", "reflect"), metadata.get("pooling", "max_floor")
    if padding not in ("zeros", "reflect") or pooling not in ("max_ceil", "max_floor"):
        raise FileError(f"{path}: metadata says padding {padding!r}, pooling {pooling!r}; pass another file")
    convolutions = _convolutions(path, tensors, {name: name for name in CONVOLUTIONS}, may_skip=True)
    normalise = _normalisation(path, tensors, "normalise")
    return _Network(convolutions, normalise, cast(Padding, padding), cast(Pooling, pooling))


def _collaborative_distillation_network(path: Path, tensors: Mapping[str, Any]) -> _Network:
    convolutions = _convolutions(path, tensors, {name: name.replace("_", "") for name in CONVOLUTIONS})
    return _Network(convolutions, _normalisation(path, tensors, "conv0"), "reflect", "max_floor")


def _sequential_network(
    path: Path, tensors: Mapping[str, Any], encoding: Encoding | None, known: KnownFile | None
) -> _Network:
    # torchvision's `features` are one list: a convolution and a ReLU by turns, and a pooling after each block.
    indices = {name: 2 * i + Layer.parse(name).block - 1 for i, name in enumerate(CONVOLUTIONS)}
    convolutions = _convolutions(path, tensors, {name: f"features.{i}" for name, i in indices.items()})
    if encoding is None and known and known.format != "collaborative-distillation":
        encoding = known.format
    if (encoding or _recognise(path, convolutions["conv1_1"][0])) == "caffe":
        return _Network(convolutions, caffe_normalisation(), "zeros", "max_ceil")
    std = torch.tensor(TORCHVISION_STD, dtype=torch.float32)
    matrix, offset = torch.diag(1 / std), -std.new_tensor(TORCHVISION_MEAN) / std
    return _Network(convolutions, (matrix, offset), "zeros", "max_floor")


def _convolutions(
    path: Path,
    tensors: Mapping[str, Any],
    prefixes: Mapping[str, str],  # {name of a convolution: prefix of its tensors}
    may_skip: bool = False,  # whether layers may be missing within a block
) -> dict[str, tuple[Tensor, Tensor]]:
    present = tuple(name for name in CONVOLUTIONS if f"{prefixes[name]}.weight" in tensors)
    expected = CONVOLUTIONS[: len(present)]
    if may_skip:
        last = Layer.parse(present[-1])
        firsts = [name for name in CONVOLUTIONS if Layer.parse(name).number == 1 and Layer.parse(name) < last]
        expected = tuple(name for name in CONVOLUTIONS if name in present or name in firsts)
    if present != expected or "features.1.weight" in tensors:
        first = next((name for name, other in zip(expected, present, strict=False) if name != other), "conv1_1")
        raise FileError(f"{path}: not VGG-19 without batch normalisation, at {first}; pass another weight file")
    convolutions, channels = {}, 3
    for name in present:
        weight, bias = (_float_tensor(path, tensors, f"{prefixes[name]}.{part}") for part in ("weight", "bias"))
        if weight.ndim != 4 or tuple(weight.shape[1:]) != (channels, 3, 3) or bias.shape != weight.shape[:1]:
            raise FileError(
                f"{path}: {name} has weight {tuple(weight.shape)} and bias {tuple(bias.shape)}, expected "
                f"(n, {channels}, 3, 3) and (n,); pass another weight file"
            )
        convolutions[name], channels = (weight, bias), len(weight)
    return convolutions


def _normalisation(path: Path, tensors: Mapping[str, Any], name: str) -> tuple[Tensor, Tensor]:
    matrix, offset = (_float_tensor(path, tensors, f"{name}.{part}") for part in ("weight", "bias"))
    if tuple(matrix.shape) not in ((3, 3), (3, 3, 1, 1)) or tuple(offset.shape) != (3,):
        raise FileError(f"{path}: {name} has shape {tuple(matrix.shape)}; it must be (3, 3, 1, 1)")
    return matrix.reshape(3, 3), offset


def _float_tensor(path: Path, tensors: Mapping[str, Any], key: str) -> Tensor:
    """Return a float32 copy of a finite tensor."""
    value = tensors.get(key)
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.numel():
        got = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise FileError(f"{path}: {key} must be a tensor of floats, got {got}; pass another weight file")
    value = value.detach().to(torch.float32, copy=True).contiguous()
    if not torch.isfinite(value).all():
        raise FileError(f"{path}: {key} holds NaN or infinite values; download the file again")
    return value


def _recognise(path: Path, weight: Tensor) -> Encoding:
    """Recognise the encoding by the first kernel of conv1_1 (out, 3, 3, 3), or else by the file name."""
    kernel = weight[0, 0].flatten()
    for encoding, fingerprint in _FINGERPRINTS.items():
        if torch.nn.functional.cosine_similarity(kernel, kernel.new_tensor(fingerprint), dim=0) > 0.9999:
            return encoding
    name = path.name.lower()
    hinted = [encoding for encoding, hints in _FILE_NAME_HINTS.items() if any(hint in name for hint in hints)]
    if len(hinted) == 1:
        return hinted[0]
    raise FileError(
        f"{path}: could be Caffe's or torchvision's VGG-19, which expect different input; "
        "put 'caffe' or 'torchvision' into the file name"
    )
