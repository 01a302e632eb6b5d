"""tools/compile_cuda.py: it refuses kernels that spill registers, and notes what others take."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from locations import ROOT

TOOL = ROOT / "tools" / "compile_cuda.py"
SPILLING = """
__global__ void __launch_bounds__(1024, 2) spilling_kernel(float* x, int n) {
  float kept[64];
  for (int i = 0; i < 64; ++i) kept[i] = x[i * n];
  x[n] = kept[n % 64];
}
"""


@pytest.fixture
def compile_cuda(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOL.parent)
    return importlib.import_module("compile_cuda")


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TOOL, *arguments], capture_output=True, text=True, env=environment or None)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
def test_a_kernel_that_spills_is_refused(tmp_path):
    (tmp_path / "good.cu").write_text(
        "__global__ void fine_kernel(float* x) { x[threadIdx.x] += 1; }", encoding="utf-8"
    )
    (tmp_path / "bad.cu").write_text(SPILLING, encoding="utf-8")
    assert run(tmp_path / "good.cu").returncode == 0
    refused = run(tmp_path / "good.cu", tmp_path / "bad.cu")
    assert refused.returncode == 1
    assert "spilling_kernel" in refused.stdout and "bytes of local memory" in refused.stdout
    assert "fine_kernel" not in refused.stdout


def test_no_compiler_is_an_error_in_one_line(tmp_path):
    missing = run(PATH=str(tmp_path), NVCC="no-such-nvcc")
    assert missing.returncode == 1
    assert missing.stderr.strip() == ("compile_cuda: no nvcc here, kernels NOT compiled; set NVCC to the CUDA compiler")


PREFIX = "_ZN9fastphoto53_GLOBAL__N__96e67385_14_masked_gram_cu_93e6f5cb_28090"


@pytest.mark.parametrize(
    ("mangled", "name"),
    [
        (f"{PREFIX}11gram_kernelI13__nv_bfloat16EEvNS0_6PixelsIT_EEPKi", "gram_kernel<bfloat16>"),
        (f"{PREFIX}22stencil_product_kernelIfLb1EEEvPKT_S3_iiiiPS1_Pd", "stencil_product_kernel<float, true>"),
        (f"{PREFIX}11pool_kernelI13__nv_bfloat16Li8EEEvNS0_9PoolShapeE", "pool_kernel<bfloat16, 8>"),
        (f"{PREFIX}18tile_starts_kernelEPKiNS0_10ChunkTableEiPl", "tile_starts_kernel"),
        ("_ZN9fastphoto12total_kernelIdLi512EEEvPKdlPT_", "total_kernel<double, 512>"),
    ],
)
def test_kernels_are_named_with_their_template_arguments(compile_cuda, mangled, name):
    assert compile_cuda.plain_name(mangled) == name


def test_resources_are_those_of_the_newer_target(compile_cuda, tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cuda, "RESOURCES", tmp_path / "resources.json")
    report = "".join(
        f"ptxas info    : Compiling entry function '_ZN12total_kernelIdEEvPd' for '{target}'\n"
        f"    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        f"ptxas info    : Used {registers} registers, used 1 barriers, 128 bytes smem\n"
        for target, registers in (("sm_80", 40), ("sm_90", 30))
    )
    compile_cuda.write_resources(compile_cuda.kernels_in(report, Path("some.cu")))
    written = json.loads((tmp_path / "resources.json").read_text())
    assert written == {"total_kernel<double>": {"registers": 30, "shared": 128}}
