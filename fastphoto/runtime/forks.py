"""Forked processes: they compute as their parents do, or say at once why they cannot.

Only the forking thread survives in a child. Three things would go wrong there:

- OpenMP keeps a pool of threads for each thread that uses it. In the child the pool is still listed but its threads are
  gone, so that GNU's OpenMP, which comes with PyTorch, waits for them for ever. Therefore the parent ends the forking
  thread's pool just before each fork. The next parallel work in the parent or the child starts a new one, in a fraction
  of a millisecond.
- A lock that another thread held during the fork is never released in the child. No one can release it there, so
  fastphoto refuses to run if another thread was inside one of its calls.
- CUDA, and PyTorch's gradients where there is a GPU, do not work in the child. PyTorch says so, and fastphoto says it
  in one line.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from fastphoto.errors import FastPhotoError

_PAUSE_HARD = 2  # of OpenMP 5.0: threads end, and settings stay
_WAY_OUT = 'start processes by "spawn" or "forkserver" instead, such as multiprocessing.set_start_method("spawn")'
_WORDS_OF_TORCH = ("forked subprocess", "fork-based multiprocessing")  # in its errors about CUDA and about gradients

_logger = logging.getLogger("fastphoto")
_calls: dict[int, int] = {}  # {thread: how many calls of fastphoto it is in}
_cut_off = False  # whether this process was forked while another thread was in a call


@contextmanager
def call_in_progress() -> Iterator[None]:
    """Mark this thread as inside a call of fastphoto; refuse where a fork has left nothing to rely on.

    Raises:
        FastPhotoError: this process was forked during another thread's call, or PyTorch refuses to work after a fork.
    """
    if _cut_off:
        raise FastPhotoError(
            f"this process was forked while another thread ran fastphoto, and could wait for it for ever; {_WAY_OUT}"
        )
    thread = threading.get_ident()
    _calls[thread] = _calls.get(thread, 0) + 1
    try:
        yield
    except RuntimeError as error:
        if any(words in str(error) for words in _WORDS_OF_TORCH):
            raise FastPhotoError(
                f"this process was forked from one that had used PyTorch with a GPU, which cannot go on; {_WAY_OUT}"
            ) from error
        raise
    finally:
        _calls[thread] -= 1
        if not _calls[thread]:
            del _calls[thread]


def prepare_for_forks() -> None:
    """Let processes that are forked from now on use OpenMP; called once, when fastphoto is imported."""
    if not hasattr(os, "register_at_fork"):  # Windows
        return
    os.register_at_fork(after_in_child=_forget_other_threads)
    pause = _find_pause()
    if pause is not None:
        os.register_at_fork(before=lambda: pause(_PAUSE_HARD))
    elif sys.platform == "linux":  # GNU's OpenMP before version 9; those of other systems restart their pool themselves
        os.register_at_fork(after_in_child=_use_one_thread)


def _forget_other_threads() -> None:
    global _cut_off
    thread = threading.get_ident()
    _cut_off = _cut_off or any(other != thread for other in _calls)
    for other in [other for other in _calls if other != thread]:
        del _calls[other]


def _find_pause() -> Callable[[int], int] | None:
    """Return omp_pause_resource_all() of the OpenMP library that PyTorch has loaded, None if it has none."""
    try:
        # A library's handle also finds the names of the libraries that it was linked to.
        pause: Callable[[int], int] = ctypes.CDLL(torch._C.__file__).omp_pause_resource_all
    except (OSError, AttributeError):
        return None
    return pause


def _use_one_thread() -> None:
    torch.set_num_threads(1)  # a parallel region of one thread needs no pool
    _logger.warning(f"forked process: PyTorch runs with one thread; for more, {_WAY_OUT}")
