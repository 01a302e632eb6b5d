"""The work of a batch on one photo, in whichever process a worker runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastphoto.batch.jobs import Job
from fastphoto.batch.record import Entry, Finished
from fastphoto.batch.storage import StorageError, file_size, read_bytes, write_bytes
from fastphoto.errors import FastPhotoError, FastPhotoWarning
from fastphoto.ops.library import build_info
from fastphoto.photos.formats import WRITE_FORMATS
from fastphoto.photos.read import read_photo
from fastphoto.photos.write import encode_photo
from fastphoto.regions.look import is_look, read_look
from fastphoto.runtime.memo import Memo
from fastphoto.runtime.memory import keep_freed_memory
from fastphoto.session import Session

_SESSIONS = 4  # styles that are kept prepared
_OF_CALL = ("deadline", "at_deadline")


class PhotoJobs:
    """Does jobs one after another, and keeps the styles of the last ones prepared.

    Args:
        device: device of the transfers.
        threads: threads of the kernels in this process.
    """

    def __init__(self, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        keep_freed_memory()
        self._device = device
        self._sessions = Memo(_SESSIONS)

    def run(self, job: Job, finished: Finished | None) -> Entry:
        """Return what became of a photo; only failures of the machine raise.

        Args:
            job: what to do.
            finished: what an earlier run recorded of the same output. If its key is still that of the job, and the
                result is still there, nothing is done.
        """
        begun = time.perf_counter()
        entry: Entry = job.as_dict() | {"status": "failed", "version": build_info()["version"]}
        _forget_peak()
        with _messages(entry):
            try:
                self._do(job, finished, entry)
            except FastPhotoError as error:
                entry["error"] = {"type": type(error).__name__, "message": str(error)}
                entry["transient"] = isinstance(error, StorageError)
            except MemoryError:
                entry["error"] = {"type": "MemoryError", "message": "not enough memory; use a smaller size"}
            except Exception as error:
                entry["error"] = {"type": type(error).__name__, "message": str(error)}
                entry["error"]["traceback"] = traceback.format_exc()
        entry["seconds"] = round(time.perf_counter() - begun, 3)
        entry["peak_memory"] = _peak()
        entry["finished"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return entry

    def _do(self, job: Job, finished: Finished | None, entry: Entry) -> None:
        data = read_bytes(job.content)
        mask = None if job.content_mask is None else read_bytes(job.content_mask)
        session, style_hashes = self._session(job)
        hashes = {"content": _hash(data), "content_mask": None if mask is None else _hash(mask)}
        hashes |= dict(zip(("style", "style_mask"), style_hashes, strict=True))
        entry["sha256"] = hashes
        settings = [asdict(session.settings), session.size, session.seed, _of_call(job)]
        named = {"encoder": "embedded", **job.options}
        named = {name: named.get(name) for name in ("regions", "segmentation_model", "encoder", "weights")}
        entry["key"] = _hash(json.dumps(_plain([hashes, settings, named]), sort_keys=True, default=str).encode())
        if finished is not None and finished.key == entry["key"] and file_size(job.output) == finished.size:
            entry["status"] = "unchanged"
            return
        photo = read_photo(data, job.content)
        pixels: Tensor = session(photo, mask, **_of_call(job))
        file_format = WRITE_FORMATS[os.path.splitext(job.output)[1].lower()]
        result = encode_photo(photo, pixels, file_format, job.output)
        write_bytes(job.output, result)
        entry |= {"status": "done", "bytes": len(result), "device": str(session.device)}
        entry["size"] = list(photo.size)
        hashes["output"] = _hash(result)

    def _session(self, job: Job) -> tuple[Session, tuple[str, str | None]]:
        """Return the session of the job's style and options, and the hashes of the style and its mask."""

        def prepare() -> tuple[Session, tuple[str, str | None]]:
            style = read_bytes(job.style)
            mask = None if job.style_mask is None else read_bytes(job.style_mask)
            session = prepared_session(job, style, mask, self._device)
            return session, (_hash(style), None if mask is None else _hash(mask))

        key = json.dumps([job.style, job.style_mask, _of_session(job)], sort_keys=True, default=str)
        return self._sessions.get(key, prepare)


def prepared_session(job: Job, style: bytes, style_mask: bytes | None, device: str) -> Session:
    """Return the session of a job, from the content of its style's files.

    Raises:
        InputError: the style, its mask or the options cannot be used.
        FileError: the style or its mask is no picture.
    """
    source = read_look(style, job.style) if is_look(job.style) else read_photo(style, job.style)
    return Session(source, style_mask, device=device, **_of_session(job))


def _of_session(job: Job) -> dict[str, Any]:
    return {name: value for name, value in job.options.items() if name not in _OF_CALL}


def _of_call(job: Job) -> dict[str, Any]:
    return {name: job.options[name] for name in _OF_CALL if name in job.options}


def _plain(value: Any) -> Any:
    """Return a value in which equal numbers and equal sequences are of one type."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def _messages(entry: Entry) -> Iterator[None]:
    """Keep the warnings and remarks of fastphoto in the entry."""
    entry["warnings"], entry["remarks"] = [], []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            entry["remarks"].append(record.getMessage())

    logger, keep = logging.getLogger("fastphoto"), Keep()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(keep)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", FastPhotoWarning)
        try:
            yield
        finally:
            entry["warnings"] += [str(each.message) for each in caught]
            logger.removeHandler(keep)
            logger.setLevel(level)
            logger.propagate = propagate


def _forget_peak() -> None:
    """Let `_peak` count from now on, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def _peak() -> Mapping[str, int]:
    """Return the largest memory of this process and of its GPU since `_forget_peak`, in bytes."""
    peak = {}
    with contextlib.suppress(OSError):
        match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if match:
            peak["cpu"] = int(match[1]) * 1024
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        peak["cuda"] = torch.cuda.max_memory_allocated()
    return peak
