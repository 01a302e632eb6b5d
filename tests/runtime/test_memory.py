"""Free memory on every kind of system, and photos that would not fit: refused before they are decoded."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from rendered_photos import day

from fastphoto.errors import FileError
from fastphoto.photos.read import read_photo
from fastphoto.runtime import memory
from fastphoto.runtime.memory import available_bytes


def test_available_bytes_is_unknown_or_a_plausible_number():
    available = available_bytes()
    assert available is None or 1 << 20 < available < 1 << 45


def test_a_gpu_has_its_free_memory_and_what_torch_holds_unused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    assert available_bytes("cuda") == 1200


def test_a_control_group_has_its_limit_and_what_it_caches(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("3000\n")
    (tmp_path / "memory.stat").write_text("anon 10\ninactive_file 400\n")
    monkeypatch.setattr(memory, "Path", lambda name: tmp_path if "cgroup" in name else tmp_path / "nothing")
    assert available_bytes() == 2400


def test_available_bytes_is_unknown_if_the_system_does_not_say(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "Path", lambda name: tmp_path / "nothing")
    assert available_bytes() is None


def test_a_photo_that_does_not_fit_is_not_decoded(monkeypatch, tmp_path):
    Image.fromarray(day(160, 240).array).save(tmp_path / "p.png")
    monkeypatch.setattr(memory, "available_bytes", lambda device="cpu": 240 * 160 * 20)
    with pytest.raises(FileError, match="p.png: 240x160 pixels need about"):
        read_photo(tmp_path / "p.png")
