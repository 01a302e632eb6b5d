"""Published weight files: where they are cached, and how one is downloaded and verified."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastphoto.errors import FileError, InputError

try:
    import fcntl
except ImportError:  # Windows: the final rename alone keeps two downloads from harming each other
    fcntl = None

DownloadProgress = Callable[[str, int, "int | None"], None]
"""Called with the file's name, the bytes so far, and the bytes in all or None."""


@dataclass(frozen=True)
class KnownFile:
    """A published weight file."""

    name: str
    encoder: str
    url: str
    size: int | None
    """Bytes; None where it is not known for certain."""
    sha256: str
    """All 64 digits, or as many leading ones as are known for certain (at least 8)."""
    licence: str
    format: Literal["caffe", "torchvision", "collaborative-distillation"]
    source: str

    @property
    def digits(self) -> str:
        """The SHA-256 as it is shown to people."""
        return self.sha256 if len(self.sha256) == 64 else self.sha256 + "..."


_VGG_LICENCE = "Creative Commons Attribution (Visual Geometry Group, University of Oxford)"

# Of Caffe's file only the eight digits in its name are known for certain; the other two are known in full.
KNOWN: tuple[KnownFile, ...] = (
    KnownFile(
        name="vgg19-d01eb7cb.pth",
        encoder="vgg19",
        url="https://web.eecs.umich.edu/~justincj/models/vgg19-d01eb7cb.pth",
        size=None,
        sha256="d01eb7cb",
        licence=_VGG_LICENCE,
        format="caffe",
        source="VGG_ILSVRC_19_layers.caffemodel (Simonyan and Zisserman), converted by Justin Johnson",
    ),
    KnownFile(
        name="vgg19-dcbb9e9d.pth",
        encoder="vgg19",
        url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        size=574673361,
        sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        licence="BSD-3-Clause (torchvision)",
        format="torchvision",
        source="torchvision VGG19_Weights.IMAGENET1K_V1",
    ),
    KnownFile(
        name="vgg19-16x-E20.pth",
        encoder="vgg19-16x",
        url="https://raw.githubusercontent.com/MingSun-Tse/Collaborative-Distillation/"
        "75c1b81c1dbea11c96d3fb04e96f207dee16dcbb/trained_models/wct_se_16x_new/20191109-211322_E20.pth",
        size=None,
        sha256="9417c34d0d8d621bc6af78be745f1b8d30f5f210efa01e50655c60eb3770816b",
        licence="MIT (Collaborative-Distillation)",
        format="collaborative-distillation",
        source="Collaborative-Distillation (Wang et al., CVPR 2020), 16x narrower VGG-19",
    ),
)
"""Known files; the first of an encoder is the one that is downloaded for it, the paper's own for "vgg19"."""


_watching: ContextVar[DownloadProgress | None] = ContextVar("watching", default=None)


def cache_folder() -> Path:
    """The folder of downloaded weights: $FASTPHOTO_CACHE, else `fastphoto` in $XDG_CACHE_HOME,
    %LOCALAPPDATA% (Windows) or ~/.cache, else in the folder for temporary files. It need not exist."""
    if own := os.environ.get("FASTPHOTO_CACHE"):
        return Path(own).absolute()
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA" if os.name == "nt" else ""):
        # The XDG specification says to ignore a relative path.
        if (base := os.environ.get(variable, "")) and os.path.isabs(base):
            return Path(base, "fastphoto")
    try:
        return Path.home() / ".cache" / "fastphoto"
    except RuntimeError:  # no HOME, and no such user either: containers
        return Path(tempfile.gettempdir(), "fastphoto")


def known_files(encoder: str) -> list[KnownFile]:
    """The known files of an encoder, the one that is downloaded first. Raises InputError."""
    if found := [known for known in KNOWN if known.encoder == encoder]:
        return found
    names = " or ".join(repr(name) for name in dict.fromkeys(known.encoder for known in KNOWN))
    raise InputError(f"encoder: got {encoder!r}, which has no weight file to load; use {names}")


def find_cached(encoder: str) -> Path | None:
    """The file in the cache folder that `load_weights(encoder)` would read, or None. It is not verified."""
    for known in known_files(encoder):
        if (path := cache_folder() / known.name).is_file():
            return path
    return None


def download_weights(
    known: KnownFile,
    folder: str | os.PathLike[str] | None = None,
    *,
    progress: DownloadProgress | None = None,
) -> Path:
    """Download a known file into `folder` (default `cache_folder()`) and return its path.

    The bytes go to a temporary file beside it and take the name only when their SHA-256 is right, so the name
    never stands for half a file; what arrives with another SHA-256 is kept as `<name>.rejected`. A second
    caller, in this process or another, waits for the first and finds the file. Without `progress` it is that of
    `watched_downloads`, if any. Raises FileError."""
    progress = progress or _watching.get()
    target = Path(folder or cache_folder()) / known.name
    by_hand = (
        f"download {known.url} yourself (SHA-256 {known.digits}) and put it at {target}, or pass another weight file"
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(target.name + ".lock")):
            if not target.is_file():
                _fetch(known, target, progress)
    except FileError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise FileError(f"{known.name}: cannot be downloaded ({reason}); {by_hand}") from error
    return target


def _fetch(known: KnownFile, target: Path, progress: DownloadProgress | None) -> None:
    request = urllib.request.Request(known.url, headers={"User-Agent": "fastphoto"})
    descriptor, temporary = tempfile.mkstemp(prefix=target.name + ".", suffix=".part", dir=target.parent)
    try:
        with open(descriptor, "wb") as file, urllib.request.urlopen(request, timeout=30) as response:
            total = response.length or known.size
            digest, done = hashlib.sha256(), 0
            while block := response.read(1 << 20):
                file.write(block)
                digest.update(block)
                done += len(block)
                if progress:
                    progress(known.name, done, total)
            file.flush()
            os.fsync(file.fileno())
        if total is not None and done != total:
            raise OSError(f"the connection ended after {done} of {total} bytes")
        if not digest.hexdigest().startswith(known.sha256):
            rejected = target.with_name(target.name + ".rejected")
            os.replace(temporary, rejected)
            raise FileError(
                f"{known.url}: SHA-256 is {digest.hexdigest()}, expected {known.digits}; what came is in "
                f"{rejected}, try another network, or get the file elsewhere and put it at {target}"
            )
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would lock others out of a shared cache
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextlib.contextmanager
def watched_downloads(progress: DownloadProgress) -> Iterator[None]:
    """Downloads inside call this, wherever they become necessary."""
    token = _watching.set(progress)
    try:
        yield
    finally:
        _watching.reset(token)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with open(path, "ab") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)  # released by the kernel with the process, so never stale
        yield
