"""Fixtures shared by all tests: the devices and dtypes that operators are checked on, and a picture."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from emulation import EMULATION

from fastphoto import ops

if EMULATION:
    # What a kernel leaves unwritten in its output is then a NaN and not by chance what was there before.
    torch.use_deterministic_algorithms(True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the tests ran on, because results and failures can depend on it."""
    build = ops.build_info()
    terminalreporter.write_line(
        f"fastphoto {build['version']} on {platform.machine()} with {build['instruction_set']} instructions, "
        f"torch {torch.__version__} with {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    )


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda":
        if ops.build_info()["cuda"] is None:
            pytest.skip("fastphoto is built without CUDA")
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
    return torch.device(request.param)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture
def photo() -> torch.Tensor:
    """(40, 56, 3) float32: 1/f noise and flat shapes with hard edges, quantised to 8 bits as photos are."""
    rng = np.random.default_rng(7)
    height, width = 40, 56
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1
    spectrum = rng.normal(size=(3, *frequency.shape)) + 1j * rng.normal(size=(3, *frequency.shape))
    noise = np.fft.irfft2(spectrum / frequency, s=(height, width))
    grey = noise.mean(0)
    picture = 0.5 + 0.15 * (0.8 * grey + 0.2 * noise) / grey.std()
    y, x = np.mgrid[:height, :width]
    picture[:, (y - 12) ** 2 + (x - 15) ** 2 < 60] = np.array([0.9, 0.2, 0.1])[:, None]
    picture[:, 25:33, 30:50] = 0.05
    quantised = np.round(np.clip(picture, 0, 1) * 255) / 255
    return torch.from_numpy(quantised.astype(np.float32)).permute(1, 2, 0)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For tiny images: more threads would wait for one another, for long where cores are busy otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
