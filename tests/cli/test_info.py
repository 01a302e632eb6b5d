"""`fastphoto info`: versions, devices, encoders and the cache."""

from __future__ import annotations

import types

import pytest
import torch
from command_line import run_here

from fastphoto.ops.library import build_info


@pytest.fixture
def said(monkeypatch, tmp_path, capsys) -> list[str]:
    """Return the lines it prints with one GPU and one downloaded encoder."""
    gpu = types.SimpleNamespace(name="A GPU", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: gpu)
    monkeypatch.setenv("FASTPHOTO_CACHE", str(tmp_path))
    (tmp_path / "vgg19-d01eb7cb.pth").touch()
    assert run_here("info") == 0
    return capsys.readouterr().out.splitlines()


def test_versions(said):
    assert said[0] == f"fastphoto    {build_info()['version']}" and said[1].endswith(f"torch {torch.__version__}")


def test_devices(said):
    assert f"device       cpu, {torch.get_num_threads()} threads" in said
    assert "device       cuda:0, A GPU, 80 GiB" in said


def test_encoders_and_the_cache(said, tmp_path):
    encoders = [line.removeprefix("encoder      ") for line in said if line.startswith("encoder")]
    assert encoders[0].startswith("embedded: comes with the package")
    assert encoders[1].startswith("vgg19-16x: not downloaded yet; source: https://")
    assert encoders[2].startswith(f"vgg19: {tmp_path / 'vgg19-d01eb7cb.pth'}; ")
    assert said[-1] == f"cache        {tmp_path}"
