"""Values that are made once and kept, whichever thread asks for them first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class Memo:
    """Values by key; each is made at its first request, by one thread, while others that want it wait.

    A value that could not be made, because its maker raised, is made again at the next request.

    Example:
        >>> memo = Memo()
        >>> memo.get("squares", lambda: [n * n for n in range(3)])
        [0, 1, 4]
        >>> memo.get("squares", lambda: print("never called"))
        [0, 1, 4]
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, made by `make` if there is none yet."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._values:
                self._values[key] = make()
            value: Value = self._values[key]
            return value
