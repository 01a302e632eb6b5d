"""Freed memory is returned to the system, or kept if asked for; each case in a new process."""

from __future__ import annotations

import subprocess
import sys

import pytest


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


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's C library is on Linux")
def test_freed_memory_is_returned_by_default():
    assert bytes_returned("") >= 3 * 4 << 24


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's C library is on Linux")
def test_freed_memory_is_not_returned_if_asked_for():
    assert bytes_returned("fastphoto.keep_freed_memory()") == 0
