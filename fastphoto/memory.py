"""How much memory photos and transfers need and how much there is: what cannot fit is refused, and not killed.

Needs are measured, see `transfer_bytes`; what is left cannot be known on every system, and then nothing is refused.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .errors import FileError, InputError

if TYPE_CHECKING:
    from .encoder import Encoder
    from .settings import Settings

_PHOTO_BYTES = 23  # for each pixel of a photo that is decoded, kept and written, as measured


def available_bytes(device: torch.device | str = "cpu") -> int | None:
    """Bytes that this process may still take; None where the system does not tell.

    On a GPU those that nothing has, and those that PyTorch holds unused. On Linux what the system counts as
    available, of which the limits of the process and of its control group may leave less.
    """
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        found.append(limit - used + int(cached.get("inactive_file", 0)))
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            found.append(limit - mapped)
    return max(0, min(found)) if found else None


def check_photo(width: int, height: int, name: str) -> None:
    """Raise FileError where the pixels of a file that has not been decoded yet cannot fit."""
    needed, available = width * height * _PHOTO_BYTES, available_bytes()
    if available is not None and needed > available:
        raise FileError(
            f"{name}: {width}x{height} pixels need about {_gib(needed)} of memory, {_gib(available)} are left; "
            "give a smaller one"
        )


def transfer_bytes(pixels: int, encoder: Encoder, settings: Settings) -> int:
    """About the most that optimising so many pixels takes at a time, beside the photos and the weights.

    Twice the activations, the two images that every entry of L-BFGS's history holds, and 310 bytes a pixel for all
    else: within a fifth of what was measured from 0.1 to 12 megapixels, on CPU and GPU.
    """
    wanted = [*settings.content_layers, *settings.style_layers]
    deepest = max(map(encoder.layers.index, wanted), default=-1)
    # A pooling quarters what all layers below it have.
    channels = sum(encoder.channels[name] / 4 ** (int(name[4]) - 1) for name in encoder.layers[: deepest + 1])
    entries = settings.history if settings.solver == "lbfgs" else 0
    return round(pixels * (2.05 * channels * encoder.dtype.itemsize + 24 * entries + 310))


def check_transfer(size: tuple[int, int], encoder: Encoder, settings: Settings, device: torch.device) -> None:
    """Raise InputError where a transfer at (H, W) pixels cannot fit, with the size that would."""
    needed, available = transfer_bytes(size[0] * size[1], encoder, settings), available_bytes(device)
    if available is not None and needed > available:
        fitting = math.floor(max(size) * math.sqrt(0.9 * available / needed)) // 10 * 10
        raise InputError(
            f"size: {size[1]}x{size[0]} pixels need about {_gib(needed)} of memory on {device.type}, "
            f"{_gib(available)} are left; " + (f"a size of {fitting} fits" if fitting >= 16 else "free some")
        )


@contextlib.contextmanager
def out_of_memory_refused(size: tuple[int, int]) -> Iterator[None]:
    """Running out of memory all the same, at (H, W) pixels, is an InputError too."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)
        if not full:
            raise
        raise InputError(f"size: not enough memory for {size[1]}x{size[0]} pixels; use a smaller size") from error


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
