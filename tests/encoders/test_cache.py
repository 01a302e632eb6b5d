"""The cache of weight files on unusual systems: without a home folder, without file locks."""

from __future__ import annotations

from pathlib import Path

from fastphoto.encoders import download


def test_without_a_home_folder(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("FASTPHOTO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert download.cache_folder().name == "fastphoto"


def test_without_file_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "fcntl", None)
    with download._lock(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()
