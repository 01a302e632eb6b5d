"""The memory of the process: how much is left, whether a photo fits, and whether freed memory is kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

import torch

from fastphoto.errors import FileError

_BYTES_PER_PIXEL = 23  # peak memory of a photo that is decoded, held and written, as measured

_MALLOC_TRIM_THRESHOLD, _MALLOC_MMAP_THRESHOLD = -1, -3  # parameters of mallopt in glibc's malloc.h


def available_bytes(device: torch.device | str = "cpu") -> int | None:
    """Return how many bytes this process may still allocate.

    Args:
        device: device name, "cpu", "cuda", ..., or a torch device.

    Returns:
        Bytes, or None if the system does not report them. For the CPU, the smallest of three numbers: the memory that
        is available in the system, in the control group, and in the limit of the process's address space. For a GPU,
        the free memory plus the memory that PyTorch has reserved and does not use.

    Example:
        >>> available = available_bytes()
        >>> available is None or available > 0
        True
    """
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    limits = [_system_bytes(), _control_group_bytes(), _address_space_bytes()]
    known = [limit for limit in limits if limit is not None]
    return max(0, min(known)) if known else None


def check_photo_fits(width: int, height: int, name: str) -> None:
    """Raise FileError if a photo of this size, not decoded yet, does not fit into memory."""
    needed, available = width * height * _BYTES_PER_PIXEL, available_bytes()
    if available is not None and needed > available:
        raise FileError(
            f"{name}: {width}x{height} pixels need about {memory_text(needed)} of memory, "
            f"{memory_text(available)} are left; give a smaller one"
        )


def memory_text(count: int) -> str:
    """Return a number of bytes as text, in MiB below 0.1 GiB and otherwise in GiB."""
    return f"{count / 2**20:.0f} MiB" if count < 0.1 * 2**30 else f"{count / 2**30:.1f} GiB"


def _system_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    return None


def _control_group_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return limit - used + int(statistics.get("inactive_file", 0))  # the kernel drops those pages first
    return None


def _address_space_bytes() -> int | None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            return limit - mapped
    return None


def return_freed_memory() -> None:
    """Return the memory that `keep_freed_memory` has kept to the system, in a process that now waits for work.

    It does nothing if the C library is not glibc.

    Example:
        >>> return_freed_memory()
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next allocation instead of returning it to the system.

    This makes transfers about a tenth faster, because every step frees and allocates the same large tensors. The memory
    of the process then stays at its peak, so call this only in a process that does nothing but transfers. It does
    nothing if the C library is not glibc.

    Example:
        >>> keep_freed_memory()  # doctest: +SKIP
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MALLOC_MMAP_THRESHOLD, 1 << 30)
    mallopt(_MALLOC_TRIM_THRESHOLD, (1 << 31) - 1)
