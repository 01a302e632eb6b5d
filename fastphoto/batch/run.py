"""transfer_many(): run a batch of jobs on an engine, and record what became of each photo."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal, get_args

from fastphoto.batch.dispatch import Dispatcher, Task
from fastphoto.batch.jobs import FILES, Job, check_jobs
from fastphoto.batch.local_workers import LocalWorker, worker_devices
from fastphoto.batch.photo_job import prepared_session
from fastphoto.batch.ray_workers import RayCluster
from fastphoto.batch.record import Entry, Record, opened_record
from fastphoto.batch.storage import is_url, local_path, read_bytes
from fastphoto.errors import InputError
from fastphoto.runtime.device import choose_device
from fastphoto.runtime.files import remove_unfinished

Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class BatchProgress:
    """The state of a batch after a photo, as its callback receives it."""

    entry: Entry
    """What became of the photo; see docs/batch.md."""
    total: int
    """Photos of the batch."""
    done: int = 0
    """Photos that have a new result."""
    unchanged: int = 0
    """Photos that an earlier run had done."""
    failed: int = 0
    """Photos that have none."""
    seconds: float = 0.0
    """Seconds since the batch began."""

    @property
    def rate(self) -> float:
        """New results a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end if the other photos are like those so far; None before the first."""
        seen = self.done + self.unchanged + self.failed
        return (self.total - seen) * self.seconds / seen if seen else None


@dataclass(frozen=True)
class BatchSummary:
    """What became of a batch."""

    done: int
    unchanged: int
    failures: tuple[Entry, ...]
    """Entries of the photos that failed."""
    seconds: float


BatchCallback = Callable[[BatchProgress], bool | None]
"""Receives a `BatchProgress` after each photo; returning True ends the batch after the photos that are in work."""


def transfer_many(
    jobs: Iterable[Job | Mapping[str, Any]],
    *,
    record: str | os.PathLike[str] | None = None,
    engine: Engine = "local",
    address: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    attempts: int = 3,
    timeout: float | None = None,
    force: bool = False,
    fail_fast: bool = False,
    callback: BatchCallback | None = None,
    **options: Any,
) -> BatchSummary:
    """Transfer looks to many photos, in several processes, each with its styles prepared once.

    Results are written whole or not at all. A photo that fails, or whose process dies, costs no other photo anything.

    Args:
        jobs: `Job`s, or mappings with the fields of one; `fastphoto.batch.find_jobs` and `read_manifest` make them.
        record: JSON Lines file with an entry for each photo. A later run with the same file leaves out the photos whose
            content, style, masks and options have not changed and whose result is there. None: no record.
        engine: "local" starts processes on this machine, "ray" actors on a Ray cluster (`pip install fastphoto[ray]`),
            whose machines must have fastphoto and reach the files.
        address: address of the Ray cluster, which implies engine="ray"; None: start one on this machine.
        workers: number of processes; None: as many as cores and memory, or the cluster, have room for.
        threads: threads of each process; None: the cores shared out, on Ray one.
        device: device of local transfers: "auto" (all GPUs, or else the CPU), "cpu", "cuda:1", ...
        attempts: how often a photo is tried whose process dies, or whose storage fails.
        timeout: seconds for one photo, after which its process is ended; None: no limit.
        force: do all photos anew, also those that an earlier run has done.
        fail_fast: hand out no more photos after the first that fails.
        callback: function that receives a `BatchProgress` after each photo.
        options: options of `fastphoto.transfer` for all jobs, such as size=350; those of a job come first.

    Returns:
        How many photos were done, and the entries of those that failed.

    Raises:
        InputError: jobs or arguments that cannot be used, or a record that another run is writing.
        FileError: the record cannot be written.
        FastPhotoError: the cluster cannot be reached, or is lost.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, colour in (("day", "teal"), ("dusk", "orange")):
        ...         Image.new("RGB", (48, 32), colour).save(f"{folder}/{name}.png")
        ...     job = {"content": f"{folder}/day.png", "style": f"{folder}/dusk.png", "output": f"{folder}/out/day.png"}
        ...     summary = transfer_many([job], steps=0, record=f"{folder}/record.jsonl")
        ...     again = transfer_many([job], steps=0, record=f"{folder}/record.jsonl")
        >>> summary.done, again.done, again.unchanged
        (1, 0, 1)
    """
    ready = [_job(job, options) for job in jobs]
    check_jobs(ready)
    engine = "ray" if address is not None else engine
    _check_arguments(engine, workers, threads, attempts, timeout)
    device = str(device)
    if engine == "ray" and device != "auto":
        raise InputError("device: on a Ray cluster it is the machines' own; leave it out")
    choose_device(device)  # what no photo could do with is refused once, and not for each
    if len({(job.style, job.style_mask, repr(job.options)) for job in ready}) == 1:
        first = ready[0]
        mask = None if first.style_mask is None else read_bytes(first.style_mask)
        prepared_session(first, read_bytes(first.style), mask, "cpu")
    for folder in {os.path.dirname(local_path(job.output)) or "." for job in ready if not is_url(job.output)}:
        remove_unfinished(folder)
    begun = time.monotonic()
    progress = BatchProgress({}, len(ready))
    failures: list[Entry] = []
    with ExitStack() as stack:
        kept = stack.enter_context(nullcontext() if record is None else opened_record(record))
        tasks = _tasks(ready, None if force else kept)
        dispatcher = stack.enter_context(
            _dispatched(tasks, ready, engine, address, workers, threads, device, attempts, timeout)
        )
        for entry in dispatcher:
            status = entry["status"]
            if kept is not None and status != "unchanged":
                kept.add(entry)
            if status == "failed":
                failures.append(entry)
            counts = {status: getattr(progress, status) + 1, "seconds": time.monotonic() - begun}
            progress = replace(progress, entry=entry, **counts)
            stopped = callback is not None and bool(callback(progress))
            if stopped or (fail_fast and failures):
                dispatcher.finish()
    return BatchSummary(progress.done, progress.unchanged, tuple(failures), time.monotonic() - begun)


def _job(job: Job | Mapping[str, Any], options: Mapping[str, Any]) -> Job:
    if isinstance(job, Job):
        return _from_anywhere(replace(job, options={**options, **job.options}))
    if not isinstance(job, Mapping):
        raise InputError(f"jobs: must be fastphoto.batch.Job or mappings, got {type(job).__name__}")
    try:
        return _from_anywhere(Job(**{**job, "options": {**options, **job.get("options", {})}}))
    except TypeError as error:
        raise InputError(f"jobs: {error}") from None


def _from_anywhere(job: Job) -> Job:
    """Return a job whose paths do not depend on the current folder, which is another one in a worker."""

    def absolute(path: str | None) -> str | None:
        return path if path is None or is_url(path) else os.path.abspath(local_path(path))

    weights = job.options.get("weights")
    options = job.options if weights is None else {**job.options, "weights": os.path.abspath(weights)}
    files: dict[str, Any] = {name: absolute(getattr(job, name)) for name in FILES}
    return replace(job, options=options, **files)


def _tasks(jobs: Iterable[Job], record: Record | None) -> Iterator[Task]:
    return ((job, None if record is None else record.finished(job.output)) for job in jobs)


@contextmanager
def _dispatched(
    tasks: Iterator[Task],
    jobs: list[Job],
    engine: Engine,
    address: str | None,
    workers: int | None,
    threads: int | None,
    device: str,
    attempts: int,
    timeout: float | None,
) -> Iterator[Dispatcher]:
    """Yield a dispatcher with its workers; they end with the block."""
    with ExitStack() as stack:
        if engine == "ray":
            cluster = RayCluster(address, threads or 1, timeout)
            stack.callback(cluster.close)
            most = min(len(jobs), workers or len(jobs))
            cluster.ask_for(most)

            def room() -> int:
                return min(most, cluster.room())

            dispatcher = Dispatcher(tasks, cluster.start_worker, room(), attempts, room)
        else:
            devices = worker_devices(device, jobs, workers, threads)
            turns = itertools.cycle(devices)
            count = min(len(jobs), len(devices))
            dispatcher = Dispatcher(tasks, lambda: LocalWorker(*next(turns), timeout), count, attempts)
        stack.callback(dispatcher.close)
        yield dispatcher


def _check_arguments(
    engine: str, workers: int | None, threads: int | None, attempts: int, timeout: float | None
) -> None:
    if engine not in get_args(Engine):
        raise InputError(f"engine: must be one of {', '.join(get_args(Engine))}, got {engine!r}")
    for name, value in (("workers", workers), ("threads", threads), ("attempts", attempts)):
        if value is None and name != "attempts":
            continue
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise InputError(f"{name}: must be a whole number of 1 or more, got {value!r}")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, Real) or not 0 < timeout < 1e9):
        raise InputError(f"timeout: must be seconds above 0, got {timeout!r}")
