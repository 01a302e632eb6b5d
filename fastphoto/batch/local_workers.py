"""Workers on this machine: processes started anew, as many as its cores and its memory allow."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from fastphoto.batch.dispatch import Task, WorkerLost
from fastphoto.batch.jobs import Job
from fastphoto.batch.record import Entry
from fastphoto.batch.storage import is_url, local_path
from fastphoto.encoders.encoder import load_encoder
from fastphoto.optimisation.memory import transfer_bytes
from fastphoto.photos.resize import shrunk_size
from fastphoto.runtime.device import choose_device
from fastphoto.runtime.files import remove_unfinished
from fastphoto.runtime.memory import available_bytes

_IDLE_BYTES = 450 * 2**20  # memory of a process that has loaded PyTorch, both networks and a style, as measured
_BYTES_PER_PIXEL = 110  # of a photo that is decoded, recoloured at its full size and encoded, as measured
_USUAL_REGIONS = 5
_LOOKED_AT = 200  # photos whose size is read to find the largest
_WORKERS_OF_GPU = 4  # one process leaves a GPU idle for much of its time


class LocalWorker:
    """A process of this machine.

    Args:
        device: device of its transfers.
        threads: threads of its kernels.
        timeout: seconds for one photo, after which the process is killed; None: no limit. The start of the process
            does not count.
    """

    def __init__(self, device: str, threads: int, timeout: float | None = None) -> None:
        self._timeout = timeout
        command = [sys.executable, "-m", "fastphoto.batch.worker_process", device, str(threads)]
        # A session of its own: Ctrl-C and kill go to this process, which ends the workers.
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, start_new_session=True, env=_environment()
            )
        except OSError as error:
            raise WorkerLost(f"a process cannot be started ({error.strerror})") from error
        self._is_ready = False

    def run(self, task: Task) -> Entry:
        job, finished = task
        assert self._process.stdin is not None and self._process.stdout is not None
        late, answered = threading.Event(), threading.Event()
        timer = None if self._timeout is None else threading.Timer(self._timeout, self._kill, (late, answered))
        try:
            if not self._is_ready:
                self._is_ready = self._process.stdout.readline() == b"ready\n"
            if timer is not None:
                timer.start()
            line = json.dumps([job.as_dict(), finished], default=str).encode()
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            answered.set()
        except (OSError, ValueError):  # ValueError: closed by another thread
            answer = b""
        finally:
            if timer is not None:
                timer.cancel()
        if not answer.endswith(b"\n"):
            status = self._process.wait()
            if not is_url(job.output):
                remove_unfinished(os.path.dirname(local_path(job.output)) or ".", self._process.pid)
            how = f"no result after {self._timeout:g} s" if late.is_set() else _ending(status)
            raise WorkerLost(how)
        entry: Entry = json.loads(answer)
        return entry

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()

    def _kill(self, late: threading.Event, answered: threading.Event) -> None:
        if not answered.is_set():
            late.set()
            self._process.kill()


def _environment() -> dict[str, str]:
    """Return an environment in which the worker finds the same fastphoto as this process."""
    own = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([own, *(each for each in sys.path if each)])
    return os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}  # not what lies in the current folder


def _ending(status: int) -> str:
    if status >= 0:
        return f"the process ended with status {status}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
        return f"the process was ended by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    return f"the process was ended by signal {-status}"


def worker_devices(device: str, jobs: Sequence[Job], workers: int | None, threads: int | None) -> list[tuple[str, int]]:
    """Return the device and the number of threads of each worker.

    On CPUs, as many workers as there are cores for them and as fit into memory: nearly all work of a small photo runs
    on one core anyway. On GPUs, four to each.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:1".
        jobs: jobs, of which the largest photo decides.
        workers: number of workers; None: as above.
        threads: threads of each; None: the cores shared out.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chosen = choose_device(device)
    devices = [str(chosen)]
    if chosen.type == "cuda" and device in ("auto", "cuda"):
        devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if workers is None:
        if devices[0].startswith("cuda"):
            workers = _WORKERS_OF_GPU * len(devices)
        else:
            available = available_bytes()
            fitting = cores if available is None else available // worker_bytes(jobs)
            workers = max(1, min(cores // (threads or 1), fitting, len(jobs)))
    threads = threads or max(1, cores // workers)
    return [(devices[number % len(devices)], threads) for number in range(workers)]


def worker_bytes(jobs: Sequence[Job]) -> int:
    """Return an estimate of the peak memory of a worker in bytes, from the largest of some of the photos."""
    step = -(-len(jobs) // _LOOKED_AT) or 1
    largest = max((_bytes_of(job) for job in jobs[::step]), default=0)
    return _IDLE_BYTES + largest


def _bytes_of(job: Job) -> int:
    width, height = _size_of(job.content)
    small = shrunk_size((height, width), job.options.get("size", 700))
    of_transfer = transfer_bytes(small[0] * small[1], load_encoder("embedded"), job.settings(), _USUAL_REGIONS)
    return of_transfer + _BYTES_PER_PIXEL * width * height


def _size_of(path: str) -> tuple[int, int]:
    """Return the size of a photo, (width, height), from the head of its file; that of 12 megapixels if not at hand."""
    if not is_url(path):
        with contextlib.suppress(Exception), Image.open(local_path(path)) as image:
            return image.size
    return 4000, 3000
