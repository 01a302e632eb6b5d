"""Bodies of requests: streamed to a file or read into memory, with limits of size and of patience."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request

PHOTO_BYTES = 2**30
MASK_BYTES = 2**28
JSON_BYTES = 2**24
PATIENCE = 20.0
"""Seconds that a client may let the server wait for its next bytes."""
_FREE_BYTES = 2**29  # that an upload leaves on the disk
_BYTES_BETWEEN_LOOKS = 2**25


class RefusedBody(Exception):
    """A body that cannot be taken, with the status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def save_body(request: Request, path: Path, most: int = PHOTO_BYTES) -> None:
    """Write the body of a request to a new file, which is removed again if anything fails.

    Raises:
        RefusedBody: more bytes than allowed, none, a client that is too slow or gone, or a full disk.
    """
    written, looked = 0, 0
    _check_disk(path)
    try:
        with open(path, "xb") as file:
            async for chunk in _chunks(request, most):
                file.write(chunk)
                written += len(chunk)
                if written - looked > _BYTES_BETWEEN_LOOKS:
                    looked = written
                    _check_disk(path)
        if written == 0:
            raise RefusedBody(422, "the file is empty")
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def read_body(request: Request, most: int) -> bytes:
    """Return the body of a request; raises as `save_body`."""
    return b"".join([chunk async for chunk in _chunks(request, most)])


async def read_json(request: Request) -> Any:
    """Return the JSON value in the body of a request; raises as `save_body`, and RefusedBody for what is none."""
    try:
        return json.loads(await read_body(request, JSON_BYTES))
    except (ValueError, RecursionError):
        raise RefusedBody(400, "the body is no JSON") from None


async def _chunks(request: Request, most: int) -> AsyncIterator[bytes]:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise RefusedBody(413, f"more than {most >> 20} MiB; give a smaller file")
    total = 0
    stream = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), PATIENCE)
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            raise RefusedBody(408, f"nothing came for {PATIENCE:g} seconds") from None
        except ClientDisconnect:
            raise RefusedBody(400, "the client has gone") from None
        total += len(chunk)
        if total > most:
            raise RefusedBody(413, f"more than {most >> 20} MiB; give a smaller file")
        yield chunk


def _check_disk(path: Path) -> None:
    if shutil.disk_usage(path.parent).free < _FREE_BYTES:
        raise RefusedBody(507, "the disk is nearly full; free some of it")
