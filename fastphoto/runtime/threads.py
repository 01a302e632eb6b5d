"""Threads that sleep while they wait, so that they do not fight other processes for the cores.

`fastphoto` imports this module before torch is loaded, so it must not import torch by itself.
"""

from __future__ import annotations

import os
import sys

# Number of times that a waiting thread spins before it sleeps. GNU's OpenMP, which comes with PyTorch, spins 300,000
# times, for a few milliseconds. If another process needs the same cores, each wait then lasts until the system
# preempts the thread, and both processes become several times slower. 10,000 spins cost nothing on free cores.
_SPIN_COUNT = "10000"
_USER_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


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
