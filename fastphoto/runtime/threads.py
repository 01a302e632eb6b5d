"""Settings of the process: threads that sleep while they wait, and freed memory that is not returned.

`fastphoto` imports this module before torch is loaded, so it must not import torch by itself.
"""

from __future__ import annotations

import ctypes
import os
import sys

# How often a waiting thread spins before it sleeps. GNU's OpenMP, which PyTorch brings along, spins 300,000 times, a
# few milliseconds: if another process wants the same cores, every wait then lasts until the system takes the core
# away, and both processes get several times slower. 10,000 cost nothing while the cores are free.
_SPIN_COUNT = "10000"
_USER_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
_MALLOC_TRIM_THRESHOLD, _MALLOC_MMAP_THRESHOLD = -1, -3  # of mallopt in glibc's malloc.h


def load_torch_with_patient_threads() -> None:
    """Load PyTorch so that its waiting threads soon sleep and leave their cores to other processes.

    Does nothing if PyTorch is loaded already or if the user has chosen how threads wait (GOMP_SPINCOUNT or
    OMP_WAIT_POLICY in the environment).
    """
    if "torch" in sys.modules or any(name in os.environ for name in _USER_SETTINGS):
        return
    os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT
    try:
        import torch  # noqa: F401  (its OpenMP library reads the variable while it is loaded)
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next allocation instead of returning it to the system.

    Makes transfers about a tenth faster, for every step frees and allocates the same large tensors. The memory of the
    process then stays at its peak, so call this only in a process that does nothing but transfers. Does nothing if
    the C library is not glibc.

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
