"""A headless Chromium that tests control through chromedriver's HTTP interface (W3C WebDriver)."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
needs_browser = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")

_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the standard's key of an element's id


class Browser:
    """One window of the browser."""

    def __init__(self, address: str, session: str) -> None:
        self.address = f"{address}/session/{session}"

    def open(self, page: Path) -> None:
        """Load a file."""
        _call(f"{self.address}/url", {"url": page.resolve().as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of a JavaScript function, and return its value."""
        return _call(f"{self.address}/execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """Click on the middle of an element, as a mouse does; raise AssertionError if another element covers it."""
        _call(f"{self.address}/element/{self._find(selector)}/click", {})

    def press(self, keys: str, selector: str | None = None) -> None:
        """Press keys, on an element or, by default, on whatever has the focus."""
        if selector is not None:
            _call(f"{self.address}/element/{self._find(selector)}/value", {"text": keys})
            return
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        _call(f"{self.address}/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float], kind: str = "mouse") -> None:
        """Drag a pointer ("mouse" or "touch") between two points (x, y) of an element, given as parts of its size."""
        find = "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        box = self.run(f"{find} return [box.x, box.y, box.width, box.height]", selector)
        (x0, y0), (x1, y1) = ((round(box[0] + x * box[2]), round(box[1] + y * box[3])) for x, y in (start, end))
        actions = [
            {"type": "pointerMove", "duration": 0, "x": x0, "y": y0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "duration": 50, "x": x1, "y": y1},
            {"type": "pointerUp", "button": 0},
        ]
        pointer = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": actions}
        _call(f"{self.address}/actions", {"actions": [pointer]})

    def accept(self) -> None:
        """Answer OK to the dialog that the page opened."""
        _call(f"{self.address}/alert/accept", {})

    def console_errors(self) -> list[str]:
        """Return the errors and warnings that the page wrote to the console since the last call."""
        return [entry["message"] for entry in _call(f"{self.address}/se/log", {"type": "browser"})]

    def set_theme(self, name: str) -> None:
        """Make the browser prefer "light" or "dark"."""
        features = {"features": [{"name": "prefers-color-scheme", "value": name}]}
        _call(f"{self.address}/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": features})

    def save_downloads_in(self, folder: Path) -> None:
        """Have what the page saves written to a folder."""
        parameters = {"behavior": "allow", "downloadPath": str(folder)}
        _call(f"{self.address}/goog/cdp/execute", {"cmd": "Browser.setDownloadBehavior", "params": parameters})

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the whole page, also of what lies below the window's edge."""
        parameters = {"captureBeyondViewport": True, "format": "png"}
        answer = _call(f"{self.address}/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": parameters})
        path.write_bytes(base64.b64decode(answer["data"]))

    def _find(self, selector: str) -> str:
        return _call(f"{self.address}/element", {"using": "css selector", "value": selector})[_ELEMENT]


@contextmanager
def browser(width: int = 1280, height: int = 800, touch: bool = False) -> Iterator[Browser]:
    """Open a window of so many CSS pixels with an empty profile; with `touch` it is that of a phone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address)
        metrics = {"width": width, "height": height, "pixelRatio": 2 if touch else 1, "touch": touch}
        options = {
            "binary": shutil.which("chromium"),
            "args": list(_QUIET),
            "mobileEmulation": {"deviceMetrics": metrics},
        }
        required = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "WARNING"}}
        session = _call(f"{address}/session", {"capabilities": {"alwaysMatch": required}})["sessionId"]
        window = Browser(address, session)
        try:
            yield window
        finally:
            _call(window.address, None, "DELETE")
    finally:
        driver.terminate()
        driver.wait(10)


def _wait_for(address: str) -> None:
    for _ in range(200):
        try:
            if _call(f"{address}/status", None, "GET")["ready"]:
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("chromedriver did not start")


def _call(address: str, data: object, method: str = "POST") -> Any:
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(json.load(error)["value"]["message"].splitlines()[0]) from None
