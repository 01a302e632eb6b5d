"""Waiting threads soon sleep; each case in a new process."""

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
    assert done.stdout.strip() == "[None, None]", "the environment changed, which child processes inherit"


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


COLLECTOR = "import gc; {before}import fastphoto; print(gc.isenabled(), gc.get_freeze_count() > 0)"


@pytest.mark.parametrize(
    ("before", "state"),
    [
        ("", "True False"),  # on again, and nothing hidden
        ("gc.disable(); ", "False False"),
        ("gc.freeze(); ", "True True"),  # what the host has hidden stays so
    ],
)
def test_the_garbage_collector_is_as_before(before, state):
    assert run(COLLECTOR.format(before=before)).stdout.strip() == state


def test_the_command_hides_its_modules_from_the_collector_and_a_call_in_a_host_does_not():
    hidden = "import gc, sys; from fastphoto.cli.command import main; {call}; print(gc.get_freeze_count() > 0)"
    words = "['info']"
    own = hidden.format(call=f"sys.argv[1:] = {words}; main()")
    assert run(own).stdout.splitlines()[-1] == "True"
    assert run(hidden.format(call=f"main({words})")).stdout.splitlines()[-1] == "False"
