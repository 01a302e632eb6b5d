"""The server of the page: one process, one thread that computes, and a folder that it removes at its end."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
import webbrowser
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fastphoto.errors import InputError, error_text
from fastphoto.ui.app import make_app
from fastphoto.ui.folders import ServerFolder
from fastphoto.ui.guard import Guard
from fastphoto.ui.tab_photo import Side
from fastphoto.ui.tabs import Tabs
from fastphoto.ui.transfers import Machine, warm_up
from fastphoto.ui.worker import Chain, Worker

USUAL_PORT = 8350
_PATIENCE = 20  # seconds that a client may take for the head of its request
_MOST_CONNECTIONS = 400
_HEAD_BYTES = 2**14


def serve(
    given: Mapping[Side, Path],
    machine: Machine,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    started: Callable[[str], None],
    patience: float = 180,
    folder: Path | None = None,
) -> None:
    """Serve the page until the process is interrupted.

    Args:
        given: {side: path} of photos that each tab begins with.
        machine: device and memory of transfers.
        host: address to listen at.
        port: port to listen at; 0: any that is free; None: USUAL_PORT, or any if that is taken.
        started: function that receives the address of the page, with its token, once it can be opened.
        patience: seconds after which a tab is closed that no page listens to.
        folder: folder for the server's own; None: the system's folder for temporary files.

    Raises:
        InputError: a host or port that cannot be listened at.
    """
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    own = ServerFolder(folder)
    worker = Worker()
    worker.submit(None, Chain(), partial(warm_up, machine))  # while the browser opens
    tabs = Tabs(own, worker, machine, given, patience)
    try:
        guard = Guard(make_app(tabs, machine.device), port, host)
        config = uvicorn.Config(
            guard,
            loop="asyncio",
            http=_patient_protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        server = _Server(config, tabs)
        name = f"[{host}]" if ":" in host else host
        started(f"http://{name}:{port}/?token={guard.token}")
        server.run(sockets=[listening])
    finally:
        listening.close()
        worker.close()
        own.close()


def open_browser(address: str) -> None:
    """Open an address in the browser, without waiting for it."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


class _Server(uvicorn.Server):  # type: ignore[misc, unused-ignore]  # its types are not looked at
    """A server that watches its tabs, and lets their streams of events end when it ends."""

    def __init__(self, config: Any, tabs: Tabs) -> None:
        super().__init__(config)
        self._tabs = tabs

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._watch = asyncio.create_task(self._tabs.watch())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._watch.cancel()
        self._tabs.close_all()
        await super().shutdown(sockets=sockets)


def _listen(host: str, port: int | None) -> socket.socket:
    wanted = USUAL_PORT if port is None else port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, wanted), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        if port is None and number == errno.EADDRINUSE:
            return _listen(host, 0)
        cause = os.strerror(number) if number is not None and number > 0 else error_text(error)
        raise InputError(f"{host}:{wanted}: cannot be listened at ({cause}); give another --port or --host") from None


def _patient_protocol(*arguments: Any, **named: Any) -> H11Protocol:
    """Return the protocol of one connection, which ends if its client does not send the head of a request soon."""
    protocol = H11Protocol(*arguments, **named)

    def end_silent() -> None:
        if protocol.cycle is None and protocol.transport is not None and not protocol.transport.is_closing():
            protocol.transport.close()

    asyncio.get_running_loop().call_later(_PATIENCE, end_silent)
    return protocol
