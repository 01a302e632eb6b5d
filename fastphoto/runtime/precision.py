"""Products of float32 matrices stay exact where the host program allows PyTorch to round their factors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_EXACT = ("ieee", "none")
_lock = threading.Lock()
_calls = 0
_restoring: list[Callable[[], None]] = []


@contextmanager
def exact_products() -> Iterator[None]:
    """Compute float32 products and convolutions in float32, whatever `torch.set_float32_matmul_precision` says.

    With "medium", some processors round factors to bfloat16, which has three digits. The setting belongs to the process
    and has no counterpart in a thread. So other threads compute exactly too while a call of fastphoto runs, which is
    slower but never wrong. Nothing changes where the host has not chosen another precision. The first of several calls
    at once changes the setting, and the last one to end restores it.
    """
    global _calls
    with _lock:
        if _calls == 0:
            _restoring.extend(_make_exact())
        _calls += 1
    try:
        yield
    finally:
        with _lock:
            _calls -= 1
            while _calls == 0 and _restoring:
                _restoring.pop()()


def _make_exact() -> Iterator[Callable[[], None]]:
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:  # the host uses the settings of each backend instead, which this function cannot express
        overall = "highest"
    if overall != "highest":
        # All backends at once: if only one changed, this function would raise an error in other threads.
        torch.set_float32_matmul_precision("highest")
        yield lambda: _restore_overall(overall)
    onednn: Any = torch.backends.mkldnn
    for backend in (onednn.matmul, onednn.conv, torch.backends.cuda.matmul):
        if backend.fp32_precision not in _EXACT:
            yield _make_backend_exact(backend)


def _restore_overall(before: str) -> None:
    if torch.get_float32_matmul_precision() == "highest":  # otherwise the host has chosen another one meanwhile
        torch.set_float32_matmul_precision(before)


def _make_backend_exact(backend: Any) -> Callable[[], None]:
    before = backend.fp32_precision
    backend.fp32_precision = "ieee"

    def restore() -> None:
        if backend.fp32_precision != "ieee":  # chosen by the host meanwhile
            return
        backend.fp32_precision = "none"  # what the host has set for several backends at once
        if backend.fp32_precision != before:
            backend.fp32_precision = before

    return restore
