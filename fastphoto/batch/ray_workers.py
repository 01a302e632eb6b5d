"""Workers on a Ray cluster: actors, one to a few cores or to a share of a GPU, wherever the cluster has room."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import socket
from typing import Any

from fastphoto.batch.dispatch import Task, WorkerLost
from fastphoto.batch.photo_job import PhotoJobs
from fastphoto.batch.record import Entry
from fastphoto.errors import FastPhotoError, InputError, error_text

_SHARE_OF_GPU = 0.25  # one process leaves a GPU idle for much of its time
_MOST_ASKED_FOR = 1000  # workers


class RayCluster:
    """A connection to a Ray cluster, for the length of a batch.

    Args:
        address: address of the cluster, "auto" for the one that runs on this machine; None: start one here.
        threads: cores of each worker.
        timeout: seconds for one photo; None: no limit.

    Raises:
        InputError: Ray is not installed.
        FastPhotoError: no cluster at the address.
    """

    def __init__(self, address: str | None, threads: int, timeout: float | None = None) -> None:
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError:
            raise InputError("the engine ray needs Ray: pip install fastphoto[ray]") from None
        self._ray, self._threads, self._timeout = ray, threads, timeout
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            _check_reachable(address)
            here = {"include_dashboard": False} if address is None else {}
            self._connected_before = ray.is_initialized()  # by the program that calls
            if not self._connected_before:
                ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **here)
        except Exception as error:
            where = "here" if address is None else f"at {address}"
            hint = "; a cluster with token authentication needs RAY_AUTH_MODE=token" if address else ""
            raise FastPhotoError(f"ray: no cluster {where} ({error_text(error)}){hint}") from error
        self._on_gpu = ray.cluster_resources().get("GPU", 0) > 0
        self._actor = ray.remote(PhotoJobs)

    def room(self) -> int:
        """Return for how many workers the cluster has room, used or not; at least one."""
        resources = self._ray.cluster_resources()
        count = resources.get("CPU", 1) // self._threads
        if self._on_gpu:
            count = min(count, resources.get("GPU", 0) // _SHARE_OF_GPU)
        return max(1, int(count))

    def ask_for(self, workers: int) -> None:
        """Tell the cluster's autoscaler, if it has one, how many workers could be busy, until `close`."""
        with contextlib.suppress(Exception):
            from ray.autoscaler.sdk import request_resources

            request_resources(bundles=[self._resources()] * min(workers, _MOST_ASKED_FOR))

    def start_worker(self) -> RayWorker:
        """Start an actor; it waits until the cluster has room."""
        resources = self._resources()
        actor = self._actor.options(
            num_cpus=resources["CPU"], num_gpus=resources.get("GPU", 0), max_restarts=0, max_concurrency=1
        ).remote("auto" if self._on_gpu else "cpu", self._threads)
        return RayWorker(self._ray, actor, self._timeout)

    def close(self) -> None:
        """Disconnect, which ends the workers; a cluster that was started here ends too."""
        self.ask_for(0)
        if not self._connected_before:
            self._ray.shutdown()

    def _resources(self) -> dict[str, float]:
        return {"CPU": self._threads} | ({"GPU": _SHARE_OF_GPU} if self._on_gpu else {})


class RayWorker:
    """An actor that does one job at a time."""

    def __init__(self, ray: Any, actor: Any, timeout: float | None) -> None:
        self._ray, self._actor, self._timeout = ray, actor, timeout

    def run(self, task: Task) -> Entry:
        try:
            entry: Entry = self._ray.get(self._actor.run.remote(*task), timeout=self._timeout)
            return entry
        except self._ray.exceptions.GetTimeoutError:
            raise WorkerLost(f"no result after {self._timeout:g} s") from None
        except self._ray.exceptions.RayError as error:
            if not self._ray.is_initialized():
                raise FastPhotoError("ray: the cluster is lost; run the same again, and it goes on") from error
            raise WorkerLost(_first_sentence(error)) from error

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(self._actor)


def _check_reachable(address: str | None) -> None:
    """Raise OSError at once if nothing listens at the address HOST:PORT, where Ray would try for minutes."""
    if match := re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d+)", address or ""):
        socket.create_connection((match[1], int(match[2])), timeout=10).close()


def _first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].split(". ")[0] if str(error).strip() else type(error).__name__
