"""Transfers in forked processes, and what child processes of other kinds, threads and preloading servers do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastphoto.errors import FastPhotoError
from fastphoto.runtime.forks import call_in_progress

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

ROOT = Path(__file__).parents[2]
START = f"""
import hashlib, multiprocessing, os, sys, threading
sys.path[:0] = {[str(ROOT), str(ROOT / "tests/support")]}
import fastphoto
import torch
from rendered_photos import day, dusk

torch.set_num_threads(2)
options = dict(size=64, scales=1.0, steps=1, regions="none")  # enough for parallel work


def digest(_=None):
    result = fastphoto.transfer(day().pixels, dusk().pixels, **options)
    return hashlib.sha256(result.numpy().tobytes()).hexdigest()


def forked(work):
    # Return what the work prints in a child.
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            os.write(writing, str(work()).encode())
        except Exception as error:
            os.write(writing, (type(error).__name__ + ": " + str(error)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        return file.read()
"""


def run(script: str) -> str:
    """What the script prints; fails where it does not end within ten minutes, so where it hangs."""
    done = subprocess.run([sys.executable, "-c", START + script], capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_child_of_a_process_that_has_computed():
    assert (
        run("""
alone = digest()
assert torch.get_num_threads() == 2
for _ in range(3):
    assert forked(digest) == alone, "a child"
assert forked(lambda: forked(digest)) == alone, "a child's child"
assert forked(lambda: torch.get_num_threads()) == "2", "a child computes with as many threads"
assert digest() == alone, "the parent, after its forks"
print("done")
""")
        == "done"
    )


def test_a_child_of_a_process_that_has_only_imported():  # a server that loads the program before it forks workers
    assert (
        run("""
children = [forked(digest) for _ in range(2)]
assert children == [digest()] * 2
print("done")
""")
        == "done"
    )


def test_a_child_that_is_forked_by_a_callback():
    assert (
        run("""
seen = []
def in_the_middle(progress):
    if progress.is_step:
        seen.append(forked(digest))
fastphoto.transfer(day().pixels, dusk().pixels, callback=in_the_middle, **options)
assert seen == [digest()]
print("done")
""")
        == "done"
    )


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_pools_of_processes(method, tmp_path):
    script = tmp_path / "pool.py"  # "spawn" imports the program again, which a command line is not
    script.write_text(
        f"{START}\nif __name__ == '__main__':\n    alone = digest()\n"
        f"    with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        "        assert pool.map(digest, range(4)) == [alone] * 4\n    print('done')\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == "done", done.stderr


def test_a_child_that_another_threads_call_could_block_says_so_at_once():
    assert (
        run("""
inside, end = threading.Event(), threading.Event()
def wait(progress):
    inside.set()
    end.wait()
thread = threading.Thread(target=lambda: fastphoto.transfer(day().pixels, dusk().pixels, callback=wait, **options))
thread.start()
inside.wait()
answer = forked(digest)
end.set()
thread.join()
assert answer.startswith("FastPhotoError: this process was forked while another thread ran fastphoto"), answer
assert "spawn" in answer and "\\n" not in answer
assert forked(digest) == digest(), "a fork after the other thread's call"
print("done")
""")
        == "done"
    )


def test_where_openmp_cannot_end_its_threads_a_child_computes_with_one_and_says_so():
    # GNU's OpenMP before version 9 lacks the function; an object without it takes the place of the loaded library.
    without = (
        "import ctypes, torch\n"
        "load = ctypes.CDLL\n"
        "ctypes.CDLL = lambda name: object() if name == torch._C.__file__ else load(name)\n"
    )
    script = """
alone = digest()
assert forked(lambda: (torch.get_num_threads(), digest())) == str((1, alone))
assert torch.get_num_threads() == 2, "the parent"
print("done")
"""
    done = subprocess.run([sys.executable, "-c", without + START + script], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == "done", done.stderr
    assert "forked process: PyTorch runs with one thread; for more, start processes by" in done.stderr


@pytest.mark.parametrize(
    "message",  # of PyTorch 2.13, which raises them only where there is a GPU
    [
        "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn'",
        "Unable to handle autograd's threading in combination with fork-based multiprocessing.\nSee https://github.com",
    ],
)
def test_what_pytorch_says_of_gpus_after_a_fork_is_one_line_with_the_way_out(message):
    expected = "forked from one that had used PyTorch with a GPU.*spawn"
    with pytest.raises(FastPhotoError, match=expected) as refused, call_in_progress():
        raise RuntimeError(message)
    assert "\n" not in str(refused.value)
    with pytest.raises(RuntimeError, match="something else"), call_in_progress():
        raise RuntimeError("something else")
