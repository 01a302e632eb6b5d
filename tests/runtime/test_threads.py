"""What fastphoto asks of its process: patient threads, and freed memory kept. Each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="GNU's libraries are on Linux")


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    # The OpenMP library then says what it took from the environment.
    return subprocess.run(
        [sys.executable, "-c", script],
        env=kept | {"OMP_DISPLAY_ENV": "VERBOSE"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )


SHOW = "import os; print([os.environ.get(n) for n in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')])"


@linux
def test_threads_sleep_where_they_wait():
    done = run(f"import fastphoto; {SHOW}")
    assert "GOMP_SPINCOUNT = '10000'" in done.stderr
    assert done.stdout.strip() == "[None, None]", "child processes must not inherit it"


@linux
def test_what_the_user_chose_stays():
    done = run(f"import fastphoto; {SHOW}", GOMP_SPINCOUNT="77")
    assert "GOMP_SPINCOUNT = '77'" in done.stderr and done.stdout.strip() == "['77', None]"
    done = run(f"import fastphoto; {SHOW}", OMP_WAIT_POLICY="ACTIVE")
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in done.stderr and "GOMP_SPINCOUNT = '10000'" not in done.stderr


@linux
def test_a_torch_that_is_loaded_already_is_left_alone():
    done = run(f"import torch, fastphoto; {SHOW}")
    assert "GOMP_SPINCOUNT = '10000'" not in done.stderr and done.stdout.strip() == "[None, None]"


@linux
@pytest.mark.parametrize("kept", [False, True])
def test_freed_memory_is_kept_only_when_asked_for(kept):
    # By the address space and not by page faults, for the system may take idle pages away at any time.
    script = f"""
import resource, fastphoto.runtime.threads as process, torch
if {kept}: process.keep_freed_memory()
def mapped(): return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
tensors = [torch.ones(1 << 24) for _ in range(3)]
held = mapped()
del tensors
print(held - mapped())
"""
    given_back = int(run(script).stdout)
    assert given_back == 0 if kept else given_back >= 3 * 4 << 24
