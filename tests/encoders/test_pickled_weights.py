"""Pickled weight files that hold something else, and memory that ends while one is read."""

from __future__ import annotations

import pytest
import torch

from fastphoto.encoders.weights import read_weights
from fastphoto.errors import FileError


def test_a_pickled_list(tmp_path):
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(FileError, match="holds a list, not named tensors"):
        read_weights(tmp_path / "w.pth")


def test_running_out_of_memory_is_not_called_a_damaged_file(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    torch.save({}, tmp_path / "w.pth")
    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(MemoryError):
        read_weights(tmp_path / "w.pth")
