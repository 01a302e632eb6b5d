"""Settings of the process, each tested in a new one: waiting threads soon sleep, freed memory is not returned."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="GNU's libraries are on Linux")

SHOW = "import os; print([os.environ.get(n) for n in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')])"


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    # OMP_DISPLAY_ENV makes the OpenMP library print the settings that it uses.
    return subprocess.run(
        [sys.executable, "-c", script],
        env=inherited | {"OMP_DISPLAY_ENV": "VERBOSE"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )


@linux
def test_waiting_threads_soon_sleep():
    done = run(f"import fastphoto; {SHOW}")
    assert "GOMP_SPINCOUNT = '10000'" in done.stderr
    assert done.stdout.strip() == "[None, None]", "child processes would inherit it"


@linux
def test_the_spin_count_of_the_user_stays():
    done = run(f"import fastphoto; {SHOW}", GOMP_SPINCOUNT="77")
    assert "GOMP_SPINCOUNT = '77'" in done.stderr and done.stdout.strip() == "['77', None]"


@linux
def test_the_wait_policy_of_the_user_stays():
    done = run(f"import fastphoto; {SHOW}", OMP_WAIT_POLICY="ACTIVE")
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in done.stderr and "GOMP_SPINCOUNT = '10000'" not in done.stderr


@linux
def test_a_torch_that_is_loaded_already_is_left_alone():
    done = run(f"import torch, fastphoto; {SHOW}")
    assert "GOMP_SPINCOUNT = '10000'" not in done.stderr and done.stdout.strip() == "[None, None]"


def bytes_returned(setup: str) -> int:
    """Return how much of 192 MiB of freed tensors goes back to the system, by the size of the address space.

    The resident size would not do: the system may take idle pages away at any time.
    """
    script = f"""
import resource, fastphoto.runtime.threads, torch
{setup}
def mapped(): return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
tensors = [torch.ones(1 << 24) for _ in range(3)]
allocated = mapped()
del tensors
print(allocated - mapped())
"""
    return int(run(script).stdout)


@linux
def test_freed_memory_is_returned_by_default():
    assert bytes_returned("") >= 3 * 4 << 24


@linux
def test_freed_memory_is_not_returned_if_asked_for():
    assert bytes_returned("fastphoto.runtime.threads.keep_freed_memory()") == 0
