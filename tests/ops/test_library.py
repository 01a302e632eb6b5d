"""The native library as built: what it reports, exports and registers, and the error without it."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from locations import ROOT

import fastphoto.ops
from fastphoto import ops


def test_all_is_exact():
    """Every public name of fastphoto.ops but its modules is in __all__, in order."""
    public = {name for name in vars(ops) if name[0] != "_"}
    modules = {path.stem for path in Path(ops.__file__).parent.glob("*.py")}
    assert ops.__all__ == sorted(public - modules)


def test_build_info_is_true():
    info = ops.build_info()
    assert set(info) == {"version", "torch", "compiler", "cuda", "cpu_features", "instruction_set"}
    assert info["version"] == importlib.metadata.version("fastphoto")
    assert re.match(r"\d+\.\d+\.\d+", info["torch"])
    assert info["compiler"]
    assert info["cuda"] is None or re.fullmatch(r"\d+\.\d+", info["cuda"])


@pytest.mark.skipif(not shutil.which("nm") or sys.platform != "linux", reason="no nm, or another linker's symbols")
@pytest.mark.parametrize("name, exported", [("_C", ["PyInit__C"]), ("_operators", [])])
def test_a_library_exports_its_entry_point_alone(name, exported):
    """Exported symbols of a static C++ library once mixed with those that torch had loaded, and crashed."""
    (library,) = Path(sys.modules["fastphoto.ops._C"].__file__).parent.glob(f"{name}.*so")
    listed = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    assert [line.split()[-1] for line in listed.splitlines()] == exported


@pytest.mark.skipif(not shutil.which("nm") or sys.platform != "linux", reason="no nm, or another linker's symbols")
def test_the_operators_need_no_python():
    """So one build of them serves all versions of Python."""
    (library,) = Path(sys.modules["fastphoto.ops._C"].__file__).parent.glob("_operators.*")
    command = ["nm", "-D", "--undefined-only", library]
    needed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    symbols = [line.split()[-1] for line in needed.splitlines()]
    assert any(symbol.startswith("aoti_torch_") for symbol in symbols)
    assert not [symbol for symbol in symbols if symbol.startswith(("Py", "_Py"))]


SCHEMAS = re.findall(r'm\.def\(\s*"(\w+)\(', (ROOT / "csrc" / "library.cpp").read_text(encoding="utf-8"))
CPU_ONLY = {  # on a GPU, cuDNN and PyTorch's own operators do their work
    "contrast_excess",
    "convolution",
    "convolution_weights",
    "lab_to_srgb",
    "lab_to_srgb_backward",
    "local_affine_factors",
    "local_affine_sum",
    "region_moments",
    "region_moments_backward",
    "region_recolouring",
    "region_recolouring_backward",
    "sorted_distance",
    "srgb_to_lab",
    "srgb_to_lab_backward",
    "use_threads",
}


def test_schemas_are_found():
    assert len(SCHEMAS) == len(set(SCHEMAS)) >= 12


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_has_a_kernel_for_the_cpu(name):
    assert torch._C._dispatch_has_computed_kernel_for_dispatch_key(f"fastphoto::{name}", "CPU")


@pytest.mark.skipif(ops.build_info()["cuda"] is None, reason="fastphoto is built without CUDA")
@pytest.mark.parametrize("name", [name for name in SCHEMAS if name not in CPU_ONLY])
def test_every_schema_has_a_kernel_for_cuda(name):
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"fastphoto::{name}", "CUDA")


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_has_a_fake_kernel(name):
    assert torch._library.utils.has_fake_kernel(getattr(torch.ops.fastphoto, name).default)


def test_missing_library_is_explained(tmp_path):
    package = Path(fastphoto.__file__).parent
    shutil.copytree(
        package, tmp_path / "fastphoto", ignore=shutil.ignore_patterns("*.so", "*.pyd", "demo", "__pycache__")
    )
    # Without its finder, which would still find the library of an editable installation.
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
        f"ImportError: fastphoto's native library is not built for this Python ({sysconfig.get_config_var('SOABI')}): "
        "install a wheel for it, or run pip install --no-build-isolation -e . in the sources"
    )
