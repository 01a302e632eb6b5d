"""What fastphoto asks of the process it runs in: threads that sleep where they wait, and freed memory that is kept."""

from __future__ import annotations

import ctypes
import os
import sys

# Rounds of a waiting thread before it sleeps. GNU's OpenMP, which PyTorch brings, does 300,000 (milliseconds): where
# another process wants the same cores, every wait then lasts until the system takes the core away, and both get
# several times slower. 10,000 cost nothing where the cores are free.
_SPINS = "10000"
_CHOSEN_BY_USER = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
_MALLOC_TRIM_THRESHOLD, _MALLOC_MMAP_THRESHOLD = -1, -3  # of mallopt in glibc's malloc.h


def load_torch_with_patient_threads() -> None:
    """Loads PyTorch so that its threads do not fight other processes, unless it is loaded or the user chose already."""
    if "torch" in sys.modules or any(name in os.environ for name in _CHOSEN_BY_USER):
        return
    os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        import torch  # noqa: F401  (its OpenMP library reads the variable while it is loaded)
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def keep_freed_memory() -> None:
    """Lets glibc keep freed memory, where it would give it back and ask for it again at each step; a tenth faster.

    For a process that only runs transfers: its memory stays at its peak. Does nothing with another C library.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MALLOC_MMAP_THRESHOLD, 1 << 30)
    mallopt(_MALLOC_TRIM_THRESHOLD, (1 << 31) - 1)
