"""Values that are made once and kept, whichever thread asks for them first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class Memo:
    """Values by key; each is made at its first request, by one thread, while others that want it wait.

    A value that could not be made, because its maker raised, is made again at the next request. The values that were
    not asked for the longest are dropped.

    Args:
        most: number of values that are kept.

    Example:
        >>> memo = Memo()
        >>> memo.get("squares", lambda: [n * n for n in range(3)])
        [0, 1, 4]
        >>> memo.get("squares", lambda: print("never called"))
        [0, 1, 4]
    """

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, made by `make` if there is none."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        with entry.lock:
            if not entry.values:
                entry.values.append(make())
            value: Value = entry.values[0]
            return value


class _Entry:
    """A value, or none yet, and the lock of whoever makes it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: list[Any] = []
