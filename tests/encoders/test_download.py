"""Known weight files: their table, the cache folder, and downloads from a server on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from fastphoto.encoders import download
from fastphoto.encoders.download import (
    KNOWN,
    KnownFile,
    cache_folder,
    download_weights,
    find_cached,
    known_by_name,
    known_by_sha256,
    known_files,
    watched_downloads,
)
from fastphoto.encoders.weights import load_weights
from fastphoto.errors import FastPhotoError, FileError, InputError


def save_vgg19(path):
    """Write a VGG-19 of one narrow layer."""
    torch.save({"features.0.weight": torch.randn(4, 3, 3, 3), "features.0.bias": torch.zeros(4)}, path)


# ---- the table of known files


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_an_entry_of_the_table_is_complete(known):
    assert len(known.sha256) in (8, 64) and int(known.sha256, 16)
    assert known.displayed_sha256.startswith(known.sha256)
    assert known.url.startswith("https://") and known.licence and known.source
    assert known in known_files(known.encoder)
    assert known_by_name(known.name) == known
    assert known_by_sha256(known.sha256.ljust(64, "0")) == known


@pytest.mark.parametrize("digits", ["d01eb7cb", "dcbb9e9d"])
def test_digits_in_a_file_name_are_those_of_its_sha256(digits):
    known = known_by_name(f"vgg19-{digits}.pth")
    assert known is not None and known.sha256.startswith(digits)


def test_unknown_files():
    assert known_by_name("vgg19.pth") is None and known_by_sha256("0" * 64) is None
    with pytest.raises(InputError, match=r"'resnet'.*'vgg19' or 'vgg19-16x'"):
        known_files("resnet")


# ---- the cache folder


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("FASTPHOTO_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "fastphoto"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / "home" / ".cache" / "fastphoto"


def test_cache_folder_without_an_environment():
    code = "import os; os.environ.clear(); from fastphoto.encoders.download import cache_folder; print(cache_folder())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_absolute()


def test_cache_folder_without_a_home_folder(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("FASTPHOTO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder().name == "fastphoto"


def test_the_papers_own_file_is_preferred(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path))
    assert find_cached("vgg19") is None
    for name in ("vgg19-dcbb9e9d.pth", "vgg19-d01eb7cb.pth"):
        (tmp_path / name).touch()
        assert find_cached("vgg19") == tmp_path / name


@pytest.mark.parametrize("by_path", [False, True], ids=["cached", "by path"])
def test_other_bytes_under_a_known_name_are_refused(tmp_path, monkeypatch, by_path):
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path))
    save_vgg19(tmp_path / "vgg19-dcbb9e9d.pth")
    with pytest.raises(FileError, match="expected dcbb9e9dad569fff"):
        load_weights("vgg19", tmp_path / "vgg19-dcbb9e9d.pth" if by_path else None)


# ---- downloads


class Server(http.server.ThreadingHTTPServer):
    """Serves one body under every path; `claim` overrides its Content-Length, `status` its status."""

    def __init__(self, body, claim=None, status=200):
        self.body, self.claim, self.status, self.requests = body, claim, status, 0
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        time.sleep(0.2)  # time for a second caller to arrive
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.claim or len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def body(tmp_path):
    save_vgg19(tmp_path / "served")
    return (tmp_path / "served").read_bytes()


def known_at(server, body) -> KnownFile:
    """The paper's file, as if it had this body and lay on this server."""
    url = f"http://127.0.0.1:{server.server_port}/file.pth"
    return dataclasses.replace(KNOWN[0], url=url, sha256=hashlib.sha256(body).hexdigest(), size=None)


def test_weights_are_downloaded_once_and_verified_and_read(tmp_path, body, monkeypatch):
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path / "new" / "cache"))
    weight = torch.load(tmp_path / "served", weights_only=True)["features.0.weight"]
    events = []
    with Server(body) as server:
        known = known_at(server, body)
        monkeypatch.setattr(download, "KNOWN", (known,))
        for _ in range(2):
            read = load_weights("vgg19", progress=lambda *event: events.append(event))
        assert server.requests == 1
    assert torch.equal(read.convolutions["conv1_1"][0], weight)
    assert (read.source, read.licence, read.pooling) == (known.source, known.licence, "max_ceil")
    assert events[-1] == (known.name, len(body), len(body))
    assert find_cached("vgg19").read_bytes() == body
    assert torch.equal(load_weights("vgg19").convolutions["conv1_1"][0], weight), "not read from the cache alone"


def test_watched_downloads_report_unless_the_caller_asked_for_reports(tmp_path, body):
    watched, own = [], []
    with Server(body) as server, watched_downloads(lambda *event: watched.append(event)):
        known = known_at(server, body)
        download_weights(known, tmp_path / "first")
        assert watched[-1] == (known.name, len(body), len(body))
        watched.clear()
        download_weights(known, tmp_path / "second", progress=lambda *event: own.append(event))
        assert own and not watched


def test_two_threads_download_once(tmp_path, body):
    with Server(body) as server:
        known, paths = known_at(server, body), []
        threads = [
            threading.Thread(target=lambda: paths.append(download_weights(known, tmp_path / "cache"))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert paths == [tmp_path / "cache" / known.name] * 2
        assert server.requests == 1
    assert paths[0].read_bytes() == body
    assert not list((tmp_path / "cache").glob("*.part"))


def test_systems_without_file_locks_download_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "fcntl", None)
    with download._lock(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()


def test_wrong_bytes_never_take_the_name(tmp_path, body):
    wrong = bytes([body[0] ^ 1]) + body[1:]
    with Server(wrong) as server:
        known = known_at(server, body)
        with pytest.raises(FileError, match=f"expected {known.sha256}"):
            download_weights(known, tmp_path / "cache")
    assert not (tmp_path / "cache" / known.name).exists()
    assert (tmp_path / "cache" / f"{known.name}.rejected").read_bytes() == wrong


@pytest.mark.parametrize(
    ("options", "reason"), [({"claim": 10**9}, "of 1000000000"), ({"status": 404}, "Not Found")], ids=["short", "404"]
)
def test_a_failed_download_says_how_to_go_on(tmp_path, body, options, reason):
    with Server(body, **options) as server:
        known = known_at(server, body)
        with pytest.raises(FileError) as error:
            download_weights(known, tmp_path / "cache")
    text = str(error.value)
    assert reason in text and known.url in text and known.sha256 in text
    assert str(tmp_path / "cache" / known.name) in text and "\n" not in text
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [f"{known.name}.lock"]


def test_a_refused_connection_is_an_error_of_the_package(tmp_path, body):
    with Server(body) as server:
        known = known_at(server, body)
    with pytest.raises(FastPhotoError, match="refused"):
        download_weights(known, tmp_path)


def test_a_cache_that_cannot_be_written_is_noticed_before_the_download(tmp_path, body):
    (tmp_path / "file").write_text("in the way")
    with Server(body) as server:
        known = known_at(server, body)
        with pytest.raises(FileError, match="cannot be downloaded"):
            download_weights(known, tmp_path / "file" / "cache")
        assert server.requests == 0
