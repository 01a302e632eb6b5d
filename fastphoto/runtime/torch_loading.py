"""PyTorch loaded so that it neither fights other processes for the cores nor searches for garbage on the way.

`fastphoto` imports this module before torch is loaded, so it must not import torch by itself.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator

# Number of times that a waiting thread spins before it sleeps. GNU's OpenMP, which comes with PyTorch, spins 300,000
# times, for a few milliseconds. If another process needs the same cores, each wait then lasts until the system
# preempts the thread, and both processes become several times slower. 10,000 spins cost nothing on free cores.
_SPIN_COUNT = "10000"
_USER_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def load_torch() -> None:
    """Load PyTorch with patient threads: waiting, they soon sleep and leave their cores to other processes.

    Does nothing if PyTorch is loaded already. Threads are not changed if the user has chosen how they wait
    (GOMP_SPINCOUNT or OMP_WAIT_POLICY in the environment).
    """
    if "torch" in sys.modules:
        return
    with _paused_collector(), _patient_threads():
        import torch  # noqa: F401  (its OpenMP library reads the variable while it is loaded)


@contextlib.contextmanager
def _patient_threads() -> Iterator[None]:
    if any(name in os.environ for name in _USER_SETTINGS):
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


@contextlib.contextmanager
def _paused_collector() -> Iterator[None]:
    """Pause Python's garbage collector, which finds nothing among some hundred thousand objects that stay.

    This saves a tenth of the time that torch takes to load, and more of what follows: the new objects go to the oldest
    generation, which is seldom searched.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:  # nothing that the host wants to keep out of the collector's sight
            gc.freeze()
            gc.unfreeze()  # into the oldest generation
        gc.enable()


def keep_loaded_modules() -> None:
    """Hide all objects that exist now from the garbage collector, in a process that needs its modules to the end.

    The interpreter then does not search them when it exits, which takes it a fifth of a second otherwise.

    Example:
        >>> keep_loaded_modules()  # doctest: +SKIP
    """
    gc.freeze()
