"""What strangers, accidents and broken clients may send: the server refuses it in one line, and goes on."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ui_server import Client, Tab, UiServer


@pytest.fixture(autouse=True)
def _stays_up(server: UiServer, content: bytes, style: bytes):
    """After each misuse the server answers as before."""
    yield
    assert server.process.poll() is None
    assert server.call("GET", "/")[0] == 200


def until(condition, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return met


def connect(server: Client) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=20)


def head(server: Client, method: str, path: str, **headers: str) -> bytes:
    named = {"Host": f"{server.host}:{server.port}", **server.headers, **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{key.replace('_', '-')}: {value}" for key, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode()


# ---- strangers


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/page/main.js", "/api/tabs/x/events"])
def test_without_the_token_nothing_is_answered(server, path):
    status, headers, body = server.raw("GET", path, {})
    assert status == 401 and b"token" in body and "Set-Cookie" not in headers


@pytest.mark.parametrize("cookie", ["fastphoto-ui-{port}=wrong", "fastphoto-ui-1={token}", "={token}", "\xff=;;=", ""])
def test_a_wrong_cookie_is_no_token(server, cookie):
    token = server.headers["Cookie"].split("=", 1)[1]
    given = cookie.format(port=server.port, token=token)
    assert server.raw("GET", "/", {"Cookie": given})[0] == 401


@pytest.mark.parametrize("host", ["evil.example:{port}", "evil.example", "localhost", "127.0.0.1:1", "{port}", "", ":"])
def test_names_of_others_are_refused(server, host):
    """A name of a stranger's that points to this machine (DNS rebinding)."""
    headers = {**server.headers, "Host": host.format(port=server.port)}
    assert server.raw("GET", "/", headers)[0] in (400, 421)


def test_names_of_this_machine_are_accepted(server):
    headers = {"Cookie": server.headers["Cookie"], "Host": f"localhost:{server.port}"}
    assert server.raw("GET", "/", headers)[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}", ""]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_others_are_refused(server, method, origin):
    headers = {**server.headers, "Origin": origin.format(port=server.port)}
    assert server.raw(method, "/api/tabs" if method == "POST" else "/", headers)[0] == 403


def test_a_change_names_its_origin(server):
    assert server.raw("POST", "/api/tabs", {"Cookie": server.headers["Cookie"]})[0] == 403


def test_requests_that_another_site_starts_are_refused(server):
    assert server.call("GET", "/", Sec_Fetch_Site="cross-site")[0] == 403


def test_answers_forbid_scripts_and_frames_of_others(server):
    _, headers, _ = server.raw("GET", "/", server.headers)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
    _, headers, _ = server.raw("GET", f"/?token={server.headers['Cookie'].split('=', 1)[1]}", {})
    assert "HttpOnly" in headers["Set-Cookie"] and "SameSite=Strict" in headers["Set-Cookie"]


# ---- addresses

TRICKS = [
    "/page/../guard.py",
    "/page/%2e%2e/guard.py",
    "/page/..%2fguard.py",
    "/page/..%5cguard.py",
    "/page//etc/passwd",
]
TRICKS += ["//etc/passwd", "/page/index.html%00.js", "/page/", "/%2e%2e/%2e%2e/etc/passwd", "/page/" + "a" * 5000]


@pytest.mark.parametrize("path", TRICKS)
def test_addresses_lead_nowhere_else(server, path):
    status, answer = server.call("GET", path)
    assert status in (400, 404) and b"root:" not in str(answer).encode() and b"class Guard" not in str(answer).encode()


@pytest.mark.parametrize("path", ["/photos/other", "/photos/content%2f..%2fstyle", "/masks/..", "/results/7/file"])
def test_what_does_not_exist_is_not_found(tab, path):
    method = "PUT" if "results" not in path else "GET"
    assert tab.call(method, path, b"x" if method == "PUT" else None)[0] in (404, 422)


def test_a_tab_that_was_never_opened_is_not_found(server):
    for name in ("x", "..", "%2e%2e%2f"):
        assert server.call("GET", f"/api/tabs/{name}/masks/content")[0] == 404


def test_other_methods_are_refused(server, tab):
    assert server.call("DELETE", "/")[0] == 405
    assert tab.call("TRACE", "/change")[0] == 405


# ---- names of files


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/cron.d/evil", "..\\evil.png", "%00", "a" * 9000, "%2e%2e%2fx", "-o"]
)
def test_names_of_files_are_only_shown(server, tab, content, name):
    status, answer = tab.call("PUT", "/photos/content", content, X_File_Name=name)
    assert status == 200 and len(answer["name"]) <= 110 and "/" not in answer["name"].removeprefix("./")
    assert not list(server.folder.parent.rglob("*evil*"))
    assert all(
        path.name.startswith("content-") and path.parent.parent.parent == server.folder for path in server.files()
    )


# ---- bodies


def test_a_body_that_says_it_is_huge_is_refused_at_once(server, tab):
    with connect(server) as client:
        client.sendall(head(server, "PUT", f"{tab.path}/photos/content", Content_Length=str(2**40)))
        assert b" 413 " in client.recv(200)
    assert until(lambda: server.files() == [])


def test_a_body_that_never_ends_is_refused(server, tab):
    with connect(server) as client, pytest.raises(OSError):
        client.sendall(head(server, "POST", f"{tab.path}/change", Transfer_Encoding="chunked"))
        for _ in range(400):
            client.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        assert b" 413 " in client.recv(200)
        raise OSError("it has answered before it hung up")


def test_a_client_that_goes_away_leaves_nothing(server, tab):
    with connect(server) as client:
        client.sendall(head(server, "PUT", f"{tab.path}/photos/content", Content_Length="1000000") + b"x" * 5000)
        assert until(lambda: server.files() != [])
    assert until(lambda: server.files() == [])


def test_a_client_that_is_too_slow_is_refused(server, tab):
    with connect(server) as client:
        client.sendall(head(server, "PUT", f"{tab.path}/photos/content", Content_Length="1000000") + b"x" * 5000)
        assert b" 408 " in client.recv(200)
    assert until(lambda: server.files() == [])


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_client_that_never_ends_its_head_is_cut_off(server, begun):
    with connect(server) as client:
        client.sendall(begun)
        assert client.recv(200) == b""


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"\r\n" * 40, bytes(range(256)) * 40, b"GET\r\n\r\n"])
def test_garbage_is_refused(server, sent):
    with connect(server) as client:
        client.sendall(sent)
        assert client.recv(200)[:15] in (b"", b"HTTP/1.1 400 Ba")


def test_a_head_that_never_ends_is_refused(server):
    with connect(server) as client:
        client.sendall(head(server, "GET", "/", X_Long="x" * 10**6)[:200000])
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(200)[9:12] in (b"400", b"431")


BAD_CHANGES = {
    "no object": [],
    "settings no object": {"settings": 3},
    "unknown setting": {"settings": {"weights": "/etc/passwd"}},
    "unknown preset": {"settings": {"preset": "../x"}},
    "size of words": {"settings": {"size": "700"}},
    "no size": {"settings": {"size": 0}},
    "strength no number": {"settings": {"strength": None}},
    "masks that nobody loaded": {"settings": {"regions": "masks"}},
    "edit no object": {"edit": 4},
    "no names": {"edit": {}},
    "name twice": {"edit": {"names": ["a", "a"]}},
    "ten names": {"edit": {"names": list("abcdefghij")}},
    "name not printable": {"edit": {"names": ["a\nb"]}},
    "runs no list": {"edit": {"names": ["a"], "strokes": {"content": "x"}}},
    "odd runs": {"edit": {"names": ["a"], "strokes": {"content": [0, 5, 1]}}},
    "too few pixels": {"edit": {"names": ["a"], "strokes": {"content": [0, 5]}}},
    "far too many pixels": {"edit": {"names": ["a"], "strokes": {"content": [0, 10**15]}}},
    "number beyond all": {"edit": {"names": ["a"], "strokes": {"content": [0, 10**30]}}},
    "length below 0": {"edit": {"names": ["a"], "strokes": {"content": [0, 3080, 0, -8]}}},
    "label of no region": {"edit": {"names": ["a"], "strokes": {"content": [9, 3072]}}},
    "joins of words": {"edit": {"names": ["a"], "joins": {"content": {"x": 0}}}},
    "joins of no region": {"edit": {"names": ["a"], "joins": {"content": {"0": 7}}}},
    "strokes no object": {"edit": {"names": ["a"], "strokes": [1]}},
}


def test_changes_that_are_none_are_refused_in_one_line(tab, content, style):
    tab.give(content, style)
    tab.result()
    for kind, change in BAD_CHANGES.items():
        status, answer = tab.call("POST", "/change", change)
        assert status == 422 and answer["error"] and "\n" not in answer["error"], kind


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 10**5, b"\xff\xfe", b"NaN", b'{"settings": {"size": 1e999}}'])
def test_what_is_no_json_is_refused(tab, body):
    assert tab.call("POST", "/change", body)[0] in (400, 422)


@pytest.mark.parametrize(
    "box", ["", "x=0&y=0&width=-1&height=5", "x=a&y=0&width=5&height=5", "x=0&y=0&width=99999&height=99999"]
)
def test_cuts_without_sense_are_refused(tab, content, box):
    tab.call("PUT", "/photos/content", content)
    assert tab.call("GET", f"/photos/content/cut?{box}")[0] == 422


# ---- hostile files


def bomb() -> bytes:
    """A few bytes that claim 900 million pixels."""
    chunk = struct.pack(">II5B", 30000, 30000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", chunk), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def saved(array: np.ndarray, kind: str) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind)
    return data.getvalue()


HOSTILE = {
    "text": b"hello" * 100,
    "html": b"<html><script>alert(1)</script></html>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "bomb": bomb(),
    "one pixel": saved(np.zeros((1, 1, 3), np.uint8), "PNG"),
    "cut short": saved(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), "PNG")[:5000],
    "no number": saved(np.full((32, 32), np.nan, np.float32), "TIFF"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_photos_are_refused_in_one_line(server, tab, kind):
    status, answer = tab.call("PUT", "/photos/style", HOSTILE[kind], X_File_Name="photo.jpg")
    assert status == 422 and answer["error"].startswith("style: ") and "\n" not in answer["error"]
    assert str(server.folder) not in answer["error"]
    assert until(lambda: server.files() == [])


def test_an_empty_photo_is_refused(server, tab):
    assert tab.call("PUT", "/photos/style", b"") == (422, {"error": "the file is empty"})
    assert until(lambda: server.files() == [])


def test_hostile_masks_are_refused(tab, content, style):
    tab.give(content, style)
    assert tab.call("PUT", "/masks/content", bomb()) == (200, {"waiting": "style"})
    status, answer = tab.call("PUT", "/masks/style", HOSTILE["text"])
    assert status == 422 and answer["error"].startswith("content mask")


# ---- many at once


def test_more_tabs_than_allowed_are_refused(server):
    opened = []
    while len(opened) < 100:
        status, answer = server.call("POST", "/api/tabs")
        if status != 200:
            break
        opened.append(answer["tab"])
    assert status == 422 and answer["error"] == "32 tabs are open; close some of them" and len(opened) <= 32
    assert until(lambda: not list(server.folder.glob("*/tab-*"))), "tabs that nobody listens to stay open"


def test_a_hundred_uploads_at_once(server, tab, content):
    """Through sixteen tabs; each takes a few at a time."""
    tabs = [tab.path]
    for _ in range(15):
        tabs.append(f"/api/tabs/{server.call('POST', '/api/tabs')[1]['tab']}")
    photo = saved(np.random.default_rng(0).integers(0, 255, (700, 1000, 3), np.uint8), "PNG")

    def upload(number: int) -> int:
        path = f"{tabs[number % len(tabs)]}/photos/{'content' if number % 2 else 'style'}"
        return server.call("PUT", path, photo)[0]

    with ThreadPoolExecutor(100) as pool:
        statuses = list(pool.map(upload, range(100)))
    assert set(statuses) <= {200, 404, 429} and statuses.count(200) >= 16
    assert until(lambda: len(server.files()) <= 2, 20), "files of closed tabs stay"


def test_pages_that_leave_while_they_listen(server):
    tabs = [server.tab() for _ in range(10)]
    for each in tabs:
        each.close()
    assert until(lambda: not list(server.folder.glob("*/tab-*")), 15)


def test_a_download_that_nobody_reads(server, tab, content, style):
    tab.give(content, style)
    number = tab.result()["number"]
    for _ in range(5):
        with connect(server) as client:
            client.sendall(head(server, "GET", f"{tab.path}/results/{number}/file?format=tif&strength=0.5"))
    assert until(lambda: not [path for path in server.files() if path.suffix == ".tif"], 20)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the size of a process from /proc")
def test_memory_is_back_at_rest(server, tab):
    """After photos of six megapixels, which take more than 100 MB each while they are read."""
    photo = saved(np.random.default_rng(0).integers(0, 9, (2000, 3000), np.uint8), "PNG")
    tab.call("PUT", "/photos/content", photo)
    time.sleep(1.5)  # the worker gives memory back after a second without work
    before = server.resident()
    for _ in range(4):
        assert tab.call("PUT", "/photos/content", photo)[0] == 200
    time.sleep(1.5)
    assert server.resident() < before + 50 * 2**20
    assert len(server.files()) == 2, "files of replaced photos stay"


def test_nothing_is_left_of_closed_tabs(server, tab):
    tab.close()
    assert until(lambda: not list(server.folder.glob("*/tab-*")), 15)


def test_tabs_know_nothing_of_one_another(server, tab: Tab, content):
    tab.call("PUT", "/photos/content", content)
    assert server.tab().call("GET", "/photos/content/view")[0] == 404
