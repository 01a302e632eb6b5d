"""Free memory on every kind of system, photos that do not fit into it, and the return of freed memory."""

from __future__ import annotations

import subprocess
import sys

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


# Freed memory, each case in a new process

needs_gnu = pytest.mark.skipif(sys.platform != "linux", reason="GNU's C library is on Linux")


def bytes_returned(setup: str) -> int:
    """Return how much of 192 MiB of freed tensors goes back to the system, by the size of the address space.

    The resident size would not do: the system may take idle pages away at any time.
    """
    script = f"""
import resource, fastphoto, torch
{setup}
def mapped(): return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
tensors = [torch.ones(1 << 24) for _ in range(3)]
allocated = mapped()
del tensors
print(allocated - mapped())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(done.stdout)


@needs_gnu
def test_freed_memory_is_returned_by_default():
    assert bytes_returned("") >= 3 * 4 << 24


@needs_gnu
def test_freed_memory_is_not_returned_if_asked_for():
    assert bytes_returned("fastphoto.keep_freed_memory()") == 0


@needs_gnu
def test_memory_that_was_kept_can_be_returned():
    """By the resident size: pages in the middle are returned, and stay mapped."""
    script = """
import resource, fastphoto, torch
from fastphoto.runtime.memory import return_freed_memory
def resident(): return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
fastphoto.keep_freed_memory()
tensors = [torch.ones(1 << 24) for _ in range(3)]
allocated = resident()
del tensors
return_freed_memory()
print(allocated - resident())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 2 * 4 << 24
