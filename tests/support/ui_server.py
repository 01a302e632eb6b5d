"""A server of `fastphoto ui` in a process of its own, and a client that talks to it as a page does."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_SERVE = """
import sys
from pathlib import Path
from fastphoto.ui import server, uploads, worker
from fastphoto.ui.transfers import Machine
uploads.PATIENCE = server._PATIENCE = worker.REST = 1.0
folder, patience = Path(sys.argv[1]), float(sys.argv[2])
given = {side: Path(path) for side, path in zip(("content", "style"), sys.argv[3:])}
try:
    say = lambda address: print(address, flush=True)
    server.serve(given, Machine("cpu"), port=0, started=say, patience=patience, folder=folder)
except KeyboardInterrupt:
    sys.exit(130)
"""


class Client:
    """Requests with the cookie and the origin of a page, unless a request says otherwise."""

    def __init__(self, address: str) -> None:
        self.address = address
        parts = urlsplit(address)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.origin = f"http://{parts.netloc}"
        status, headers, _ = self.raw("GET", f"{parts.path}?{parts.query}", {})
        assert status == 303, status
        self.headers = {"Cookie": headers["Set-Cookie"].split(";")[0], "Origin": self.origin}

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def raw(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[int, Any, bytes]:
        """Send a request with these headers only; return status, headers and body of the answer."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the JSON, or else the bytes, of an answer."""
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        status, answered, content = self.raw(method, path, {**self.headers, **named}, data)
        return status, json.loads(content) if "json" in answered.get("Content-Type", "") else content

    def tab(self) -> Tab:
        status, answer = self.call("POST", "/api/tabs")
        assert status == 200, answer
        return Tab(self, answer["tab"])


class Tab:
    """One tab of a client, which listens to its events."""

    def __init__(self, client: Client, name: str) -> None:
        self.client, self.path = client, f"/api/tabs/{name}"
        self.heard: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        connection = client.connection()
        connection.connect()
        self._socket = connection.sock
        connection.request("GET", f"{self.path}/events", None, client.headers)
        self._answer = connection.getresponse()
        threading.Thread(target=self._listen, daemon=True).start()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return self.client.call(method, self.path + path, body, **headers)

    def give(self, content: bytes, style: bytes, preset: str = "recolour", regions: str = "none") -> None:
        """Give both photos, by default with the settings that are the quickest."""
        assert self.call("POST", "/change", {"settings": {"preset": preset, "regions": regions}})[0] == 200
        for side, data in (("content", content), ("style", style)):
            status, answer = self.call("PUT", f"/photos/{side}", data, X_File_Name=f"{side}.png")
            assert status == 200, answer

    def wait(self, kind: str, after: int = 0, timeout: float = 120) -> dict[str, Any]:
        """Return the first event of a kind after so many events."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self.heard[after:]:
                    if event["type"] == kind:
                        return event
                    assert event["type"] != "failed", event
                left = end - time.monotonic()
                assert left > 0, f"no {kind} among {[event['type'] for event in self.heard[after:]]}"
                self._changed.wait(left)

    def result(self, after: int = 0) -> dict[str, Any]:
        """Return the result of the change after so many events, once it is complete."""
        self.wait("idle", after)
        return [event for event in self.heard[after:] if event["type"] == "result"][-1]

    def change(self, **values: Any) -> dict[str, Any]:
        """Send a change, and return its result."""
        after = len(self.heard)
        status, answer = self.call("POST", "/change", values)
        assert status == 200, answer
        return self.result(after)

    def close(self) -> None:
        """Stop listening; the server closes the tab after a while."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        try:
            while line := self._answer.readline():
                if line.startswith(b"data: "):
                    with self._changed:
                        self.heard.append(json.loads(line[6:]))
                        self._changed.notify_all()
        except (OSError, ValueError, AttributeError, http.client.HTTPException):  # closed
            pass


class UiServer(Client):
    """A server with a folder of its own for temporary files; tests give it `patience` seconds with idle tabs."""

    def __init__(self, folder: Path, patience: float = 60, photos: tuple[Path, ...] = ()) -> None:
        self.folder = folder
        words = [sys.executable, "-c", _SERVE, folder, str(patience), *photos]
        # Tiny photos: more threads would wait for one another.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        super().__init__(self.process.stdout.readline().strip())

    def files(self) -> list[Path]:
        """Return the files of tabs."""
        found = [Path(root) / name for root, _, names in os.walk(self.folder) for name in names]
        return [path for path in found if path.name != "alive"]

    def resident(self) -> int:
        """Return the bytes of memory that the process has."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal, wait for the end, and return the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(120)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status
