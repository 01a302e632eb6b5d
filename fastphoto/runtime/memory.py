"""How much memory is left, and photos that would not fit refused before they are decoded."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fastphoto.errors import FileError

if TYPE_CHECKING:
    pass

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
            f"{name}: {width}x{height} pixels need about {in_gib(needed)} of memory, {in_gib(available)} are left; "
            "give a smaller one"
        )


def in_gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
