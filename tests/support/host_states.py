"""States in which a program may have left PyTorch, NumPy, Pillow and Python when it calls fastphoto."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile

State = Callable[[], contextlib.AbstractContextManager[Any]]


def _written(read: Callable[[], Any], write: Callable[[Any], Any], value: Any) -> State:
    """A state that one function reads and another writes; a call must leave it as it was written."""

    @contextlib.contextmanager
    def state() -> Iterator[None]:
        before = read()
        write(value)
        written = read()
        try:
            yield
            assert read() == written, "the call changed the host's state"
        finally:
            write(before)

    return state


def _attribute(owner: Any, name: str, value: Any) -> State:
    return _written(lambda: getattr(owner, name), lambda new: setattr(owner, name, new), value)


def _entered(enter: State, is_as_entered: Callable[[], bool]) -> State:
    """A state that a context sets; a call must leave it as the context set it."""

    @contextlib.contextmanager
    def state() -> Iterator[None]:
        with enter():
            yield
            assert is_as_entered(), "the call changed the host's state"

    return state


def _default_dtype(dtype: torch.dtype) -> State:
    return _written(torch.get_default_dtype, torch.set_default_dtype, dtype)


def _autocast(dtype: torch.dtype) -> State:
    return _entered(
        lambda: torch.autocast("cpu", dtype),
        lambda: torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == dtype,
    )


def _precision(value: str) -> State:
    return _written(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, value)


@contextlib.contextmanager
def _rounded_products() -> Iterator[None]:
    """The newer settings, of each backend: those of Intel's library round to bfloat16."""
    backends: Any = torch.backends
    backends.fp32_precision = "bf16"
    backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        yield
        assert backends.mkldnn.matmul.fp32_precision == "bf16", "the call changed the host's state"
        backends.fp32_precision = "ieee"
        assert backends.mkldnn.conv.fp32_precision == "ieee", "the call cut a setting off from the overall one"
    finally:
        backends.fp32_precision = "none"
        backends.mkldnn.matmul.fp32_precision = "none"
        torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def _flushed_denormals() -> Iterator[None]:
    tiny = torch.tensor(1e-310, dtype=torch.float64)
    torch.set_flush_denormal(True)
    try:
        yield
        assert float(tiny * 1) == 0, "the call changed the host's state"
    finally:
        torch.set_flush_denormal(False)


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """Known seeds; a call must draw no number from the host's generators."""

    def states() -> tuple[bytes, str, Any]:
        return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state()), random.getstate()

    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    before = states()
    yield
    assert states() == before, "the call used the host's random numbers"


@contextlib.contextmanager
def _warnings_as_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        yield
        assert list(warnings.filters) == before, "the call changed the host's filters"


@contextlib.contextmanager
def _logging_off() -> Iterator[None]:
    logger = logging.getLogger("fastphoto")
    before = logger.handlers[:], logger.level, logging.root.handlers[:]
    logging.disable(logging.CRITICAL)
    try:
        yield
        assert logging.root.manager.disable == logging.CRITICAL
        assert (logger.handlers, logger.level, logging.root.handlers) == before, "the call configured logging"
    finally:
        logging.disable(logging.NOTSET)


STATES: dict[str, State] = {
    "default dtype float64": _default_dtype(torch.float64),
    "default dtype float16": _default_dtype(torch.float16),
    "default dtype bfloat16": _default_dtype(torch.bfloat16),
    "default device meta": _written(
        torch.get_default_device,
        lambda device: torch.set_default_device(None if device.type == "cpu" else device),
        torch.device("meta"),
    ),
    "with the device meta": _entered(
        lambda: torch.device("meta"), lambda: torch.get_default_device() == torch.device("meta")
    ),
    "autocast to bfloat16": _autocast(torch.bfloat16),
    "autocast to float16": _autocast(torch.float16),
    "inference mode": _entered(torch.inference_mode, torch.is_inference_mode_enabled),
    "no gradients": _entered(torch.no_grad, lambda: not torch.is_grad_enabled()),
    "anomalies detected": _entered(torch.autograd.detect_anomaly, torch.is_anomaly_enabled),
    "deterministic algorithms": _written(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "two threads": _written(torch.get_num_threads, torch.set_num_threads, 2),
    "matrix products high": _precision("high"),
    "matrix products medium": _precision("medium"),
    "matrix products rounded by backend": _rounded_products,
    "cuDNN benchmark": _attribute(torch.backends.cudnn, "benchmark", True),
    "no oneDNN": _written(torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled, False),
    "denormals flushed": _flushed_denormals,
    "seeds": _seeded,
    "warnings are errors": _warnings_as_errors,
    "NumPy raises": _entered(lambda: np.errstate(all="raise"), lambda: set(np.geterr().values()) == {"raise"}),
    "cut-short pictures load": _attribute(ImageFile, "LOAD_TRUNCATED_IMAGES", True),
    "pictures of ten pixels": _attribute(Image, "MAX_IMAGE_PIXELS", 10),
    "another folder": _written(os.getcwd, os.chdir, "/"),
    "logging off": _logging_off,
}
"""States by name."""

OTHER_ARITHMETIC = ("no oneDNN", "denormals flushed")
"""States that tell PyTorch to compute in another order, or to round the smallest numbers to 0."""
