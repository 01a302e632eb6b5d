"""The native library as built: what it reports, what it registers, and what happens without it."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from locations import ROOT

import fastphoto.ops
from fastphoto import ops


def test_build_info_is_true():
    info = ops.build_info()
    assert set(info) == {"version", "torch", "compiler", "cuda", "cpu_features"}
    assert info["version"] == importlib.metadata.version("fastphoto")
    assert re.match(r"\d+\.\d+\.\d+", info["torch"])
    assert info["compiler"]
    assert info["cuda"] is None or re.fullmatch(r"\d+\.\d+", info["cuda"])


@pytest.mark.skipif(not shutil.which("nm") or sys.platform != "linux", reason="no nm, or another linker's symbols")
def test_library_shows_its_entry_point_alone():
    """A crash on a machine whose compiler links a static C++ library: its symbols mixed with those torch had loaded."""
    library = sys.modules["fastphoto.ops._C"].__file__
    listed = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    assert [line.split()[-1] for line in listed.splitlines()] == ["PyInit__C"]


CPU_ONLY = {"convolution", "convolution_weights"}  # cuDNN's are as good


def test_every_schema_has_a_kernel_and_a_fake_kernel():
    schemas = re.findall(r'm\.def\(\s*"(\w+)\(', (ROOT / "csrc" / "library.cpp").read_text(encoding="utf-8"))
    assert len(schemas) == len(set(schemas)) >= 12
    for name in schemas:
        operator = f"fastphoto::{name}"
        assert torch._C._dispatch_has_kernel_for_dispatch_key(operator, "CPU"), name
        assert torch._library.utils.has_fake_kernel(getattr(torch.ops.fastphoto, name).default), name
        if ops.build_info()["cuda"] is not None and name not in CPU_ONLY:
            assert torch._C._dispatch_has_kernel_for_dispatch_key(operator, "CUDA"), name


def test_missing_library_is_explained(tmp_path):
    package = Path(fastphoto.__file__).parent
    shutil.copytree(
        package, tmp_path / "fastphoto", ignore=shutil.ignore_patterns("*.so", "*.pyd", "demo", "__pycache__")
    )
    # An editable installation would still find the library in its own place.
    script = (
        "import sys; sys.path.insert(0, '.');"
        "sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in repr(finder)];"
        "import fastphoto.ops"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert run.stderr.strip().splitlines()[-1] == (
        "ImportError: fastphoto's native library is not built: run pip install --no-build-isolation -e ."
    )
