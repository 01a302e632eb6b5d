"""Server-sent events: what a tab tells the pages that listen to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

_SECONDS_BETWEEN_SIGNS = 10  # of life, so that both ends notice when the other is gone
_MOST_WAITING = 200  # events; a page that reads none of them is as good as gone

Event = dict[str, Any]


class Subscribers:
    """The pages that listen to one tab."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Event | None]] = set()

    def __len__(self) -> int:
        return len(self._queues)

    def publish(self, event: Event) -> None:
        """Send an event to all pages."""
        for queue in list(self._queues):
            if queue.qsize() < _MOST_WAITING:
                queue.put_nowait(event)

    def close(self) -> None:
        """End all streams."""
        for queue in list(self._queues):
            queue.put_nowait(None)

    async def stream(self, first: list[Event]) -> AsyncIterator[bytes]:
        """Yield events as text for an EventSource, after some that are sent at once."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            for event in first:
                yield _encoded(event)
            while True:
                try:
                    event_or_end = await asyncio.wait_for(queue.get(), _SECONDS_BETWEEN_SIGNS)
                except asyncio.TimeoutError:
                    yield b": still here\n\n"
                    continue
                if event_or_end is None:
                    return
                yield _encoded(event_or_end)
        finally:
            self._queues.discard(queue)


def _encoded(event: Event) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()
