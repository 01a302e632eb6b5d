"""Known weight files: the cache, and downloads from a server on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from fastphoto.encoders import download, weights
from fastphoto.encoders.download import KNOWN, cache_folder, find_cached
from fastphoto.encoders.weights import load_weights
from fastphoto.errors import FastPhotoError, FileError


def vgg_file(path):
    """A VGG-19 of one narrow layer at `path`."""
    torch.save({"features.0.weight": torch.randn(4, 3, 3, 3), "features.0.bias": torch.zeros(4)}, path)


def test_a_known_name_with_other_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path))
    assert find_cached("vgg19") is None
    vgg_file(tmp_path / "vgg19-dcbb9e9d.pth")
    assert find_cached("vgg19") == tmp_path / "vgg19-dcbb9e9d.pth"
    with pytest.raises(FileError, match="expected dcbb9e9dad569fff"):
        load_weights("vgg19")
    with pytest.raises(FileError, match="expected dcbb9e9dad569fff"):
        load_weights("vgg19", tmp_path / "vgg19-dcbb9e9d.pth")
    (tmp_path / "vgg19-d01eb7cb.pth").touch()
    assert find_cached("vgg19").name == "vgg19-d01eb7cb.pth", "the paper's own file goes first"


def test_table_of_known_files():
    for known in KNOWN:
        assert len(known.sha256) in (8, 64) and int(known.sha256, 16)
        assert known.url.startswith("https://") and known.licence
        digits = known.name.removesuffix(".pth").split("-")[-1]
        if len(digits) == 8:
            assert known.sha256.startswith(digits)


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("FASTPHOTO_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "fastphoto"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / "home" / ".cache" / "fastphoto"
    code = "import os; os.environ.clear(); from fastphoto.encoders.download import cache_folder; print(cache_folder())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_absolute()


class Server(http.server.ThreadingHTTPServer):
    """Serves one body under every path; `claim` overrides its Content-Length, `status` its status."""

    def __init__(self, body, claim=None, status=200):
        self.body, self.claim, self.status, self.requests = body, claim, status, 0
        self.asked = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        self.server.asked.wait(0.2)  # time for a second caller to come by
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.claim or len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def body(tmp_path):
    vgg_file(tmp_path / "served")
    return (tmp_path / "served").read_bytes()


def known_at(server, body, **changes):
    url = f"http://127.0.0.1:{server.server_port}/file.pth"
    digest = hashlib.sha256(body).hexdigest()
    return dataclasses.replace(KNOWN[0], url=url, sha256=digest, size=None, **changes)


def test_download_verify_and_read(tmp_path, body, monkeypatch):
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path / "new" / "cache"))
    weight = torch.load(tmp_path / "served", weights_only=True)["features.0.weight"]
    seen = []
    with Server(body) as server:
        known = known_at(server, body)
        monkeypatch.setattr(download, "KNOWN", (known,))
        monkeypatch.setattr(weights, "KNOWN", (known,))
        for _ in range(2):
            read = load_weights("vgg19", progress=lambda *event: seen.append(event))
        assert server.requests == 1
    assert torch.equal(read.convolutions["conv1_1"][0], weight)
    assert (read.source, read.licence, read.pooling) == (known.source, known.licence, "max_ceil")
    assert seen[-1] == (known.name, len(body), len(body))
    assert find_cached("vgg19").read_bytes() == body
    # The server is gone: from here on the cache alone must do.
    assert torch.equal(load_weights("vgg19").convolutions["conv1_1"][0], weight)


def test_two_threads_download_once(tmp_path, body):
    with Server(body) as server:
        known, got = known_at(server, body), []
        threads = [
            threading.Thread(target=lambda: got.append(download.download_weights(known, tmp_path / "cache")))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert got == [tmp_path / "cache" / known.name] * 2
        assert server.requests == 1
    assert got[0].read_bytes() == body
    assert not list((tmp_path / "cache").glob("*.part"))


def test_wrong_bytes_never_take_the_name(tmp_path, body):
    wrong = bytes([body[0] ^ 1]) + body[1:]
    with Server(wrong) as server:
        known = known_at(server, body)
        with pytest.raises(FileError, match=f"expected {known.sha256}"):
            download.download_weights(known, tmp_path / "cache")
    assert not (tmp_path / "cache" / known.name).exists()
    assert (tmp_path / "cache" / f"{known.name}.rejected").read_bytes() == wrong


@pytest.mark.parametrize(("options", "said"), [({"claim": 10**9}, "of 1000000000"), ({"status": 404}, "Not Found")])
def test_failed_download_says_how_to_go_on(tmp_path, body, options, said):
    with Server(body, **options) as server:
        known = known_at(server, body)
        with pytest.raises(FileError) as error:
            download.download_weights(known, tmp_path / "cache")
    text = str(error.value)
    assert said in text and known.url in text and known.sha256 in text
    assert str(tmp_path / "cache" / known.name) in text and "\n" not in text
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [f"{known.name}.lock"]


def test_no_network_says_how_to_go_on(tmp_path, body):
    with Server(body) as server:
        known = known_at(server, body)
    with pytest.raises(FastPhotoError, match="refused"):
        download.download_weights(known, tmp_path)


def test_cache_that_cannot_be_written(tmp_path, body):
    (tmp_path / "file").write_text("in the way")
    with Server(body) as server:
        known = known_at(server, body)
        with pytest.raises(FileError, match="cannot be downloaded"):
            download.download_weights(known, tmp_path / "file" / "cache")
        assert server.requests == 0
