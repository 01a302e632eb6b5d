"""Devices by name: resolved, or refused with a name to use instead, on machines with and without a GPU."""

from __future__ import annotations

import pytest
import torch

from fastphoto.errors import InputError
from fastphoto.runtime import device
from fastphoto.runtime.device import choose_device


def machine(monkeypatch: pytest.MonkeyPatch, gpus: int, built_for_cuda: bool) -> None:
    monkeypatch.setattr(device, "build_info", lambda: {"cuda": "13.0" if built_for_cuda else None})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


@pytest.mark.parametrize(
    ("gpus", "built_for_cuda", "name", "expected"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "cpu"),
        (1, False, "auto", "cpu"),
        (1, True, "auto", "cuda"),
        (1, True, "cpu", "cpu"),
        (1, True, "cuda", "cuda"),
        (2, True, "cuda:1", "cuda:1"),
        (2, True, torch.device("cuda:1"), "cuda:1"),
    ],
)
def test_a_device_is_resolved(gpus, built_for_cuda, name, expected, monkeypatch):
    machine(monkeypatch, gpus, built_for_cuda)
    assert choose_device(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("gpus", "built_for_cuda", "name", "message"),
    [
        (1, True, "gpu", "device 'gpu': unknown; give auto, cpu, cuda or cuda:N"),
        (1, True, "meta", "device 'meta': not supported; give auto, cpu, cuda or cuda:N"),
        (0, True, "cuda", "device 'cuda': no CUDA device is available; use cpu"),
        (1, False, "cuda", "device 'cuda': fastphoto was built without CUDA; use cpu"),
        (2, True, "cuda:2", "device 'cuda:2': there are 2; use a lower number"),
    ],
)
def test_a_device_that_cannot_be_used_is_refused(gpus, built_for_cuda, name, message, monkeypatch):
    machine(monkeypatch, gpus, built_for_cuda)
    with pytest.raises(InputError) as error:
        choose_device(name)
    assert str(error.value) == message
