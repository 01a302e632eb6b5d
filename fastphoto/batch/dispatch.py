"""The handing out of jobs to workers: one at a time to each, again to another where a worker is lost."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from fastphoto.batch.jobs import Job
from fastphoto.batch.record import Entry, Finished

Task = tuple[Job, Finished | None]

_LOOK_EVERY = 5.0  # seconds between two looks at whether there is room for more workers
_PAUSES = (1.0, 5.0, 20.0)  # seconds before a task is tried again because of its storage; the last ones all alike


class WorkerLost(Exception):
    """A worker ended, or was ended, before its job did; the message says how."""


class Worker(Protocol):
    """A process that does one job at a time."""

    def run(self, task: Task) -> Entry:
        """Do a job and return its entry; raises WorkerLost."""

    def close(self) -> None:
        """End the process, also in the middle of a job of another thread."""


class Dispatcher:
    """Hands tasks to workers and yields the entries in the order in which they come back.

    Args:
        tasks: the work; read one by one, when a worker is free.
        start_worker: function that starts a worker; called again where one is lost.
        count: number of workers at first.
        attempts: how often a task is tried. One that loses its worker each time costs no other task anything.
        room: function that returns for how many workers there is room by now; None: as many as at first.
    """

    def __init__(
        self,
        tasks: Iterator[Task],
        start_worker: Callable[[], Worker],
        count: int,
        attempts: int = 3,
        room: Callable[[], int] | None = None,
    ) -> None:
        self._tasks, self._start_worker, self._attempts, self._room = tasks, start_worker, attempts, room
        self._lock = threading.Lock()
        self._entries: queue.SimpleQueue[Entry | BaseException | None] = queue.SimpleQueue()
        self._workers: set[Worker] = set()
        self._stopped = self._exhausted = False
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._add_workers(count)

    def _add_workers(self, count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self._serve, daemon=True)
            self._threads.append(thread)
            thread.start()

    def __iter__(self) -> Iterator[Entry]:
        ended, looked = 0, time.monotonic()
        while ended < len(self._threads):
            if self._room is not None and time.monotonic() - looked >= _LOOK_EVERY and not self._exhausted:
                self._add_workers(self._room() - len(self._threads))
                looked = time.monotonic()
            try:
                entry = self._entries.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                continue
            if entry is None:
                ended += 1
            elif isinstance(entry, BaseException):
                raise entry
            else:
                yield entry

    def finish(self) -> None:
        """Hand out no more tasks; those that are being done end as usual."""
        with self._lock:
            self._exhausted = True

    def close(self) -> None:
        """End all workers, also in the middle of their jobs."""
        with self._lock:
            self._stopped = self._exhausted = True
            workers = list(self._workers)
        self._closing.set()
        for worker in workers:
            worker.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        """Do tasks with one worker at a time, until there are no more."""
        worker: Worker | None = None
        try:
            while (task := self._next()) is not None:
                for attempt in range(1, self._attempts + 1):
                    try:
                        worker = worker or self._started()
                        entry = worker.run(task)
                    except WorkerLost as lost:
                        if worker is not None:
                            self._forget(worker)
                            worker = None
                        if self._stopped:
                            return
                        message = f"its worker was lost {attempt} times ({lost})" if attempt > 1 else str(lost)
                        error = {"type": "WorkerLost", "message": message}
                        entry = task[0].as_dict() | {"status": "failed", "error": error, "transient": True}
                    entry["attempts"] = attempt
                    if not entry.pop("transient", False):
                        break
                    if worker is not None and attempt < self._attempts:  # it is there, so the storage failed
                        self._closing.wait(_PAUSES[min(attempt, len(_PAUSES)) - 1])
                self._entries.put(entry)
        except BaseException as error:
            self._entries.put(error)
        finally:
            if worker is not None:
                self._forget(worker)
            self._entries.put(None)

    def _next(self) -> Task | None:
        with self._lock:
            if self._exhausted:
                return None
            task = next(self._tasks, None)
            self._exhausted = task is None
            return task

    def _started(self) -> Worker:
        worker = self._start_worker()
        with self._lock:
            if not self._stopped:
                self._workers.add(worker)
                return worker
        worker.close()
        raise WorkerLost("the batch has ended")

    def _forget(self, worker: Worker) -> None:
        with self._lock:
            self._workers.discard(worker)
        worker.close()
