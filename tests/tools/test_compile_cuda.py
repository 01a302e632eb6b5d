"""tools/compile_cuda.py: it refuses kernels that spill registers, and reports a missing compiler."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

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
