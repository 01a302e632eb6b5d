"""Inside a call of fastphoto, PyTorch's own operators run on one thread and fastphoto's kernels on all of them.

The last digits of many of PyTorch's operators depend on the number of threads: sums are split differently, vectorised
loops end elsewhere, convolutions and matrix products choose other methods. An optimisation makes visible differences of
them. fastphoto's kernels give the same bits with any number, and they do nearly all of the work.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from fastphoto.ops.library import native

_lock = threading.Lock()
_calls = 0


@contextmanager
def one_thread_for_torch() -> Iterator[None]:
    """Run PyTorch's operators of this thread on one thread; does nothing where PyTorch has another OpenMP.

    The numbers of threads that OpenMP and MKL keep for the calling thread are changed, and not those of the process, so
    other threads of the host are not concerned.
    """
    global _calls
    threads = torch.get_num_threads()  # also has PyTorch set up this thread's number, so that it does not do it later
    if _SET_THREADS is None or threads == 1:
        yield
        return
    with _lock:
        _calls += 1
        native.use_threads.default(threads)
    before = _set_threads_of_mkl(1)
    _SET_THREADS(1)
    try:
        yield
    finally:
        _SET_THREADS(threads)
        _set_threads_of_mkl(before)
        with _lock:
            _calls -= 1
            if _calls == 0:
                native.use_threads.default(0)


def _set_threads_of_mkl(threads: int) -> int:
    """Set MKL's number for this thread, where 0 means that of the process, and return what it was."""
    return 0 if _SET_THREADS_OF_MKL is None else _SET_THREADS_OF_MKL(threads)


def _function(name: str) -> Callable[[int], int] | None:
    """Return a function of the libraries that PyTorch is linked to, None if they have none of this name."""
    try:
        function: Callable[[int], int] = getattr(ctypes.CDLL(torch._C.__file__), name)
    except (OSError, AttributeError):
        return None
    return function


_SET_THREADS = _function("omp_set_num_threads")
_SET_THREADS_OF_MKL = _function("MKL_Set_Num_Threads_Local")
