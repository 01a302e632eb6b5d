"""Published weight files: the table of known files, the cache folder, and verified downloads."""

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
except ImportError:  # Windows: the final rename alone protects two downloads from each other
    fcntl = None  # type: ignore[assignment]

DownloadProgress = Callable[[str, int, int | None], None]
"""Called during a download with the file's name, the bytes received so far, and the total bytes or None."""


@dataclass(frozen=True)
class KnownFile:
    """One published weight file and how to verify it.

    Example:
        >>> [known.name for known in KNOWN if known.format == "caffe"]
        ['vgg19-d01eb7cb.pth']
    """

    name: str
    """File name in the cache folder."""
    encoder: str
    """Name of the encoder that the file holds, as for `load_encoder`."""
    url: str
    """Address of the file."""
    size: int | None
    """Size in bytes; None where it is not known for certain."""
    sha256: str
    """SHA-256: all 64 digits, or as many leading ones as are known for certain (at least 8)."""
    licence: str
    """Licence of the weights as their publisher states it."""
    format: Literal["caffe", "torchvision", "collaborative-distillation"]
    """Naming of the tensors and preparation of the input, see `fastphoto.encoders.weights.read_weights`."""
    source: str
    """Origin of the weights, as text to read."""

    @property
    def displayed_sha256(self) -> str:
        """The SHA-256 for messages; an ellipsis follows where digits are missing."""
        return self.sha256 if len(self.sha256) == 64 else self.sha256 + "..."


_VGG_LICENCE = "Creative Commons Attribution (Visual Geometry Group, University of Oxford)"

# The SHA-256 of Caffe's file is known only by the eight digits in its name.
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
"""All known files. The first file of each encoder is the one downloaded for it; for "vgg19" it is the paper's."""

_context_progress: ContextVar[DownloadProgress | None] = ContextVar("download_progress", default=None)


def cache_folder() -> Path:
    """Return the folder of downloaded weights, which need not exist.

    Returns:
        $FASTPHOTO_CACHE if set; else the folder `fastphoto` in $XDG_CACHE_HOME, in %LOCALAPPDATA% (Windows) or in
        ~/.cache; without a home folder, in the folder for temporary files. Always absolute.

    Example:
        >>> cache_folder().is_absolute()
        True
    """
    if override := os.environ.get("FASTPHOTO_CACHE"):
        return Path(override).absolute()
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA" if os.name == "nt" else ""):
        # The XDG specification says to ignore a relative path.
        if (base := os.environ.get(variable, "")) and os.path.isabs(base):
            return Path(base, "fastphoto")
    try:
        return Path.home() / ".cache" / "fastphoto"
    except RuntimeError:  # neither HOME nor an entry for the user, as in some containers
        return Path(tempfile.gettempdir(), "fastphoto")


def known_files(encoder: str) -> list[KnownFile]:
    """Return the known files of an encoder.

    Args:
        encoder: encoder name, "vgg19" or "vgg19-16x".

    Returns:
        At least one file; the first is the one to download.

    Raises:
        InputError: no file is known for this name.

    Example:
        >>> [known.name for known in known_files("vgg19")]
        ['vgg19-d01eb7cb.pth', 'vgg19-dcbb9e9d.pth']
    """
    if files := [known for known in KNOWN if known.encoder == encoder]:
        return files
    names = " or ".join(repr(name) for name in dict.fromkeys(known.encoder for known in KNOWN))
    raise InputError(f"encoder: got {encoder!r}, which has no weight file to load; use {names}")


def known_by_name(name: str) -> KnownFile | None:
    """Return the known file with a file name, or None."""
    return next((known for known in KNOWN if known.name == name), None)


def known_by_sha256(sha256: str) -> KnownFile | None:
    """Return the known file with a SHA-256 (all 64 digits), or None."""
    return next((known for known in KNOWN if sha256.startswith(known.sha256)), None)


def find_cached(encoder: str) -> Path | None:
    """Return the cached weight file of an encoder without verifying it.

    Args:
        encoder: encoder name, "vgg19" or "vgg19-16x".

    Returns:
        Path of the file in `cache_folder()` that `load_weights(encoder)` would read; None if there is none.

    Raises:
        InputError: no file is known for this name.

    Example:
        >>> path = find_cached("vgg19-16x")
        >>> path is None or path.parent == cache_folder()
        True
    """
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
    """Download a known file, verify it, and return its path.

    The bytes go to a temporary file in the same folder, which takes the final name only after its SHA-256 has been
    checked, so a file under that name is always complete. A file with another SHA-256 is saved as `<name>.rejected`.
    A second caller, in this process or another, waits for the first and uses its file. A file that exists is not
    downloaded again.

    Args:
        known: file to download.
        folder: target folder, created if missing. None: `cache_folder()`.
        progress: function called after each block. None: the one set by `watched_downloads`, if any.

    Returns:
        Path of the file, `folder / known.name`.

    Raises:
        FileError: the file cannot be downloaded or written, or it has another SHA-256.

    Example:
        >>> download_weights(known_files("vgg19")[0], "weights")  # doctest: +SKIP
        PosixPath('weights/vgg19-d01eb7cb.pth')
    """
    progress = progress or _context_progress.get()
    target = Path(folder or cache_folder()) / known.name
    by_hand = (
        f"download {known.url} yourself (SHA-256 {known.displayed_sha256}) and put it at {target}, "
        "or pass another weight file"
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
            digest, received = hashlib.sha256(), 0
            while block := response.read(1 << 20):
                file.write(block)
                digest.update(block)
                received += len(block)
                if progress:
                    progress(known.name, received, total)
            file.flush()
            os.fsync(file.fileno())
        if total is not None and received != total:
            raise OSError(f"the connection ended after {received} of {total} bytes")
        if not digest.hexdigest().startswith(known.sha256):
            rejected = target.with_name(target.name + ".rejected")
            os.replace(temporary, rejected)
            raise FileError(
                f"{known.url}: SHA-256 is {digest.hexdigest()}, expected {known.displayed_sha256}; saved as "
                f"{rejected}, try another network, or get the file elsewhere and put it at {target}"
            )
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would lock others out of a shared cache
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextlib.contextmanager
def watched_downloads(progress: DownloadProgress) -> Iterator[None]:
    """Report every download inside the `with` block to `progress`, wherever the download starts."""
    token = _context_progress.set(progress)
    try:
        yield
    finally:
        _context_progress.reset(token)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with open(path, "ab") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)  # released by the kernel with the process, so never stale
        yield
