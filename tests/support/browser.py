"""A headless Chromium that tests drive through chromedriver's HTTP interface (W3C WebDriver)."""

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

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
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
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id, as the standard has it


class Browser:
    """One window."""

    def __init__(self, address: str, session: str) -> None:
        self.address = f"{address}/session/{session}"

    def open(self, page: Path) -> None:
        _call(f"{self.address}/url", {"url": page.resolve().as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """The value that a JavaScript function's body returns."""
        return _call(f"{self.address}/execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """A real click on the middle of an element, which fails where another element covers it."""
        _call(f"{self.address}/element/{self._find(selector)}/click", {})

    def press(self, keys: str, selector: str | None = None) -> None:
        """Real keys, on an element or, by default, on what has the focus."""
        if selector is not None:
            _call(f"{self.address}/element/{self._find(selector)}/value", {"text": keys})
            return
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        _call(f"{self.address}/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float], kind: str = "mouse") -> None:
        """Draw a pointer ("mouse" or "touch") from one place of an element to another, both as shares of its size."""
        find = "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        box = self.run(f"{find} return [box.x, box.y, box.width, box.height]", selector)
        places = [(round(box[0] + x * box[2]), round(box[1] + y * box[3])) for x, y in (start, end)]
        actions: list[dict[str, Any]] = [{"type": "pointerMove", "duration": 0, "x": places[0][0], "y": places[0][1]}]
        actions += [{"type": "pointerDown", "button": 0}]
        actions += [{"type": "pointerMove", "duration": 50, "x": places[1][0], "y": places[1][1]}]
        actions += [{"type": "pointerUp", "button": 0}]
        pointer = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": actions}
        _call(f"{self.address}/actions", {"actions": [pointer]})

    def accept(self) -> None:
        """Agree to the question that the page asks."""
        _call(f"{self.address}/alert/accept", {})

    def mistakes(self) -> list[str]:
        """What the page wrote to the console as an error or warning since the last call."""
        return [entry["message"] for entry in _call(f"{self.address}/se/log", {"type": "browser"})]

    def theme(self, name: str) -> None:
        """Prefer "light" or "dark" from now on."""
        features = {"features": [{"name": "prefers-color-scheme", "value": name}]}
        _call(f"{self.address}/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": features})

    def downloads_to(self, folder: Path) -> None:
        """Where what the page saves is written from now on."""
        parameters = {"behavior": "allow", "downloadPath": str(folder)}
        _call(f"{self.address}/goog/cdp/execute", {"cmd": "Browser.setDownloadBehavior", "params": parameters})

    def screenshot(self, path: Path) -> None:
        """The whole page, also below the window's edge."""
        parameters = {"captureBeyondViewport": True, "format": "png"}
        found = _call(f"{self.address}/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": parameters})
        path.write_bytes(base64.b64decode(found["data"]))

    def _find(self, selector: str) -> str:
        return _call(f"{self.address}/element", {"using": "css selector", "value": selector})[_ELEMENT]


@contextmanager
def browser(width: int = 1280, height: int = 800, touch: bool = False) -> Iterator[Browser]:
    """A window of that many CSS pixels with an empty profile; `touch` makes it a phone's."""
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
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "WARNING"}}
        session = _call(f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
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
